"""Settings of the C library, so that it reuses the memory of large tensors between steps.

A strategy reads its first batch through TensorFlow's GeneratorDataset, which sets glibc's M_TRIM_THRESHOLD to 128 KiB
and logs "Memory patch applied". As a side effect, glibc no longer adapts M_MMAP_THRESHOLD (see mallopt(3)). From then
on, each step maps, zeroes and unmaps the memory of each tensor of 128 KiB or more. In the digits task this caused 1,300
page faults per step instead of 10, and nearly halved the speed on two busy cores.
"""

from __future__ import annotations

import contextlib
import ctypes
from typing import Final

# The upper limits of glibc's own adaptation: DEFAULT_MMAP_THRESHOLD_MAX, and twice that value.
_MMAP_THRESHOLD: Final = (-3, 32 * 2**20)
_TRIM_THRESHOLD: Final = (-1, 64 * 2**20)


def keep_large_blocks() -> None:
    """Reset the thresholds that TensorFlow may have changed since the last call.

    The call is cheap. It has no effect with a C library other than glibc.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        for option, value in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
            library.mallopt(option, value)
