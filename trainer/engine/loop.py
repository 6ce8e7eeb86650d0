"""The training loop: one for all strategies.

It runs segments of about a second, and never past the next checkpoint, TensorBoard point or the end. Between two
segments everybody is at the same step, so that is where checkpoints, reports and the signal to stop have their place.
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
"""(told to stop, told to end, wanted steps) of this task -> the same three for all tasks."""


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
    """Say whether there is a multiple of `every` after `before` and up to `step`."""
    return before // every < step // every


class SegmentSizer:
    """How many steps make a segment of about a second: one at first, because the first call traces the graph."""

    def __init__(self, first: int = 1) -> None:
        self.count = first
        self._traced = False

    def ran(self, count: int, seconds: float) -> None:
        """Learn from a segment of `count` steps that took `seconds`."""
        if not self._traced:
            self._traced = True
            return
        wanted = int(_SEGMENT_SECONDS * count / max(seconds, 1e-6))
        self.count = max(1, min(wanted, self.count * _GROWTH))


class RunsSteps(Protocol):
    """Runs segments of steps (`trainer.engine.steps`)."""

    def run(self, count: int) -> float | None:
        """Run `count` steps and return their mean loss."""

    def step(self) -> int:
        """Return the steps done in all."""


class Reports(Protocol):
    """Reports the training (`trainer.engine.progress`)."""

    def begin(self, step: int) -> None:
        """Say where the training starts."""

    def segment(self, before: int, step: int, loss: float | None) -> None:
        """Report one segment."""

    def room(self, step: int) -> int:
        """Return how many steps a segment from `step` may have at most."""


class Preemption(Protocol):
    """Knows which of the tasks that the loop can't do without were told to stop alone (`trainer.peers.preemption`)."""

    def leaving(self) -> list[str]:
        """Return their names."""

    def release(self, names: list[str]) -> None:
        """Let them go: all is saved."""


@dataclass(slots=True, kw_only=True)
class Loop:
    """Trains until the last step, or until told to end there (early stopping) or to stop (and go on another time)."""

    settings: TrainerConfig
    runner: RunsSteps
    progress: Reports
    save: Callable[[int], None]
    """Saves the checkpoint of a step."""
    stop_requested: Callable[[], bool]
    end_requested: Callable[[], bool] = never
    preemption: Preemption | None = None
    decide: StepDecision = alone
    sizer: SegmentSizer
    settle_seconds: float = 3.0
    """How long the tasks of a run that is told to stop as a whole may differ."""

    def run(self) -> int:
        """Train; return the last step, whose checkpoint is saved.

        Raises:
            Stopped: told to stop; the checkpoint is saved.
            LostPeer: another task was told to stop; the checkpoint is saved.

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
                log.info("told to stop: saved step %d", step)
                raise self._leave(step)
            if end:
                log.info("early stopping: step %d is the last one", step)
                break
            if self.preemption and (names := self.preemption.leaving()):
                if saved != step:
                    self.save(step)
                self.preemption.release(names)
                raise LostPeer(f"{', '.join(names)} told to stop, checkpoint of step {step} saved")
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
        """Return what ends this task after all have agreed to stop.

        One that was not told itself stays, and goes on from the checkpoint with the one that comes back. Would it end,
        its new pod would be counted as a failure: only the one that was drained or preempted is not.
        """
        end = time.monotonic() + self.settle_seconds
        while not self.stop_requested() and time.monotonic() < end:
            time.sleep(_POLL_EVERY)
        if not self.stop_requested():
            return LostPeer(f"another task was told to stop, checkpoint of step {step} saved")
        return Stopped(f"told to stop, checkpoint of step {step} saved" if step else "told to stop at step 0")
