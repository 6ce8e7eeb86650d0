"""The tables of `tfd runs` for people."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from tfd.remote.kubectl import ClusterError
from tfd.remote.render import COLORS, heed_interrupts
from tfd.remote.runs import Row, Total
from tfd.text import duration, metric, number, plain

_EVERY = 5.0
_WIDE = 250
_HEAD = ("TEAM", "RUN", "STATE", "QUEUE", "TASKS", "WORKERS", "GPUS", "STEP", "ETA", "RESULT", "AGE", "OWNER", "WHY")
_STATE = _HEAD.index("STATE")
_LONGEST = 40
_DAY = 86400


def console() -> Console:
    """Return the console of the terminal. A file or a pipe gets lines that are wide enough for most reasons."""
    found = Console()
    return found if found.is_terminal else Console(width=max(found.width, _WIDE))


def render(found: Sequence[Row], sums: Sequence[Total], notes: Sequence[str]) -> RenderableType:
    """Return what `tfd runs` prints: the sums per team, the notes and a line for each run."""
    parts: list[Text] = [*_totals("TEAM", sums), Text()] if sums else []
    parts += [Text(plain(note)) for note in notes]
    return Group(*parts, *_lines(_HEAD, [_cells(row) for row in found]))


def render_cost(group: str, sums: Sequence[Total], notes: Sequence[str]) -> RenderableType:
    """Return what `tfd runs --cost` prints: the notes and a line for each group of runs."""
    return Group(*(Text(plain(note)) for note in notes), *_totals(plain(group).upper(), sums))


def _totals(name: str, sums: Sequence[Total]) -> list[Text]:
    head = (name, "RUNS", "GPUS ASKED", "HELD", "IDLE", "GPU-HOURS", "DELETED PODS", "NO JOBS", "STATES")
    return list(_lines(head, [_sums(each) for each in sums]))


def unread(found: Sequence[Row]) -> list[str]:
    """Return a note about the running runs without progress."""
    running = [row for row in found if row.status.state == "running"]
    missing = sum(not row.is_read for row in running)
    if not missing:
        return []
    return [f"The progress of {missing} running runs was not read, so they may still be starting. Set --progress."]


def watch(look: Callable[[], RenderableType], screen: Console) -> None:
    """Show what `look` returns until Ctrl-C. A cluster that does not answer later is named below the last answer.

    Raises:
        ClusterError: the cluster did not answer the first time.

    """
    heed_interrupts()
    with suppress(KeyboardInterrupt):
        last = look()
        with Live(last, console=screen, auto_refresh=False) as live:
            while True:
                time.sleep(_EVERY)
                try:
                    last = look()
                    live.update(last, refresh=True)
                except ClusterError as error:
                    live.update(Group(Text(plain(str(error)), style="red"), last), refresh=True)


def _lines(head: Sequence[str], cells: Sequence[Sequence[str]]) -> Iterator[Text]:
    """Yield aligned lines. A table of rich takes seconds for a thousand rows."""
    widths = [max(map(cell_len, column)) for column in zip(head, *cells, strict=True)]
    yield Text(_line(head, widths), style="bold", no_wrap=True, overflow="ellipsis")
    for each in cells:
        text = Text(_line(each, widths), no_wrap=True, overflow="ellipsis")
        if len(each) == len(_HEAD) and each[_STATE] in COLORS:
            start = len(_line(each[:_STATE], widths[:_STATE])) + 2
            text.stylize(COLORS[each[_STATE]], start, start + len(each[_STATE]))
        yield text


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(set_cell_size(cell, width) for cell, width in zip(cells, widths, strict=True))


def _cells(row: Row) -> list[str]:
    now = row.status
    cells = [
        now.namespace,
        now.run,
        now.state,
        f"{f'{row.position}. in ' if row.position else ''}{now.queue}",
        f"{row.running}/{row.all}" if row.all else "",
        f"{row.workers.there}/{row.workers.most}" if row.workers else "",
        f"{row.usage.held}/{row.usage.asked}" if row.usage.held or row.usage.asked else "",
        _step(row),
        "" if row.eta is None else duration(row.eta),
        " ".join(f"{name} {metric(value)}" for name, value in row.result.items()),
        _age(row.age),
        row.owner,
    ]
    return [*map(_short, cells), " ".join(plain(now.why or row.last_error).split())]


def _sums(each: Total) -> list[str]:
    used = each.usage
    return [
        _short(each.name or "(none)"),
        str(sum(each.states.values())),
        str(used.asked),
        str(used.held),
        str(used.idle),
        number(used.hours),
        f"at most {number(used.unproven_hours)} more" if used.unproven_hours else "",
        str(each.without_jobs or ""),
        ", ".join(f"{count} {state}" for state, count in each.states.items()),
    ]


def _step(row: Row) -> str:
    if row.step is None:
        return ""
    return f"{row.step:.0f}/{row.steps:.0f} {100 * (row.share or 0):.0f} %" if row.steps else f"{row.step:.0f}"


def _age(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds / _DAY:.0f} d" if seconds >= 2 * _DAY else duration(seconds)


def _short(text: str) -> str:
    line = " ".join(plain(text).split())
    return line if cell_len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."
