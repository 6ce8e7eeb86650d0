"""`tfd new`: a merged run never changes, so what one does instead is to copy its file to a new run."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from tfd.jobfile import helm, helm_yaml
from tfd.jobfile.jobfile import JobFile

JOBS = Path("jobs")
REFUSED = 1


class CopyError(Exception):
    """The copy can't be made; the message says why and what to do."""


@click.command()
@click.argument("target", metavar="TEAM/RUN")
@click.option("--from", "source", required=True, metavar="TEAM/OLD", help="Run to copy.")
@click.option("--warm-start", is_flag=True, help="Start from the newest checkpoint of OLD instead of step 0.")
def new(target: str, source: str, warm_start: bool) -> None:
    """Copy the job file of TEAM/OLD to jobs/TEAM/RUN.yaml, comments included, for the chart of this checkout.

    The copy is active, whatever the state of OLD. It is never written over a file that is there.

    Exits with 1 when the copy would be refused; then nothing is written.
    """
    try:
        old, path = _job_path(source), _job_path(target)
        if not old.is_file():
            raise CopyError(f"{old}: no such job file: name a run as TEAM/RUN, in a checkout with its file")
        if warm_start and old.parent != path.parent:
            raise CopyError(f"--warm-start: {target} is of another team than {source}, so it does not see its storage")
        text = copy_of(old.read_text(encoding="utf-8"), old, warm_start=warm_start)
        _check(text, path)
        _write_new(path, text)
    except (CopyError, helm.HelmError, UnicodeDecodeError, helm_yaml.YamlError) as error:
        click.echo(str(error), err=True)
        sys.exit(REFUSED)
    click.echo(f"{path}: written; change it, then `tfd check {path}` and commit")


def copy_of(text: str, old: Path, *, warm_start: bool) -> str:
    """Return the text of a job file as a new run on the current chart.

    Args:
        text: the job file.
        old: its path.
        warm_start: start from its newest checkpoint.

    Raises:
        CopyError: it is not written in a way in which single lines can be changed.

    """
    document = helm_yaml.load(text)
    before = document.value
    if not isinstance(before, dict):
        raise CopyError(f"{old}: a job file is a mapping: run `tfd check {old}`")
    wanted: dict[str, Any] = before | {"chartVersion": _chart_version()}
    wanted.pop("state", None)
    if warm_start:
        wanted["warmStartFrom"] = old.stem
        if isinstance(before.get("storage"), dict) and "create" in before["storage"]:
            wanted["storage"] = {"claim": old.stem}
    if before != wanted and any(column > 1 for key, (_, column) in document.positions.items() if len(key) == 1):
        raise CopyError(f"{old}: can't change single keys of it: write each top-level key on a line of its own")
    for key in ("chartVersion", "state", "warmStartFrom", "storage"):
        if before.get(key) != wanted.get(key):
            text = _with_key(text, key, wanted.get(key))
    return text


def _with_key(text: str, key: str, value: Any) -> str:  # noqa: ANN401 - any value of a job file
    """Return `text` with a top-level key set, or removed when `value` is None; the lines around it stay as they are."""
    positions = helm_yaml.load(text).positions
    tops = sorted(at[0] - 1 for place, at in positions.items() if len(place) == 1)
    lines = text.splitlines()
    if (key,) not in positions:
        # chartVersion comes first, as in every example; the rest last.
        lines.insert(tops[0] if key == "chartVersion" else len(lines), f"{key}: {_flow(value)}")
        return "\n".join(lines) + "\n"
    start = positions[(key,)][0] - 1
    end = next((line for line in tops if line > start), len(lines))
    while end > start + 1 and re.fullmatch(r"\s*(#.*)?", lines[end - 1]):
        end -= 1  # blank lines and comments belong to what follows
    comment = re.search(r"\s+#.*$", lines[start]) if end == start + 1 else None
    line = f"{key}: {_flow(value)}{comment[0] if comment else ''}"
    lines[start:end] = [] if value is None else [line]
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:  # noqa: ANN401 - a string, or a mapping of one
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {text}' for name, text in value.items())}}}"
    return str(value)


def _chart_version() -> str:
    return str(helm_yaml.load((helm.CHART / "Chart.yaml").read_text(encoding="utf-8")).value["version"])


def _job_path(name: str) -> Path:
    if not re.fullmatch(r"[a-z0-9][-a-z0-9]*/[a-z][-a-z0-9]*", name):
        raise CopyError(f"got {name!r}, but a run is named TEAM/RUN: lower-case letters, digits and -")
    return JOBS / f"{name}.yaml"


def _check(text: str, path: Path) -> None:
    """Raise CopyError if the copy would be refused."""
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / path
        draft.parent.mkdir(parents=True)
        draft.write_text(text, encoding="utf-8")
        if problems := JobFile(draft).problems():
            raise CopyError("\n".join(str(replace(problem, path=path)) for problem in problems))


def _write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet, all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        draft.write_text(text, encoding="utf-8")
        os.link(draft, path)
    except FileExistsError:
        raise CopyError(f"{path}: is there already: choose another name") from None
    finally:
        draft.unlink(missing_ok=True)
