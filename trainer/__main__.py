"""The command line, `python -m trainer`: the image's entry point. Everything else comes from the environment."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Final

from trainer.roles import dispatch
from trainer.runtime import logs, tf_config, threads
from trainer.runtime.config import LOG_FORMATS, load_log_format
from trainer.runtime.errors import ConfigError, TrainerExit
from trainer.runtime.exit_codes import EXIT_CODES, OWN_CODES
from trainer.runtime.process import leave
from trainer.runtime.signals import StopSignal

_DESCRIPTION: Final = """\
Play one task's part of a training run.

  python -m trainer                       train the task that the run record names
  python -m trainer -- SCRIPT ARGS        run an own script with the same start, end and failure handling
  python -m trainer check MODULE:CLASS    try a task on one device: see `python -m trainer check --help`
"""
_EPILOG: Final = """\
environment, set by the chart and by `tfd run`:
  TF_CONFIG                  who takes part, and which task this is; without it a lone chief
  TRAINER_RECORD             file with the run record: what is trained
  RUN_DIR                    the run's directory, a path or gs://...: checkpoints, logs, status.json, export, DONE
  DATA_DIR                   the user's data, if any
  TRAINER_START_TIMEOUT      seconds that all tasks may take to appear (1800)
  TRAINER_ORPHAN_TIMEOUT     seconds that a task lives without its chief (1800)
  TRAINER_GRACE_PERIOD       seconds between the signal to stop and the kill (60)
  TRAINER_MAX_IN_PLACE_RESTARTS  lost peers in a row that this process gets over by itself (3)
  TRAINER_TERMINATION_LOG    file for the one-line result
  TRAINER_LOG_FORMAT         text or json
  TRAINER_GPUS               GPUs that this task was given; fewer in sight is an error (0)
  TRAINER_GPUS_OPTIONAL      1: a machine without GPUs will do
to be set by hand:
  TRAINER_LOGICAL_CPUS       split the CPU into so many devices, so that Mirrored can be tried without GPUs

exit codes:
"""


class _Parser(argparse.ArgumentParser):
    """Reports a wrong argument as all other wrong configuration is reported."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise ConfigError(f"args: got {' '.join(sys.argv[1:])!r}: {message}: see python -m trainer --help")


def parser() -> argparse.ArgumentParser:
    """Return the parser of what comes before `--`."""
    made = _Parser(
        prog="python -m trainer",
        usage="python -m trainer [--log-format FORMAT] [-- SCRIPT ARGS | check MODULE:CLASS]",
        description=_DESCRIPTION,
        epilog=_EPILOG + "".join(f"  {each.code:<4} {each.meaning}\n" for each in EXIT_CODES if each.code in OWN_CODES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument(
        "--log-format",
        metavar="FORMAT",
        help=f"how log lines are written: {' or '.join(LOG_FORMATS)} (TRAINER_LOG_FORMAT, else text)",
    )
    return made


def main(words: Sequence[str]) -> None:
    """Play this process's part of the run and end the process."""
    if words[:1] == ["check"]:
        # By name, because it imports TensorFlow, and needs nothing of a run.
        sys.exit(importlib.import_module("trainer.check").main(list(words[1:])))
    stop = StopSignal()
    stop.install()
    env = threads.environment()
    logs.configure("trainer")
    try:
        at = words.index("--") if "--" in words else len(words)
        given = parser().parse_args(words[:at]).log_format
        if at == len(words) - 1:
            raise ConfigError(f"args: got {' '.join(words)!r}: there is nothing after --: set args to [--, script.py]")
        style = load_log_format(env, given)
        logs.configure("trainer", style)
        logs.configure(tf_config.parse(env.get("TF_CONFIG")).name, style)
    except TrainerExit as error:
        leave(error.code, str(error))
    dispatch.main(words[at + 1 :], env, stop)


if __name__ == "__main__":
    main(sys.argv[1:])
