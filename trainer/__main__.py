"""`python -m trainer`: train the task that the run record names; `python -m trainer -- SCRIPT ARGS`: run an own script.

Set by the chart and by `tfd run`: TF_CONFIG, TRAINER_RECORD (the run record), RUN_DIR (the run's directory), DATA_DIR
(the user's data), TRAINER_START_TIMEOUT, TRAINER_ORPHAN_TIMEOUT and TRAINER_GRACE_PERIOD (seconds),
TRAINER_RESTARTS_IN_PLACE, TRAINER_TERMINATION_LOG. To be set by hand: TRAINER_LOGICAL_CPUS=2 splits the CPU into two
devices, so that Mirrored can be tried without GPUs.

Exit codes: 0 done, 1 the run can't succeed, 2 bad configuration, 75 lost a peer, 76 gave up waiting, 143 told to stop.
"""

from __future__ import annotations

import sys

from trainer import app
from trainer.stop import StopSignal


def main() -> None:
    """Play this process's part of the run and end the process."""
    stop = StopSignal()
    stop.install()
    app.main(sys.argv[1:], app.environment(), stop)


if __name__ == "__main__":
    main()
