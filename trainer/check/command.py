"""Test a task before a run, and print a description of the task or its first error.

The command calls every method of the task as the trainer does. It trains some steps, evaluates one batch, exports the
model, and measures the time of a step. An error is one line with the name of the method. The exit code is 2 for an
invalid argument and 1 for an error in the task.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Final

from trainer.check.report import describe
from trainer.runtime import exit_codes, logs, threads
from trainer.runtime.arguments import ArgumentParser
from trainer.runtime.config import PRECISIONS, Scalar, TrainerConfig, load_record
from trainer.runtime.errors import NOTHING, ConfigError, TrainerExit
from trainer.runtime.notices import without_notices

_BATCH_SIZE: Final = 8


def parser() -> ArgumentParser:
    """Return the parser of the arguments after `check`."""
    parser = ArgumentParser(prog="python -m trainer check", description=__doc__, allow_abbrev=False)
    parser.add_argument("task", nargs="?", help="a built-in task, or package.module:Class")
    parser.add_argument("--record", metavar="FILE", help="take the trainer settings of a run from its run.json")
    parser.add_argument("--batch-size", type=int, metavar="N", help=f"examples per step ({_BATCH_SIZE})")
    parser.add_argument("--steps", type=int, metavar="N", help="same as trainer.steps, for schedules (1000)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="set a hyperparameter")
    parser.add_argument("--precision", choices=PRECISIONS, help="same as trainer.precision (float32)")
    parser.add_argument("--jit-compile", action="store_true", default=None, help="same as trainer.jitCompile")
    parser.add_argument(
        "--replicas", type=int, default=1, metavar="N", help="try N replicas, each on a logical CPU (1: one device)"
    )
    parser.add_argument("--data-dir", metavar="DIR", help="same as DATA_DIR in a run")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def main(words: Sequence[str]) -> int:
    """Run the command with the arguments `words`, print the result, and return the exit code."""
    env = threads.environment()
    logs.configure("check")
    try:
        args = parser().parse_args(words)
        settings = _settings(args)
        with without_notices():
            from trainer.check.inspection import check  # imports TensorFlow

        report = check(settings, args.data_dir or env.get("DATA_DIR") or None, args.replicas)
    except TrainerExit as error:
        if "args" in locals() and args.json:
            sys.stdout.write(json.dumps({"error": str(error), "exitCode": error.code}) + "\n")
        sys.stderr.write(f"{error}\n")
        return error.code
    sys.stdout.write(json.dumps(asdict(report), indent=2) + "\n" if args.json else describe(report))
    return exit_codes.DONE


def _settings(args: argparse.Namespace) -> TrainerConfig:
    """Return the settings of the run record in --record, or else the defaults, with the other options in their place.

    Raises:
        ConfigError: An option is invalid, or nothing names the task.

    """
    numbers = {"--batch-size": args.batch_size, "--steps": args.steps, "--replicas": args.replicas}
    for option, number in numbers.items():
        if number is not None and number < 1:
            raise ConfigError(option, got=number, expected="1 or more", fix=f"Set {option} 8, for example")
    if not args.task and not args.record:
        fix = "Name a built-in task or package.module:Class"
        raise ConfigError("task", got=NOTHING, expected="a task, or --record with a run record", fix=fix)
    base = TrainerConfig(batch_size=_BATCH_SIZE)
    if args.record:
        base = load_record({"TRAINER_RECORD": args.record}).trainer
    given = {name: getattr(args, name) for name in ("task", "batch_size", "steps", "precision", "jit_compile")}
    changes = {name: value for name, value in given.items() if value is not None}
    hyperparameters = {**base.hyperparameters, **dict(_assignment(text) for text in args.set)}
    return replace(base, **changes, hyperparameters=hyperparameters)


def _assignment(text: str) -> tuple[str, Scalar]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError("--set", got=text, expected="NAME=VALUE", fix="Set for example --set learning_rate=0.01")
    if value in ("true", "false"):
        return name, value == "true"
    for number in (int, float):
        try:
            return name, number(value)
        except ValueError:
            continue
    return name, value
