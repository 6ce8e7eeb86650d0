"""Restart in place: on a lost peer this process executes itself anew in the same container.

That needs no new pod, no back-off and no scheduling. What must outlive the exec is in one environment variable.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, NoReturn

from trainer.runtime.signals import SIGNALS

VARIABLE: Final = "TRAINER_RESTART_STATE"
_MAX_PAUSE: Final = 10.0
_FIRST_OTHER_FD: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class InPlaceRestartState:
    """What a restart in place hands on to itself."""

    count: int = 0
    """Consecutive restarts without a newer checkpoint."""
    checkpoint: int = -1
    """Step of the newest checkpoint at the last restart, -1 for none."""
    waiting_since: float = 0.0
    """Unix time since which this task waits for its peers, over restarts; 0 when it does not."""
    token: str = ""
    """Under which name this task holds the run directory's lease."""

    @property
    def pause(self) -> float:
        """Seconds to wait before this restart: a little longer each time."""
        return min(_MAX_PAUSE, float(2 ** max(0, self.count - 1)))

    def after_lost_peer(self, *, checkpoint: int, limit: int) -> InPlaceRestartState | None:
        """Return the state for the next restart, None when `limit` restarts in a row are used up.

        `checkpoint` is the step of the newest checkpoint now (-1 for none): a newer one than last time starts the count
        anew.
        """
        count = 1 if checkpoint > self.checkpoint else self.count + 1
        if count > limit:
            return None
        return InPlaceRestartState(count=count, checkpoint=max(checkpoint, self.checkpoint), token=self.token)

    def while_waiting(self, now: float) -> InPlaceRestartState:
        """Return the state for a restart before all peers were there, which does not count."""
        return replace(self, waiting_since=self.waiting_since or now)

    @property
    def waited(self) -> float:
        """Seconds this task has already waited for its peers."""
        return max(0.0, time.time() - self.waiting_since) if self.waiting_since else 0.0


def load(env: Mapping[str, str]) -> InPlaceRestartState:
    """Return what the process before this one handed on; the first one's state when there was none."""
    try:
        return InPlaceRestartState(**json.loads(env.get(VARIABLE, "{}")))
    except (TypeError, ValueError):
        return InPlaceRestartState()


def restart(state: InPlaceRestartState, directory: str) -> NoReturn:
    """Execute this program anew, from `directory`, with `state`."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    # A signal that comes while there is no handler stays pending until the new program takes it.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    # TensorFlow's sockets must not outlive the exec: the new program needs the port.
    for each in list(Path("/proc/self/fd").iterdir()):
        if (fd := int(each.name)) >= _FIRST_OTHER_FD:
            try:
                fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
            except OSError:
                continue
    if Path(directory).is_dir():
        os.chdir(directory)
    os.environ[VARIABLE] = json.dumps(asdict(state))
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - our own command line
