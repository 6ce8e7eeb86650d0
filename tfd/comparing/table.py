"""The table and the plots of `tfd compare` for people."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotext
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tfd.comparing.compared import Compared, Scalar
from tfd.text import finite, metric, plain

_WIDE, _HIGH = 72, 16
_LONGEST_STATE, _LONGEST_LINE = 20, 120
_DECADES = 10
"""From this ratio of the largest to the smallest value on, an axis is logarithmic."""


def ordered(found: Sequence[Compared], name: str | None, *, ascending: bool) -> list[Compared]:
    """Return the runs in the order of a result, those without it last; by name without one."""
    if name is None:
        return list(found)
    have = [each for each in found if each.results.get(name) is not None]
    have.sort(key=lambda each: each.results[name] or 0.0, reverse=not ascending)
    return [*have, *(each for each in found if each.results.get(name) is None)]


def results(found: Sequence[Compared]) -> list[str]:
    """Return the names of all results, in the order of their first run."""
    return list(dict.fromkeys(name for each in found for name in each.results))


def show(found: Sequence[Compared], keys: Sequence[str], console: Console) -> None:
    """Print a line for each run: the settings `keys`, and all results.

    If that is wider than the console, it prints the narrower of two tables: with a line for each run or each setting.
    """
    names = results(found)
    lines = [["RUN", "STATE", "STEP", *map(_head, keys), *names]]
    for each in found:
        step = "" if each.step is None else f"{each.step:.15g}"
        # A state is any text that a run directory contains. A long one would leave no width for the names.
        cells = [each.name, each.state[:_LONGEST_STATE], step, *(_shown(each.settings.get(key)) for key in keys)]
        lines.append([*cells, *(metric(each.results[name]) if name in each.results else "" for name in names)])
    turned = [list(column) for column in zip(*lines, strict=True)]
    drawn = min(lines, turned, key=_width) if _width(lines) > console.width else lines
    # Rich would cut what is wider. A number that is cut looks like another one.
    console.width = max(console.width, _width(drawn))
    console.print(_table(drawn))


def _width(lines: Sequence[Sequence[str]]) -> int:
    """Return the number of characters of a table in which only long cells have several lines."""
    return sum(min(max(map(cell_len, column)), _LONGEST_LINE) + 2 for column in zip(*lines, strict=True)) - 2


def _table(lines: Sequence[Sequence[str]]) -> Table:
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for head in lines[0]:
        drawn.add_column(Text(plain(head)), max_width=_LONGEST_LINE, overflow="fold")
    for line in lines[1:]:
        drawn.add_row(*(Text(plain(cell)) for cell in line))
    return drawn


def _head(key: str) -> str:
    """Return a key without the parts that are the same for all settings."""
    return key.removeprefix("trainer.").removeprefix("hyperparameters.")


def _shown(value: Scalar) -> str:
    return "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def plots(found: Sequence[Compared], keys: Sequence[str], result: str) -> list[str]:
    """Return a plot of one result over each setting. A setting of words has a place for each word."""
    drawn = []
    for key in keys:
        pairs = [
            (each.settings[key], value)
            for each in found
            if each.settings.get(key) is not None and (value := each.results.get(result)) is not None
        ]
        if pairs:
            drawn.append(_plot(_head(key), result, pairs))
    return drawn


def _plot(key: str, result: str, pairs: Sequence[tuple[Scalar, float]]) -> str:
    numbers = [finite(setting) for setting, _ in pairs]
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plot_size(_WIDE, _HIGH)
    if None in numbers:
        words = sorted({_shown(setting) for setting, _ in pairs})
        places = [float(words.index(_shown(setting))) for setting, _ in pairs]
        plotext.xticks([float(place) for place in range(len(words))], [plain(word) for word in words])
    else:
        places = [place for place in numbers if place is not None]
        if min(places) > 0 and max(places) / min(places) >= _DECADES:
            places = [math.log10(place) for place in places]
            marks = sorted(set(places))
            plotext.xticks(marks, [f"{10**mark:.3g}" for mark in marks])
    plotext.scatter(places, [value for _, value in pairs], marker="o")
    title = plain(f"{result} over {key}")
    plotext.title(title)
    try:
        return str(plotext.build())
    except (ArithmeticError, ValueError):  # plotext subtracts and multiplies, which leaves the range of floats
        return f"{title}: the numbers are too large or too close to 0 for a plot."
