"""Copies a job file to a new run, because a merged run never changes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tfd import assets
from tfd.jobfile import helm_yaml, writing
from tfd.jobfile.edit import EditError, with_scalar, with_top, word
from tfd.jobfile.grid import Axis, GridError, points
from tfd.kubernetes import CLAIM_END
from tfd.text import refusal, shown

JOBS = Path("jobs")


class CopyError(Exception):
    """The copy is refused; the message names the reason and the fix."""


def copy(target: str, source: str, *, warm_start: bool, axes: Sequence[Axis] = ()) -> list[Path]:
    """Write the job files of new runs, as copies of another one, and return their paths.

    Args:
        target: TEAM/RUN.
        source: TEAM/OLD; examples/NAME is an example that comes with tfd, unless jobs/examples exists.
        warm_start: start from the newest checkpoint of OLD.
        axes: with keys and values, each combination is one run, whose name begins with RUN.

    Raises:
        CopyError: a name or a copy is refused, or a file exists; nothing is written.
        HelmError: Helm is missing.

    """
    old, path = _source(source), _job_path(target)
    if warm_start and old.parent.name != path.parent.name:
        fix = f"Name a run of team {old.parent.name}, or leave out --warm-start."
        raise CopyError(refusal("--warm-start", f"a run of team {old.parent.name}", "a run of the same team", fix))
    try:
        text = copy_of(old.read_text(encoding="utf-8"), old, warm_start=warm_start)
        texts = {path: text} if not axes else _points(text, path, axes)
    except UnicodeDecodeError as error:
        got = f"invalid UTF-8 ({error.reason} at byte {error.start})"
        raise CopyError(refusal(str(old), got, "UTF-8 text", "Save the file as UTF-8.")) from error
    except (helm_yaml.YamlError, EditError) as error:
        raise CopyError(f"{old}: {error}") from error
    for each, content in texts.items():
        _check(content, each)
    _write_all(texts)
    return list(texts)


def _points(text: str, path: Path, axes: Sequence[Axis]) -> dict[Path, str]:
    """Return the file of each point of a sweep."""
    try:
        found = points(path.stem, axes)
    except GridError as error:
        raise CopyError(str(error)) from None
    texts = {}
    for point in found:
        content = text
        for key, value in point.values.items():
            content = with_scalar(content, key, value)
        texts[path.with_name(f"{point.name}.yaml")] = content
    return texts


def _write_all(texts: Mapping[Path, str]) -> None:
    """Write new files: all, or none if one of them exists or cannot be written."""
    written: list[Path] = []
    try:
        for path, content in texts.items():
            writing.write(path, content)
            written.append(path)
    except BaseException as error:
        for path in written:
            path.unlink()
        if isinstance(error, writing.WriteError):
            raise CopyError(str(error)) from None
        raise


def copy_of(text: str, old: Path, *, warm_start: bool) -> str:
    """Return the text of a job file as a new run on the current chart.

    Args:
        text: the job file.
        old: its path.
        warm_start: start from its newest checkpoint.

    Raises:
        CopyError: the document is not a mapping.
        EditError: its top-level keys do not stand on lines of their own.

    """
    document = helm_yaml.load(text)
    before = document.value
    if not isinstance(before, dict):
        raise CopyError(refusal(str(old), shown(before), "a mapping", f"Run tfd check {old}."))
    wanted: dict[str, Any] = before | {"chartVersion": chart_version()}
    wanted.pop("state", None)
    if warm_start:
        wanted["warmStartFrom"] = word(old.stem)
        if isinstance(before.get("storage"), dict) and "create" in before["storage"]:
            wanted["storage"] = {"claim": f"{old.stem}{CLAIM_END}"}
    for key in ("chartVersion", "state", "warmStartFrom", "storage"):
        if before.get(key) != wanted.get(key):
            text = with_top(text, key, wanted.get(key))
    return text


def chart_version() -> str:
    """Return the version of the chart of this `tfd`."""
    return str(helm_yaml.load((assets.CHART / "Chart.yaml").read_text(encoding="utf-8")).value["version"])


def _job_path(name: str) -> Path:
    # A team is a namespace of at most 63 characters. The chart has a lower limit for runs, and names it itself.
    if not re.fullmatch(r"[a-z0-9][-a-z0-9]{,62}/[a-z][-a-z0-9]{,62}", name):
        rule = "TEAM/RUN with lower-case letters, digits and -, each of at most 63 characters"
        raise CopyError(refusal("run", shown(name), rule, "Name the run as TEAM/RUN."))
    return JOBS / f"{name}.yaml"


def _source(name: str) -> Path:
    old = _job_path(name)
    if old.parent == JOBS / "examples" and not old.parent.is_dir():
        old = assets.EXAMPLES / old.name
    if not old.is_file():
        fix = "Name a run as TEAM/RUN and start tfd in the root of the repository."
        raise CopyError(refusal(str(old), "no file", "a job file", fix))
    return old


def _check(text: str, path: Path) -> None:
    """Raise CopyError if the copy would be refused."""
    if problems := writing.problems(path, text):
        raise CopyError("\n".join(str(replace(problem, path=path)) for problem in problems))
