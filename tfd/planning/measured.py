"""What was measured: the speed of one device from run directories, and a model's size from `trainer check --json`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfd import records
from tfd.planning.options import DEVICE_BATCH, PARAMETERS, STEP_SECONDS, PlanError
from tfd.text import finite, refusal, shown

_SAME = ("task", "precision", "jitCompile")
"""The settings of a run that change the time of its step."""


@dataclass(frozen=True)
class Measurement:
    """One step of one device."""

    batch: int
    seconds: float
    source: str


def of_run(folder: Path, trainer: Mapping[str, Any]) -> Measurement:
    """Return the step of a finished or running OneDevice run.

    Args:
        folder: the run directory.
        trainer: the `trainer` block of the run that is planned, which must agree on all that changes a step.

    Raises:
        PlanError: the folder is of another run, or has no rate yet.

    """
    option = f"--measured {folder}"
    identity = records.read(folder / "run.json").get("identity")
    if not isinstance(identity, dict) or not isinstance(identity.get("trainer"), dict):
        fix = "Name the run directory of a OneDevice run, such as runs/RUN of `tfd run`."
        raise PlanError(refusal(option, "no run.json of a run", "a run directory", fix))
    if identity.get("strategy") != "OneDevice":
        fix = "Train the task some hundred steps with strategy: OneDevice."
        raise PlanError(refusal(option, f"strategy {shown(identity.get('strategy'))}", '"OneDevice"', fix))
    measured = identity["trainer"]
    _refuse_other(option, measured, trainer)
    # DONE has the mean rate of the last attempt, and status.json the rate of the last seconds.
    found = [(name, finite(records.read(folder / name).get("stepsPerSecond"))) for name in ("DONE", "status.json")]
    rates = [(name, rate) for name, rate in found if rate is not None and rate > 0 and STEP_SECONDS.allows(1 / rate)]
    batch = finite(measured.get("batchSize"))
    if not rates or batch is None or not DEVICE_BATCH.allows(batch):
        fix = "Let the run train for some seconds more."
        raise PlanError(refusal(option, "no rate", "stepsPerSecond in DONE or status.json", fix))
    name, rate = rates[0]
    return Measurement(int(batch), 1 / rate, f"{folder / name}")


@dataclass(frozen=True)
class Checked:
    """What `python -m trainer check --json` measured."""

    parameters: int
    """Trainable parameters, those of the tables included."""
    tables: Sequence[str]
    """Names of the embedding tables, of which a step exchanges only some rows."""
    step: Measurement | None
    """The step of one device. None: the check had several replicas, or other settings."""
    source: str


def of_check(name: str, text: str, trainer: Mapping[str, Any]) -> Checked:
    """Return the content of a report.

    Args:
        name: the name of the file.
        text: its text.
        trainer: the `trainer` block of the run that is planned.

    Raises:
        PlanError: the text is something else, or of another task.

    """
    option = f"--check {name}"
    fix = "Write it with python -m trainer check TASK --json."
    try:
        report = json.loads(text) if len(text) <= records.LARGEST else None
    except (ValueError, RecursionError):
        report = None
    count = finite(report.get("trainableParameters")) if isinstance(report, dict) else None
    if not isinstance(report, dict) or count is None or not PARAMETERS.allows(count):
        raise PlanError(refusal(option, "no report", "the JSON of `python -m trainer check`", fix))
    if report.get("task") != trainer.get("task"):
        got = f"a report of task {shown(report.get('task'))}"
        raise PlanError(refusal(option, got, shown(trainer.get("task")), fix))
    tables = report.get("tables")
    seconds, batch = finite(report.get("secondsPerStep")), finite(report.get("batchSize"))
    step = None
    same = all(report.get(key) == trainer.get(key) for key in _SAME) and report.get("replicas") == 1
    if same and seconds and batch and STEP_SECONDS.allows(seconds) and DEVICE_BATCH.allows(batch):
        step = Measurement(int(batch), seconds, name)
    return Checked(int(count), list(tables) if isinstance(tables, dict) else [], step, name)


def _refuse_other(option: str, measured: Mapping[str, Any], trainer: Mapping[str, Any]) -> None:
    for key in _SAME:
        if measured.get(key) != trainer.get(key):
            got, expected = (f"trainer.{key} {shown(each.get(key))}" for each in (measured, trainer))
            fix = f"Name a run with the same trainer.{key} as the job file."
            raise PlanError(refusal(option, got, expected, fix))
