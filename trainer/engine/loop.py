"""The training loop: one for all strategies.

A *segment* is the number of steps that run in one call into TensorFlow: about a second of work, and never past the next
checkpoint, TensorBoard point or the last step. Between two segments all tasks are at the same step. Only there does the
loop save checkpoints, report, and react to signals.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from trainer.runtime.config import TrainerConfig
from trainer.runtime.errors import LostPeer, Stopped, TrainerExit
from trainer.runtime.logs import log

_SEGMENT_SECONDS: Final = 1.0
_GROWTH: Final = 8
_POLL_EVERY: Final = 0.1

StepDecision = Callable[[bool, bool, int], tuple[bool, bool, int]]
"""(stop requested, end requested, wanted steps) of this task -> the same three for all tasks."""


def alone(stop: bool, end: bool, count: int) -> tuple[bool, bool, int]:
    """Decide alone, for strategies with one task in the loop."""
    return stop, end, count


def never() -> bool:
    """Say no: for a run without early stopping."""
    return False


def until_boundary(step: int, steps: int, *every: int) -> int:
    """Return the steps from `step` to the next multiple of one of `every`, or to `steps` if that comes first."""
    return min(steps - step, *(each - step % each for each in every))


def crossed(before: int, step: int, every: int) -> bool:
    """Return whether there is a multiple of `every` after `before` and up to `step`."""
    return before // every < step // every


class SegmentSizer:
    """Chooses the number of steps per segment so that one takes about a second.

    It starts with one step, because the first call traces the graph.
    """

    def __init__(self, first: int = 1) -> None:
        self.count = first
        self._traced = False

    def ran(self, count: int, seconds: float) -> None:
        """Adapt to a segment of `count` steps that took `seconds`."""
        if not self._traced:
            self._traced = True
            return
        wanted = int(_SEGMENT_SECONDS * count / max(seconds, 1e-6))
        self.count = max(1, min(wanted, self.count * _GROWTH))


class StepRunner(Protocol):
    """Runs segments of steps (`trainer.engine.steps`)."""

    def run(self, count: int) -> float | None:
        """Run `count` steps and return their mean loss, None when it is not known."""

    def step(self) -> int:
        """Return the total number of steps done."""

    def waited(self) -> tuple[float, float]:
        """Return the seconds spent waiting for data and all seconds of the last segment; both 0 for the first one."""


class Reports(Protocol):
    """Reports the training (`trainer.engine.progress`)."""

    def begin(self, step: int) -> None:
        """Report where the training starts."""

    def segment(self, before: int, step: int, loss: float | None) -> None:
        """Report one segment."""

    def room(self, step: int) -> int:
        """Return how many steps a segment from `step` may have at most."""


class Preemption(Protocol):
    """Knows which of the tasks that the loop cannot do without received SIGTERM alone (`trainer.peers.preemption`)."""

    def leaving(self) -> list[str]:
        """Return their names."""

    def release(self, names: list[str]) -> None:
        """Let them go: all is saved."""


@dataclass(slots=True, kw_only=True)
class Loop:
    """Trains until the last step, early stopping or a signal."""

    settings: TrainerConfig
    runner: StepRunner
    progress: Reports
    save: Callable[[int], None]
    """Saves the checkpoint of a step."""
    stop_requested: Callable[[], bool]
    end_requested: Callable[[], bool] = never
    preemption: Preemption | None = None
    decide: StepDecision = alone
    sizer: SegmentSizer
    settle_seconds: float = 3.0
    """How long the tasks of a run that receives SIGTERM as a whole may differ."""

    def run(self) -> int:
        """Train; return the last step, whose checkpoint is saved.

        Raises:
            Stopped: received SIGTERM; the checkpoint is saved.
            LostPeer: another task received SIGTERM; the checkpoint is saved.

        """
        settings = self.settings
        step = saved = self.runner.step()
        self.progress.begin(step)
        while step < settings.steps:
            room = until_boundary(step, settings.steps, settings.checkpoint_every, settings.summary_every)
            room = min(room, self.progress.room(step))
            stop, end, count = self.decide(self.stop_requested(), self.end_requested(), min(self.sizer.count, room))
            if (stop or end) and saved != step:
                self.save(step)
            if stop:
                log.info("received SIGTERM: saved checkpoint %d", step)
                raise self._leave(step)
            if end:
                log.info("early stopping: step %d is the last step", step)
                break
            if self.preemption and (names := self.preemption.leaving()):
                if saved != step:
                    self.save(step)
                self.preemption.release(names)
                raise LostPeer(f"{', '.join(names)} received SIGTERM; saved checkpoint {step}")
            before, start = step, time.monotonic()
            loss = self.runner.run(count)
            self.sizer.ran(count, time.monotonic() - start)
            step = self.runner.step()
            self.progress.segment(before, step, loss)
            if crossed(before, step, settings.checkpoint_every) or step >= settings.steps:
                self.save(step)
                saved = step
        return step

    def _leave(self, step: int) -> TrainerExit:
        """Return what ends this task after all tasks have decided to stop.

        A task that received no signal itself restarts in place and resumes with the replacement of the other task. If
        it exited, Kubernetes would count its pod as failed; only a drained or preempted pod is not counted.
        """
        end = time.monotonic() + self.settle_seconds
        while not self.stop_requested() and time.monotonic() < end:
            time.sleep(_POLL_EVERY)
        if not self.stop_requested():
            return LostPeer(f"another task received SIGTERM; saved checkpoint {step}")
        return Stopped(f"received SIGTERM; saved checkpoint {step}" if step else "received SIGTERM at step 0")
