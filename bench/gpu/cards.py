"""Peak speeds of NVIDIA GPUs, from their data sheets: dense matrix products on tensor cores, without sparsity."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Card:
    """The peak of one GPU in 1e12 floating-point operations per second."""

    pattern: str
    """A regular expression for the name that the driver reports."""
    float32: float
    """With TF32 where the GPU has it, because TensorFlow uses it for float32 by default."""
    half: float
    """float16, and bfloat16 where the GPU has it, both with sums in float32."""
    bfloat16: bool = True
    source: str

    def peak(self, precision: str) -> float | None:
        """Return operations per second for a policy of Keras; None if the GPU has no unit for it."""
        if precision == "float32":
            return self.float32 * 1e12
        if precision == "mixed_bfloat16" and not self.bfloat16:
            return None
        return self.half * 1e12


_PAGES: Final = "https://www.nvidia.com/en-us/data-center"
_V100: Final = "https://images.nvidia.com/content/technologies/volta/pdf/volta-v100-datasheet-update-us-1165301-r5.pdf"
# The data sheets from L4 on print the speed with sparsity, which is twice the dense speed.
CARDS: Final = (
    Card(pattern=r"V100-SXM", float32=15.7, half=125, bfloat16=False, source=_V100),
    Card(pattern=r"V100-PCI", float32=14, half=112, bfloat16=False, source=_V100),
    Card(pattern=r"\bT4\b", float32=8.1, half=65, bfloat16=False, source=f"{_PAGES}/tesla-t4/"),
    Card(pattern=r"A100", float32=156, half=312, source=f"{_PAGES}/a100/"),
    Card(pattern=r"\bA10\b", float32=62.5, half=125, source=f"{_PAGES}/products/a10-gpu/"),
    Card(pattern=r"\bL4\b", float32=60, half=121, source=f"{_PAGES}/l4/"),
    Card(pattern=r"\bL40S\b", float32=183, half=362, source=f"{_PAGES}/l40s/"),
    Card(pattern=r"H100 PCIe", float32=378, half=756.5, source="https://resources.nvidia.com/en-us-tensor-core"),
    Card(pattern=r"H[12]00 NVL", float32=417.5, half=835.5, source=f"{_PAGES}/h200/"),
    Card(pattern=r"H100|H200", float32=494.5, half=989.5, source=f"{_PAGES}/h200/"),
    Card(pattern=r"\bB200\b", float32=1100, half=2250, source=f"{_PAGES}/hgx/"),
)


def find(name: str) -> Card | None:
    """Return the entry of a GPU with this name; None if the table has none."""
    return next((card for card in CARDS if re.search(card.pattern, name)), None)
