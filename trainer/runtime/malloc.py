"""Lets the C library keep the memory of large tensors from step to step.

The first batch that a strategy hands to its replicas comes through TensorFlow's GeneratorDataset, which sets glibc's
M_TRIM_THRESHOLD to 128 KiB ("Memory patch applied" in its log). By that glibc also stops to adapt its M_MMAP_THRESHOLD
(mallopt(3)): each tensor of 128 KiB or more is mapped, filled with zeros page by page and unmapped again, in each step.
In the digits task these were 1,300 page faults a step instead of 10, and on two busy cores nearly half of the speed.
"""

from __future__ import annotations

import contextlib
import ctypes
from typing import Final

# Where glibc's own adaptation ends: DEFAULT_MMAP_THRESHOLD_MAX, and twice as much.
_MMAP_THRESHOLD: Final = (-3, 32 * 2**20)
_TRIM_THRESHOLD: Final = (-1, 64 * 2**20)


def keep_large_blocks() -> None:
    """Undo what TensorFlow may have set since the last call; cheap. Nothing happens with another C library."""
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        for option, value in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
            library.mallopt(option, value)
