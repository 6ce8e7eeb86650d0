"""The table and the plots of `tfd compare` for people."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotext
from rich.table import Table
from rich.text import Text

from tfd.comparing.compared import Compared, Scalar
from tfd.text import finite, metric, plain

_WIDE, _HIGH = 72, 16
_LONGEST_STATE = 20
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


def table(found: Sequence[Compared], keys: Sequence[str]) -> Table:
    """Return a line for each run: the settings `keys`, and all results."""
    names = results(found)
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    heads = ["RUN", "STATE", "STEP", *map(_head, keys), *names]
    for head in heads:
        # A state is any text that a run directory contains. A long one would leave no width for the names.
        most = _LONGEST_STATE if head == "STATE" else None
        drawn.add_column(Text(plain(head)), no_wrap=head in ("RUN", "STATE", "STEP"), max_width=most)
    for each in found:
        step = "" if each.step is None else f"{each.step:.15g}"
        cells = [each.name, each.state, step, *(_shown(each.settings.get(key)) for key in keys)]
        cells += [metric(each.results[name]) if name in each.results else "" for name in names]
        drawn.add_row(*(Text(plain(cell)) for cell in cells))
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
