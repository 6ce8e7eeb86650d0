"""In-place restart: after a lost peer, this process executes its program again in the same container.

An in-place restart needs no new pod, no back-off and no scheduling. One environment variable carries its state.
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

from trainer.runtime import descriptors
from trainer.runtime.signals import SIGNALS

VARIABLE: Final = "TRAINER_RESTART_STATE"
_MAX_PAUSE: Final = 10.0
_FIRST_OTHER_FD: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class InPlaceRestartState:
    """The state that an in-place restart passes to the next process."""

    count: int = 0
    """The number of consecutive restarts without a newer checkpoint."""
    checkpoint: int = -1
    """The step of the newest checkpoint at the last restart; -1 for none."""
    waiting_since: float = 0.0
    """Unix time at which this task started to wait for its peers; 0 if it does not wait."""
    token: str = ""
    """The token with which this task holds the lease of the run directory."""

    group: str = ""
    """The processes of the last group of an elastic run; the restarts of another group do not count."""
    lease_beat: str = ""
    """The last renewal of the lease that a worker of an elastic run has seen; empty for none."""
    lease_since: float = 0.0
    """The value of `time.monotonic` at that time. The next process has the same clock."""

    @property
    def pause(self) -> float:
        """Seconds to wait before this restart; the number doubles with each restart, up to 10."""
        return min(_MAX_PAUSE, float(2 ** max(0, self.count - 1)))

    def after_lost_peer(self, *, checkpoint: int, limit: int) -> InPlaceRestartState | None:
        """Return the state for the next restart, or None after `limit` restarts in a row.

        Args:
            checkpoint: The step of the newest checkpoint, -1 for none. A newer one than at the last restart resets the
                count.
            limit: The maximum number of consecutive restarts without a newer checkpoint.

        """
        count = 1 if checkpoint > self.checkpoint else self.count + 1
        if count > limit:
            return None
        return replace(self, count=count, checkpoint=max(checkpoint, self.checkpoint), waiting_since=0.0)

    def while_waiting(self, now: float) -> InPlaceRestartState:
        """Return the state for a restart before all peers are ready, which is not counted; `now` is Unix time."""
        return replace(self, waiting_since=self.waiting_since or now)

    def after_change(self) -> InPlaceRestartState:
        """Return the state for a restart with another group, which is not counted."""
        return replace(self, waiting_since=0.0)

    @property
    def waited(self) -> float:
        """Seconds that this task has already waited for its peers."""
        return max(0.0, time.time() - self.waiting_since) if self.waiting_since else 0.0


def load(env: Mapping[str, str]) -> InPlaceRestartState:
    """Return the state that the previous process passed on, or the initial state if there is none."""
    try:
        return InPlaceRestartState(**json.loads(env.get(VARIABLE, "{}")))
    except (TypeError, ValueError):
        return InPlaceRestartState()


def restart(state: InPlaceRestartState, directory: str) -> NoReturn:
    """Execute this program again in the working directory `directory` with `state`."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    # A signal that arrives while there is no handler stays pending until the new program unblocks it.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    # The exec must close TensorFlow's sockets, because the new program needs the port.
    for each in list(descriptors.FOLDER.iterdir()):
        if (fd := int(each.name)) >= _FIRST_OTHER_FD:
            try:
                fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
            except OSError:
                continue
    if Path(directory).is_dir():
        os.chdir(directory)
    os.environ[VARIABLE] = json.dumps(asdict(state))
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - the command line of this process
