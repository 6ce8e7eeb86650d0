"""Fixes for what a review refuses: shell commands and replacement lines."""

from __future__ import annotations

import re
from collections.abc import Container

from tfd.jobfile.jobfile import Problem
from tfd.review.analysis.findings import Suggestion
from tfd.review.sources.job_files import CommittedJobFile

# A version on the line of its key; not a block, an alias or a list.
_VERSION = re.compile(r"""(chartVersion: *)("[^"]*"|'[^']*'|[\w.][^\s#,}]*)""")


def suggestion(job: CommittedJobFile, problem: Problem, version: str) -> Suggestion | None:
    """Return the replacement line that fixes a problem of a job file, if one line is enough.

    Args:
        job: the job file.
        problem: one of its problems.
        version: the chart version to set where chartVersion is the problem.

    """
    line = job.data.decode(errors="replace").splitlines()[problem.line - 1 : problem.line]
    if not line:
        return None
    indent, at_key = line[0][: problem.column - 1], line[0][problem.column - 1 :]
    if problem.replacement and problem.replacement[:-1] == problem.key[:-1]:
        wrong, right = str(problem.key[-1]), str(problem.replacement[-1])
        if at_key.startswith(wrong):
            return Suggestion(problem.line, indent + right + at_key.removeprefix(wrong))
    if problem.key == ("chartVersion",) and _VERSION.match(at_key):
        return Suggestion(problem.line, indent + _VERSION.sub(rf"\g<1>{version}", at_key, count=1))
    return None


def with_chart_version(job: CommittedJobFile, version: str) -> Suggestion | None:
    """Return the line that adds chartVersion above the first key of a job file."""
    if job.document is None:
        return None
    first = min((at for key, at in job.document.positions.items() if len(key) == 1), default=(1, 2))
    if first[1] != 1:
        return None  # In {a: b}, the first key has no line of its own.
    line = job.data.decode().splitlines()[first[0] - 1]
    return Suggestion(first[0], f"chartVersion: {version}\n{line}")


def next_name(run: str, taken: Container[str]) -> str:
    """Return an unused name for a copy of `run`: its number plus one or more, or the suffix -2."""
    stem, _, number = run.rpartition("-")
    if not stem or not number.isdecimal():
        stem, number = run, "1"
    count = int(number) + 1
    while f"{stem}-{count}" in taken:
        count += 1
    return f"{stem}-{count}"


def copy_command(job: CommittedJobFile, base_commit: str, taken: Container[str]) -> str:
    """Return the commands that copy the changed job file to a new run and restore the original."""
    copy = f"{job.team}/{next_name(job.run, taken)}"
    return f"tfd new {copy} --from {job.name} && git checkout {base_commit[:12]} -- {job.path}"
