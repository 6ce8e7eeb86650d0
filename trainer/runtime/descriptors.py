"""The folder in which the system lists the open file descriptors of this process."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_LINUX: Final = Path("/proc/self/fd")
PATHS_LEAD_THROUGH: Final = _LINUX.is_dir()
"""Whether FOLDER/N/NAME is the file NAME of the folder that descriptor N has opened. Only Linux has this."""
FOLDER: Final = _LINUX if PATHS_LEAD_THROUGH else Path("/dev/fd")
