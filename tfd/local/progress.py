"""Reads the logs of a run."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tfd.local.processes import Process
from tfd.text import plain

# Information and warnings that TensorFlow's C++ code writes at its start. Which ones come depends on the processor, and
# none of them is about the run. Errors are shown, and the log file keeps every line.
_NATIVE_START_UP = re.compile(
    r"WARNING: All log messages before absl::InitializeLog\(\)"
    r"|[IW]\d{4} \d\d:\d\d:\d+\.\d+ +\d+ \S+:\d+\] "
    r"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] \S+:\d+\] "
    r"|To enable the following instructions: "
)


@dataclass
class LogTail:
    """Follows the log of one task."""

    process: Process
    last: str = ""
    """The newest line that is not empty."""
    _offset: int = 0
    _rest: bytes = field(default=b"", repr=False)

    def skip_to_end(self) -> None:
        """Skip the lines of earlier runs."""
        if self.process.log.exists():
            self._offset = self.process.log.stat().st_size

    def new_lines(self) -> list[str]:
        """Return the complete lines that were written since the last call, without TensorFlow's start-up messages."""
        try:
            with self.process.log.open("rb") as log:
                log.seek(self._offset)
                data = log.read(1 << 20)
        except FileNotFoundError:
            return []
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        texts = [plain(line.decode(errors="replace")).rstrip() for line in lines]
        texts = [text for text in texts if text and not _NATIVE_START_UP.match(text)]
        if texts:
            self.last = texts[-1]
        return texts
