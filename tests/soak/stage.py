"""A run in which single changes take place, with what a scenario waits for and the time without a step."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.soak.observer import Observer
from tests.soak.tasks import TaskProcess, Tasks
from tfd import records

_JOINED = re.compile(r"(worker-\d.*) joined: ")
_NEW_STEPS = 20


@dataclass(slots=True)
class Stage:
    """A run in which scenarios take place."""

    tasks: Tasks
    observer: Observer
    seconds: dict[str, list[float]] = field(default_factory=dict)
    """Change -> the seconds without a step, for each time."""
    report: Callable[[str, float], None] = lambda change, seconds: None
    """Called with each change and its seconds without a step."""

    @contextmanager
    def measured(self, name: str) -> Iterator[None]:
        """Note the longest time without a step until the `with` block has ended and the run takes steps."""
        began = time.time()
        yield
        self.steps()
        pause = self.observer.pause(began, time.time())
        self.seconds.setdefault(name, []).append(pause)
        self.report(name, pause)

    def steps(self) -> None:
        """Wait for new steps."""
        first = self._step()
        self.tasks.wait_for(lambda: self._step() > first + _NEW_STEPS, f"a step after {first + _NEW_STEPS}")

    def _step(self) -> int:
        return int(self.tasks.status().get("step") or 0)

    def saved(self) -> None:
        """Wait for a new checkpoint."""
        first = self._saved()
        self.tasks.wait_for(lambda: self._saved() > first, f"a checkpoint after step {first}")

    def _saved(self) -> int:
        return int((self.tasks.status().get("lastCheckpoint") or {"step": 0})["step"])

    def logged(self, task: str, text: str) -> int:
        """Return how often the processes of a task have logged a line with `text`."""
        return sum(text in message for message in self.messages(task))

    def messages(self, task: str) -> list[str]:
        """Return the lines that the processes of a task have logged."""
        return [message for each in self.tasks.processes if each.task == task for _, message in each.lines()]

    @contextmanager
    def logs(self, task: str, text: str) -> Iterator[None]:
        """Wait at the end of the `with` block until a task has logged a line with `text` since its begin."""
        before = self.logged(task, text)
        yield
        self.tasks.wait_for(lambda: self.logged(task, text) > before, f"{text!r} in the log of {task}")

    @contextmanager
    def admits(self, *workers: str) -> Iterator[None]:
        """Wait at the end of the `with` block until a chief has taken in all `workers`, together or one by one."""
        before = len(self._joined())
        yield
        self.tasks.wait_for(lambda: set(workers) <= set(self._joined()[before:]), f"{', '.join(workers)} joined")

    def _joined(self) -> list[str]:
        found = (_JOINED.match(line) for line in self.messages("chief-0"))
        return [name for each in found if each for name in each[1].split(", ")]

    def group(self, *workers: str) -> None:
        """Wait until the group of a MultiWorkerMirrored run is `workers`, and trains."""
        self.one_group(workers)

    def one_group(self, *groups: Sequence[str]) -> None:
        """Wait until the group of a MultiWorkerMirrored run is one of `groups`, and trains."""
        wanted = " or of ".join(", ".join(workers) for workers in groups)
        self.tasks.wait_for(lambda: any(map(self._is_group, groups)), f"a group of {wanted}")

    def _is_group(self, workers: Sequence[str]) -> bool:
        names = ", ".join(sorted(workers))
        return all(_trains_in(self.tasks.live.get(each), names) for each in workers)

    def leader(self) -> str:
        """Return the worker that leads a MultiWorkerMirrored run."""
        return f"worker-{records.read(self.tasks.run_dir / 'members.json')['leader']}"

    def followers(self) -> list[str]:
        """Return the other workers of a MultiWorkerMirrored run."""
        return self.without(self.leader())

    def members(self) -> list[str]:
        """Return the workers of the newest decision of a MultiWorkerMirrored run."""
        return [f"worker-{number}" for number in records.read(self.tasks.run_dir / "members.json")["workers"]]

    def without(self, *workers: str) -> list[str]:
        """Return all workers but `workers`."""
        return [each for each in self.tasks.workers if each not in workers]

    def cut(self, task: str) -> None:
        """Cut a task off from the others."""
        self.tasks.network.split([name for name in self.tasks.names if name != task], [task])

    def heal(self) -> None:
        """Connect all tasks again."""
        self.tasks.network.split()


def _trains_in(process: TaskProcess | None, names: str) -> bool:
    text = "\n".join(message for _, message in process.lines()) if process else ""
    _, _, last = text.rpartition("starting with ")
    return last.partition("\n")[0].endswith(f"workers: {names}") and "training from step" in last
