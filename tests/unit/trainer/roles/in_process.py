"""A training of the real chief in this process, without the seconds that a new process takes to import TensorFlow."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import keras
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from trainer.roles import dispatch
from trainer.roles.context import Context
from trainer.roles.restart import InPlaceRestartState
from trainer.runtime.config import RuntimeEnv, parse_record
from trainer.runtime.serialize import now
from trainer.runtime.signals import SIGNALS, StopSignal
from trainer.runtime.tf_config import Cluster
from trainer.storage.run_dir import RunDir

stop = StopSignal()
"""The stop signal of the training that is active; a task may set it."""


def train(folder: Path, run: str, *, warm_start_from: str | None = None, **trainer: Any) -> str:
    """Train `run` under OneDevice in `folder`; return its last words.

    Raises:
        TrainerExit: the run ended with an exit code other than 0.

    """
    global stop  # noqa: PLW0603 - a task has no other way to it
    stop = StopSignal()
    identity = {"strategy": "OneDevice", "trainer": trainer, "warmStartFrom": warm_start_from}
    record = parse_record({"run": run, "hash": run, "identity": identity})
    context = Context(
        cluster=Cluster(),
        env=RuntimeEnv(run_dir=str(folder / run)),
        record=record,
        run_dir=RunDir(str(folder / run), record),
        stop=stop,
        restarts=InPlaceRestartState(),
        started=now(),
    )
    handlers = {each: signal.getsignal(each) for each in SIGNALS}
    try:
        return dispatch.play(context)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if context.lease:
            context.lease.give_back()
        if context.status:
            context.status.stop_heartbeat()
            context.status.update()
        keras.config.set_dtype_policy("float32")


def steps_saved(folder: Path, run: str) -> list[int]:
    """Return the steps of the checkpoints of `run`."""
    return sorted(int(path.stem.split("-")[1]) for path in (folder / run / "checkpoints").glob("ckpt-*.index"))


def curve(folder: Path, run: str, tag: str) -> list[tuple[int, float]]:
    """Return the points (step, value) of a curve of `run`, as TensorBoard shows them."""
    events = EventAccumulator(str(folder / run / "logs" / "train"), size_guidance={"tensors": 0})
    events.Reload()
    return [(each.step, float(tensor_util.make_ndarray(each.tensor_proto))) for each in events.Tensors(tag)]


def done(folder: Path, run: str) -> dict[str, Any]:
    """Return the content of DONE; empty without the file."""
    path = folder / run / "DONE"
    return dict(json.loads(path.read_text())) if path.exists() else {}
