"""The status of a run for people."""

from __future__ import annotations

import signal
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tfd.remote.status import FINAL, Status
from tfd.remote.tasks import State
from tfd.text import duration, finite, metric, number, plain
from tfd.workers import workers

COLORS = {"running": "cyan", "done": "green", "failed": "bold red"} | dict.fromkeys(
    ("queued", "waiting", "starting"), "yellow"
)
_SHOWN = (State.RUNNING, State.STARTING, State.PENDING, State.QUEUED, State.WAITING, State.ENDING, State.SUSPENDED,
          State.DONE, State.FAILED)  # fmt: skip
_OLD = 60.0
_EVERY = 2.0
_NAMED = 5


def render(status: Status) -> RenderableType:
    """Return what `tfd status` prints."""
    head = Text(plain(f"{status.run} in {status.namespace}, {status.strategy}: "))
    head.append(status.state, style=COLORS.get(status.state, ""))
    if status.why:
        head.append(f": {plain(status.why)}")
    parts: list[RenderableType] = [
        head,
        *(Text(plain(f"  {name:<12} {text}")) for name, text in _facts(status.progress)),
    ]
    if status.roles:
        parts += [Text(), _table(status), *_reasons(status)]
    return Group(*parts)


def watch(now: Status, look: Callable[[], Status], console: Console) -> None:
    """Show a run until it has ended, and refresh it with `look`."""
    heed_interrupts()
    with Live(render(now), console=console, auto_refresh=False) as live:
        while now.state not in FINAL:
            time.sleep(_EVERY)
            now = look()
            live.update(render(now), refresh=True)


def heed_interrupts() -> None:
    """Let Ctrl-C end this command, also where a shell without job control has started it with SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _facts(known: dict[str, Any]) -> list[tuple[str, str]]:
    facts = []
    step, steps = finite(known.get("step")), finite(known.get("steps"))
    if steps and step is not None:
        words = [f"{step:.0f}/{steps:.0f} ({100 * step / steps:.0f} %)"]
        if (rate := known.get("stepsPerSecond")) is not None:
            words.append(f"{number(rate)} steps/s")
        if known.get("state", "running") == "running" and known.get("etaSeconds") is not None:
            words.append(f"ETA {duration(known['etaSeconds'])}")
        if known.get("loss") is not None or known.get("lossIsNotANumber"):
            words.append(f"loss {metric(known.get('loss'))}")
        facts.append(("step", ", ".join(words) + _age(known)))
    facts += _workers(known)
    if isinstance(saved := known.get("lastCheckpoint"), dict):
        facts.append(("checkpoint", f"step {saved.get('step', '-')}"))
    if known.get("restarts"):
        facts.append(("restarts", str(known["restarts"])))
    metrics = known.get("metrics")
    for name, value in metrics.items() if isinstance(metrics, dict) else ():
        facts.append((name, f"{metric(value)} (evaluation data)"))
    if known.get("exitCode") is not None:
        facts.append(("result", f"exit {known['exitCode']}: {known.get('message') or 'done'}"))
    return facts


def _workers(known: dict[str, Any]) -> list[tuple[str, str]]:
    """Return how many workers take part in an elastic run."""
    if (found := workers(known)) is None:
        return []
    changes = finite(known.get("workerChanges")) or 0
    suffix = f", {changes:.0f} joined or lost so far" if changes else ""
    return [("workers", f"{found} (starts with {found.least}){suffix}")]


def _age(known: dict[str, Any]) -> str:
    """Return how old the numbers are, if the run should have written newer ones."""
    if known.get("state") not in ("running", "starting") or not known.get("updated"):
        return ""
    try:
        seconds = (datetime.now(UTC) - datetime.fromisoformat(known["updated"])).total_seconds()
    except (TypeError, ValueError):  # a file that a script wrote
        return ""
    return f" (written {duration(seconds)} ago)" if seconds > _OLD else ""


def _table(status: Status) -> Table:
    counts = {role.name: role.count() for role in status.roles}
    states = [state.value for state in _SHOWN if any(state.value in each for each in counts.values())]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 2))
    table.add_column("role")
    table.add_column("tasks", justify="right")
    for name in states:
        table.add_column(name, justify="right")
    table.add_column("Job")
    for role in status.roles:
        cells = [str(counts[role.name].get(name, "")) for name in states]
        table.add_row(Text(plain(role.name)), str(len(role.tasks)), *cells, Text(plain(role.job)))
    return table


def _reasons(status: Status) -> list[Text]:
    """Return one line for each reason, with the tasks that it concerns."""
    same: dict[tuple[str, str], list[str]] = defaultdict(list)
    for role in status.roles:
        for task in role.tasks:
            if task.why:
                same[task.state.value, task.why].append(task.name)
    lines = []
    for (state, why), names in same.items():
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        lines.append(Text(plain(f"{', '.join(names[:_NAMED])}{more} {state}: {why}")))
    return [Text(), *lines] if lines else []
