"""The runs of a sweep, which are new runs that differ only in `trainer`, in one table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tfd.jobfile.helm_yaml import Key
from tfd.kinds import RUN
from tfd.review.analysis.key_changes import UNSET, KeyChange, leaves
from tfd.review.analysis.run_review import RunReview
from tfd.review.output.markdown import table
from tfd.review.output.redaction import Redactor
from tfd.review.output.summary import effect, training
from tfd.review.sources.rendering import Rendering
from tfd.text import dotted

_SETTINGS = "trainer"


def grouped(runs: Iterable[RunReview]) -> list[list[RunReview]]:
    """Return the runs in their order, with those of a sweep together."""
    found: dict[str | int, list[RunReview]] = {}
    for number, run in enumerate(runs):
        found.setdefault(_family(run) or number, []).append(run)
    return list(found.values())


def _family(run: RunReview) -> str | None:
    """Return what all runs of a sweep have in common; None for a run that cannot be in one."""
    new = run.base is None and run.merged is not None and run.merged_rendering is not None
    if not new or run.merged is None or run.kind is not RUN:
        return None
    nearest = run.nearest.path if run.nearest else ""
    others = {key: value for key, value in run.merged.values.items() if key != _SETTINGS}
    return json.dumps([effect(run), run.merged.team, nearest, others], sort_keys=True)


def heading(runs: list[RunReview]) -> str:
    """Return the title of the section of a sweep."""
    return f"#### Sweep of {len(runs)} runs, which differ only in `{_SETTINGS}`: each {effect(runs[0])}"


def others(run: RunReview) -> list[KeyChange]:
    """Return the differences of a sweep from its nearest earlier run that are the same for all of its runs."""
    return [change for change in run.differences if change.key[0] != _SETTINGS]


def rows(runs: list[RunReview], redactor: Redactor, most: int) -> str:
    """Return the table of a sweep: the nearest earlier run, if there is one, and the first `most` runs."""
    first = runs[0]
    settings = {run.name: _settings(run.merged_rendering) for run in runs}
    if first.nearest:
        settings[first.nearest.name] = _settings(first.nearest_rendering)
    keys = sorted({key for each in settings.values() for key in each}, key=str)
    differ = [key for key in keys if len({repr(each.get(key, UNSET)) for each in settings.values()}) > 1]
    columns = ["run", *(redactor.code(dotted(key)) for key in differ), "training"]

    def row(name: str, what: str) -> list[str]:
        return [redactor.code(name), *(redactor.code(settings[name].get(key, UNSET)) for key in differ), what]

    lines = [row(first.nearest.name, "the nearest earlier run")] if first.nearest else []
    return table(columns, lines + [row(run.name, training(run)) for run in runs[:most]])


def _settings(rendering: Rendering | None) -> Mapping[Key, Any]:
    identity = rendering.record["identity"] if rendering else {}
    return dict(leaves(identity.get(_SETTINGS) or {}, (_SETTINGS,)))
