"""The training loop for all strategies.

A *segment* is a group of steps that run in one call into TensorFlow. It takes about a second. It never goes past the
next checkpoint, the next TensorBoard point or the last step. Between two segments all tasks are at the same step. The
loop saves checkpoints, reports progress and reacts to signals only between segments.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from trainer.runtime.config import TrainerConfig
from trainer.runtime.errors import LostPeer, Stopped, TrainerExit
from trainer.runtime.logs import log

_SEGMENT_SECONDS: Final = 1.0
_GROWTH: Final = 8
_POLL_EVERY: Final = 0.1

StepDecision = Callable[[bool, bool, bool, int], tuple[bool, bool, bool, int]]
"""Maps (stop, end and another group requested, number of steps) of this task to the same values for all tasks."""


def alone(stop: bool, end: bool, change: bool, count: int) -> tuple[bool, bool, bool, int]:
    """Return the arguments unchanged, for strategies with one task in the loop."""
    return stop, end, change, count


def never() -> bool:
    """Return False, for a run without early stopping."""
    return False


def accept(before: int, step: int, loss: float | None) -> None:
    """Accept a segment, whatever its loss is."""


def until_boundary(step: int, steps: int, *every: int) -> int:
    """Return the number of steps from `step` to the next multiple of any of `every`, and at most to `steps`."""
    return min(steps - step, *(each - step % each for each in every))


def crossed(before: int, step: int, every: int) -> bool:
    """Return whether a multiple of `every` is greater than `before` and not greater than `step`."""
    return before // every < step // every


class SegmentSizer:
    """Chooses the number of steps per segment, so that a segment takes about a second.

    The first segment has `first` steps, and its time is ignored, because the first call traces the graph.
    """

    def __init__(self, first: int = 1) -> None:
        self.count = first
        self._traced = False

    def ran(self, count: int, seconds: float) -> None:
        """Adapt `count` after a segment of `count` steps that took `seconds`."""
        if not self._traced:
            self._traced = True
            return
        wanted = int(_SEGMENT_SECONDS * count / max(seconds, 1e-6))
        self.count = max(1, min(wanted, self.count * _GROWTH))


class StepRunner(Protocol):
    """Runs segments of steps; implemented in `trainer.engine.steps`."""

    def run(self, count: int) -> float | None:
        """Run `count` steps; return the mean of their finite losses, or None if it is unknown."""

    def step(self) -> int:
        """Return the number of steps done since step 0 of the run."""

    def lost(self) -> int:
        """Return the number of steps without a finite loss in the last segment."""

    def waited(self) -> tuple[float, float]:
        """Return the seconds of waiting for data and all seconds of the last segment; both are 0 for the first one."""


class Reports(Protocol):
    """Reports the progress of the training; implemented in `trainer.engine.progress`."""

    def begin(self, step: int) -> None:
        """Report the step at which the training starts."""

    def segment(self, before: int, step: int, loss: float | None) -> None:
        """Report a segment that ran from step `before` to `step` with the mean loss `loss`."""

    def room(self, step: int) -> int:
        """Return the maximum number of steps of a segment that starts at `step`."""


class Preemption(Protocol):
    """Finds required tasks that received SIGTERM while this task did not; implemented in `trainer.peers.preemption`."""

    def leaving(self) -> list[str]:
        """Return the names of these tasks."""

    def release(self, names: list[str]) -> None:
        """Allow the tasks `names` to exit, after the checkpoint is saved."""


class Membership(Protocol):
    """Finds workers that wait to join an elastic run; implemented in `trainer.roles.elastic`."""

    def requested(self) -> bool:
        """Return whether others wait to join."""

    def change(self, step: int) -> TrainerExit:
        """Announce the change; return the error that restarts this task after checkpoint `step`."""


class Fixed:
    """The membership of a run whose tasks are always the same ones."""

    def requested(self) -> bool:
        """Return False."""
        return False

    def change(self, step: int) -> TrainerExit:
        """Return the error of a change that another task has requested."""
        return LostPeer(f"another group was requested; saved checkpoint {step}")


@dataclass(slots=True, kw_only=True)
class Loop:
    """Trains until the last step, early stopping or SIGTERM."""

    settings: TrainerConfig
    runner: StepRunner
    progress: Reports
    check: Callable[[int, int, float | None], None] = accept
    """Checks the first step, the last step and the loss of a segment, and raises an error to end the run."""
    save: Callable[[int], None]
    """Saves the checkpoint of a step."""
    stop_requested: Callable[[], bool]
    end_requested: Callable[[], bool] = never
    preemption: Preemption | None = None
    membership: Membership = field(default_factory=Fixed)
    decide: StepDecision = alone
    sizer: SegmentSizer
    settle_seconds: float = 3.0
    """Maximum seconds between the SIGTERM of the first and of the last task when the whole run is deleted."""

    def run(self) -> int:
        """Train, and save the checkpoint of the last step; return the last step.

        Raises:
            Stopped: This task received SIGTERM; its last step is saved.
            LostPeer: Only another task received SIGTERM, or other workers join; the last step is saved.
            TaskFailed: The numbers of the run are not finite any more.

        """
        settings = self.settings
        step = saved = self.runner.step()
        self.progress.begin(step)
        while step < settings.steps:
            room = until_boundary(step, settings.steps, settings.checkpoint_every, settings.summary_every)
            room = min(room, self.progress.room(step))
            stop, end, change, count = self.decide(
                self.stop_requested(), self.end_requested(), self.membership.requested(), min(self.sizer.count, room)
            )
            if (stop or end or change) and saved != step:
                self.save(step)
            if stop:
                log.info("received SIGTERM: saved checkpoint %d", step)
                raise self._leave(step)
            if end:
                log.info("early stopping: step %d is the last step", step)
                break
            if change:
                raise self.membership.change(step)
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
            self.check(before, step, loss)
            if crossed(before, step, settings.checkpoint_every) or step >= settings.steps:
                self.save(step)
                saved = step
        return step

    def _leave(self, step: int) -> TrainerExit:
        """Return the error that ends this task after all tasks have decided to stop.

        A task that received no signal restarts in place and resumes with the replacement of the other task. If it
        exited, Kubernetes would count its pod as failed. Kubernetes does not count a drained or preempted pod.
        """
        end = time.monotonic() + self.settle_seconds
        while not self.stop_requested() and time.monotonic() < end:
            time.sleep(_POLL_EVERY)
        if not self.stop_requested():
            return LostPeer(f"another task received SIGTERM; saved checkpoint {step}")
        return Stopped(f"received SIGTERM; saved checkpoint {step}" if step else "received SIGTERM at step 0")
