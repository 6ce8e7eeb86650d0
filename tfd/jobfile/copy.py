"""Copies a job file to a new run, because a merged run never changes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from tfd import assets
from tfd.jobfile import helm_yaml, writing
from tfd.kubernetes import CLAIM_END
from tfd.text import refusal, shown

JOBS = Path("jobs")


class CopyError(Exception):
    """The copy is refused; the message names the reason and the fix."""


def copy(target: str, source: str, *, warm_start: bool) -> Path:
    """Write the job file of a new run, as a copy of another one, and return its path.

    Args:
        target: TEAM/RUN.
        source: TEAM/OLD; examples/NAME is an example that comes with tfd, unless jobs/examples exists.
        warm_start: start from the newest checkpoint of OLD.

    Raises:
        CopyError: a name or the copy is refused; nothing is written.
        HelmError: Helm is missing.

    """
    old, path = _source(source), _job_path(target)
    if warm_start and old.parent.name != path.parent.name:
        fix = f"Name a run of team {old.parent.name}, or leave out --warm-start."
        raise CopyError(refusal("--warm-start", f"a run of team {old.parent.name}", "a run of the same team", fix))
    try:
        text = copy_of(old.read_text(encoding="utf-8"), old, warm_start=warm_start)
    except (UnicodeDecodeError, helm_yaml.YamlError) as error:
        raise CopyError(f"{old}: {error}") from error
    _check(text, path)
    try:
        writing.write(path, text)
    except FileExistsError:
        raise CopyError(refusal(str(path), "an existing file", "a new run", "Choose another name.")) from None
    return path


def copy_of(text: str, old: Path, *, warm_start: bool) -> str:
    """Return the text of a job file as a new run on the current chart.

    Args:
        text: the job file.
        old: its path.
        warm_start: start from its newest checkpoint.

    Raises:
        CopyError: its top-level keys do not stand on lines of their own.

    """
    document = helm_yaml.load(text)
    before = document.value
    if not isinstance(before, dict):
        raise CopyError(refusal(str(old), shown(before), "a mapping", f"Run tfd check {old}."))
    wanted: dict[str, Any] = before | {"chartVersion": chart_version()}
    wanted.pop("state", None)
    if warm_start:
        wanted["warmStartFrom"] = old.stem
        if isinstance(before.get("storage"), dict) and "create" in before["storage"]:
            wanted["storage"] = {"claim": f"{old.stem}{CLAIM_END}"}
    if before != wanted and any(column > 1 for key, (_, column) in document.positions.items() if len(key) == 1):
        fix = "Write each top-level key on a line of its own."
        raise CopyError(refusal(str(old), "several top-level keys on one line", "one key a line", fix))
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
        end -= 1  # blank lines and comments belong to the next key
    comment = re.search(r"\s+#.*$", lines[start]) if end == start + 1 else None
    line = f"{key}: {_flow(value)}{comment[0] if comment else ''}"
    lines[start:end] = [] if value is None else [line]
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:  # noqa: ANN401 - a string, or a mapping of one
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {text}' for name, text in value.items())}}}"
    return str(value)


def chart_version() -> str:
    """Return the version of the chart of this `tfd`."""
    return str(helm_yaml.load((assets.CHART / "Chart.yaml").read_text(encoding="utf-8")).value["version"])


def _job_path(name: str) -> Path:
    if not re.fullmatch(r"[a-z0-9][-a-z0-9]*/[a-z][-a-z0-9]*", name):
        rule = "TEAM/RUN with lower-case letters, digits and -"
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
