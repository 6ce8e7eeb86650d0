"""The settings and results of runs, from their run directories or from the cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tfd import records
from tfd.remote import fleet
from tfd.remote.runs import Choice, Row, chosen
from tfd.text import dotted, finite, refusal, shown

Scalar = str | int | float | bool | None
_NO_SETTINGS = frozenset({"chartVersion", "warmStartFrom"})
"""Keys of the identity that change no result by themselves, or name another run."""


class CompareError(Exception):
    """Runs that cannot be compared; the message names the reason and the fix."""


@dataclass(frozen=True)
class Compared:
    """One run."""

    team: str
    """Namespace in the cluster; empty for a run directory."""
    run: str
    state: str
    step: float | None
    settings: Mapping[str, Scalar]
    """All leaves of the identity, by dotted key."""
    results: Mapping[str, float | None]
    """Metrics on evaluation data, else the loss. None is a value that is not a finite number."""

    @property
    def name(self) -> str:
        """Return TEAM/RUN, or RUN for a run directory."""
        return f"{self.team}/{self.run}" if self.team else self.run

    def as_json(self, keys: Sequence[str]) -> dict[str, Any]:
        """Return the run for machines, with the settings `keys`."""
        return {
            "team": self.team or None,
            "run": self.run,
            "state": self.state,
            "step": self.step,
            "settings": {key: self.settings.get(key) for key in keys},
            "results": dict(self.results),
        }


def of_folder(folder: Path, patterns: Sequence[str]) -> list[Compared]:
    """Return the runs whose run directories are in a folder, by name.

    Args:
        folder: for example `runs`, where `tfd run` trains, or a mounted claim.
        patterns: names of runs, in which * stands for any characters; none for all runs.

    Raises:
        CompareError: the folder cannot be read, or a pattern has no run.

    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    except OSError as error:
        fix = "Name a folder of run directories."
        raise CompareError(refusal("--from", shown(str(folder)), f"a folder ({error.strerror})", fix)) from None
    found = [each for path in paths if (each := _of_directory(path))]
    return _selected(found, patterns or ["*"], str(folder))


def _of_directory(path: Path) -> Compared | None:
    """Return the run of a run directory; None without the record of a run."""
    identity = records.read(path / "run.json").get("identity")
    if not isinstance(identity, dict):
        return None
    done, status = records.read(path / "DONE"), records.read(path / "status.json")
    results = (
        done.get("metrics") or status.get("metrics") or {name: status[name] for name in ("loss",) if name in status}
    )
    state = "done" if done else str(status.get("state", "starting"))
    step = finite(done.get("step", status.get("step")))
    return Compared("", path.name, state, step, settings(identity), _results(results))


def of_cluster(names: Sequence[tuple[str, str]]) -> tuple[list[Compared], list[str]]:
    """Return the runs in the cluster, by namespace and name, and what could not be read of them.

    Args:
        names: namespace and name, in which * stands for any characters.

    Raises:
        ClusterError: the cluster did not answer.
        CompareError: a name has no run.

    """
    found: list[Compared] = []
    notes: list[str] = []
    for namespace in sorted({namespace for namespace, _ in names}):
        patterns = [pattern for where, pattern in names if where == namespace]
        seen = fleet.look([namespace])
        notes += seen.notes
        runs = [each for each in seen.runs if _matches(each.run, patterns)]
        rows = chosen(replace(seen, runs=runs), Choice(progress=len(runs)), datetime.now(UTC))
        found += _selected([_of_row(row) for row in rows], patterns, f"namespace {namespace}")
    return found, notes


def _of_row(row: Row) -> Compared:
    now = row.status
    known = settings(row.objects.identity)
    return Compared(now.namespace, now.run, now.state, row.step, known, _results(row.result))


def _selected(found: list[Compared], patterns: Sequence[str], where: str) -> list[Compared]:
    """Return the runs that match.

    Raises:
        CompareError: a pattern has no run.

    """
    for pattern in patterns:
        if not any(fnmatchcase(each.run, pattern) for each in found):
            rule = f"the name of a run in {where}"
            raise CompareError(refusal("RUN", shown(pattern), rule, "Name other runs, or put the pattern in quotes."))
    return sorted((each for each in found if _matches(each.run, patterns)), key=lambda each: each.run)


def _matches(run: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(run, pattern) for pattern in patterns)


def settings(identity: Mapping[str, Any]) -> dict[str, Scalar]:
    """Return the leaves of an identity by dotted key."""
    return {dotted(key): value for key, value in _leaves(identity, ()) if key[0] not in _NO_SETTINGS}


def _leaves(value: Any, key: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Scalar]]:  # noqa: ANN401
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _leaves(each, (*key, str(name)))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _leaves(each, (*key, index))
    elif key:
        yield key, value


def _results(found: Mapping[str, Any]) -> dict[str, float | None]:
    return {str(name): finite(value) for name, value in found.items()}


def differing(found: Sequence[Compared]) -> list[str]:
    """Return the keys in which the runs differ, those of the trainer first."""
    keys = {key: None for each in found for key in each.settings}
    differ = [key for key in keys if len({repr(each.settings.get(key)) for each in found}) > 1]
    return sorted(differ, key=lambda key: (not key.startswith("trainer."), key))
