"""Shows a run while it is active: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from tfd.kubernetes import leader
from tfd.local.progress import LogTail
from tfd.local.supervisor import State, Task
from tfd.text import duration, finite, metric, number, plain
from tfd.workers import workers

_TRAINER_PREFIX = re.compile(r"^\d\d:\d\d:\d\d [a-z]+-\d+ ")
_COLORS = {State.WAITING: "yellow", State.RUNNING: "cyan", State.SUCCEEDED: "green", State.FAILED: "red"}


class PlainView(AbstractContextManager["PlainView"]):
    """Log lines that begin with their task, for files, CI and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def event(self, name: str, text: str) -> None:
        """Show that a task started or ended."""
        self.line(name, text)

    def line(self, name: str, text: str) -> None:
        """Show one line of a task's log."""
        text = _own_words(name, text)
        self._console.print(Text(plain(f"{time.strftime('%H:%M:%S')} {name:<12} {text}")), soft_wrap=True)

    def update(self, tasks: Sequence[Task], tails: Sequence[LogTail], status: dict[str, Any]) -> None:
        """Do nothing: the lines are on the screen already."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: there is nothing to close."""


class LiveView(AbstractContextManager["LiveView"]):
    """One table of the tasks and one progress bar, redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=8, transient=True)
        self._progress = Progress(
            TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[eta]}"),
            TextColumn("{task.fields[workers]}"),
            console=console,
            expand=True,
        )
        self._bar = self._progress.add_task("", total=None, eta="", workers="", visible=False)

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def event(self, name: str, text: str) -> None:
        """Show an event that the table does not show as a state."""
        if text not in ("started", "exited with 0"):
            self._live.console.print(Text(plain(f"{time.strftime('%H:%M:%S')} {name}: {text}")))

    def line(self, name: str, text: str) -> None:
        """Do nothing: the table shows the newest line of each task."""

    def update(self, tasks: Sequence[Task], tails: Sequence[LogTail], status: dict[str, Any]) -> None:
        """Redraw from the tasks, their logs and the run's status.json."""
        if steps := finite(status.get("steps")):
            eta, found = status.get("etaSeconds"), workers(status)
            self._progress.update(
                self._bar,
                completed=finite(status.get("step")) or 0,
                total=steps,
                eta=f"ETA {duration(eta)}" if eta is not None else "",
                workers=f"{found} workers" if found else "",
                visible=True,
            )
        self._live.update(Group(_table(tasks, tails, status), self._progress))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        self._live.__exit__(kind, error, trace)


View = PlainView | LiveView


def make_view(console: Console) -> View:
    """Return a live view for a terminal, a plain view for a file or a pipe."""
    return LiveView(console) if console.is_terminal else PlainView(console)


def _own_words(name: str, line: str) -> str:
    """Return a line of a task's log without the prefix of the trainer, `HH:MM:SS TASK`."""
    return _TRAINER_PREFIX.sub("", line) if f" {name} " in line[: len(name) + 12] else line


def _table(tasks: Sequence[Task], tails: Sequence[LogTail], status: dict[str, Any]) -> RenderableType:
    table = Table(box=None, expand=True, pad_edge=False)
    for name in ("task", "state"):
        table.add_column(name, no_wrap=True)
    for name in ("step", "steps/s", "loss", "restarts"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("last line", ratio=1, no_wrap=True, overflow="ellipsis")
    # A chief runs the loop alone. Without a chief all workers are at the same step.
    loop_role = leader({task.role for task in tasks})
    for task, tail in zip(tasks, tails, strict=True):
        state = task.state.value + (f" {task.exit_code}" if task.state is State.FAILED else "")
        known = status if task.role == loop_role else {}
        table.add_row(
            task.name,
            Text(state, style=_COLORS[task.state]),
            Text(plain(f"{known.get('step', '-')}")),
            number(known.get("stepsPerSecond")),
            metric(known.get("loss")) if known.get("lossIsNotANumber") else number(known.get("loss")),
            str(max(0, task.attempts - 1) or "-"),
            Text(_own_words(task.name, tail.last), style="dim"),
        )
    return table
