"""The command line `python -m trainer`, which is the entry point of the image.

Almost all settings come from environment variables.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final

from trainer.roles import dispatch
from trainer.runtime import logs, proxies, tf_config, threads
from trainer.runtime.arguments import ArgumentParser
from trainer.runtime.config import LOG_FORMATS, load_log_format
from trainer.runtime.errors import ConfigError, TrainerExit
from trainer.runtime.exit_codes import EXIT_CODES, OWN_CODES
from trainer.runtime.process import leave
from trainer.runtime.process_1 import leave_process_1
from trainer.runtime.signals import StopSignal

_DESCRIPTION: Final = """\
Run one task of a training run.

  python -m trainer                       train the task in the run record
  python -m trainer -- SCRIPT ARGS        run a custom script with the same startup, exit and failure handling
  python -m trainer check MODULE:CLASS    test a task on one device; see `python -m trainer check --help`
"""
_EPILOG: Final = """\
environment variables that the chart and `tfd run` set:
  TF_CONFIG                  addresses of all tasks, and the role and index of this task (unset: a single chief)
  TRAINER_RECORD             file with the run record
  RUN_DIR                    run directory, a path or gs://...: checkpoints, logs, status.json, export, DONE
  DATA_DIR                   directory of the user's data (optional)
  TRAINER_START_TIMEOUT      maximum seconds until all tasks of the run answer (1800)
  TRAINER_ORPHAN_TIMEOUT     maximum seconds that a task waits for an unreachable chief (1800)
  TRAINER_GRACE_PERIOD       seconds between SIGTERM and SIGKILL (60)
  TRAINER_MAX_IN_PLACE_RESTARTS  maximum consecutive in-place restarts after lost peers (3)
  TRAINER_LEASE_TIMEOUT      seconds without a heartbeat after which the lease of another chief is stale (10)
  TRAINER_MIN_WORKERS        number of workers without which an elastic run does not train; 0: all of them (0)
  TRAINER_RESCALE_AFTER      seconds that an elastic group which is not complete waits for the other workers (60)
  TRAINER_TERMINATION_LOG    file for the one-line result
  TRAINER_LOG_FORMAT         text or json
  TRAINER_GPUS               number of requested GPUs; fewer visible GPUs are an error (0)
  TRAINER_RUN_GPUS           number of GPUs that all tasks of the run request, for the metrics (0)
  TRAINER_METRICS_PORT       port of the Prometheus metrics, at the address POD_IP or else 127.0.0.1; 0 for none (0)
  TRAINER_GPUS_OPTIONAL      1: missing GPUs cause a warning instead of an error
environment variable for manual use:
  TRAINER_LOGICAL_CPUS       number of logical CPU devices, to try Mirrored without GPUs

exit codes:
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments before `--`."""
    created = ArgumentParser(
        prog="python -m trainer",
        usage="python -m trainer [--log-format FORMAT] [-- SCRIPT ARGS | check MODULE:CLASS]",
        description=_DESCRIPTION,
        epilog=_EPILOG + "".join(f"  {each.code:<4} {each.meaning}\n" for each in EXIT_CODES if each.code in OWN_CODES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    created.add_argument(
        "--log-format",
        metavar="FORMAT",
        help=f"format of log lines: {' or '.join(LOG_FORMATS)} (default: TRAINER_LOG_FORMAT, or text)",
    )
    return created


def main(words: Sequence[str]) -> None:
    """Run this task of the run, or the `check` command, and exit.

    Args:
        words: The command-line arguments after the program name.

    """
    leave_process_1()
    if words[:1] == ["check"]:
        # `check` imports modules of TensorFlow and needs no run, so it is only imported here.
        sys.exit(importlib.import_module("trainer.check.command").main(list(words[1:])))
    stop = StopSignal()
    stop.install()
    env = threads.environment()
    logs.configure("trainer")
    try:
        at = words.index("--") if "--" in words else len(words)
        given = parser().parse_args(words[:at]).log_format
        if at == len(words) - 1:
            raise ConfigError("args", got=" ".join(words), expected="a script after --", fix="Set args: [--, SCRIPT]")
        style = load_log_format(env, given)
        logs.configure("trainer", style)
        cluster = tf_config.parse(env.get("TF_CONFIG"))
        logs.configure(cluster.name, style)
        proxies.exempt(cluster.hosts, os.environ)
    except TrainerExit as error:
        leave(error.code, str(error))
    dispatch.main(words[at + 1 :], env, stop)


if __name__ == "__main__":
    main(sys.argv[1:])
