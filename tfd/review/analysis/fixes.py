"""What to type, or which line to write, to mend what a review refuses."""

from __future__ import annotations

import re
from collections.abc import Container

from tfd.jobfile.jobfile import Problem
from tfd.review.analysis.findings import Suggestion
from tfd.review.sources.job_files import Job

# A bare name is one of the same block; a key of another block is not mended by one line.
_MISSPELT = re.compile(r"(?:.*\.)?([^.\s]+): unknown key: did you mean (\w+)\?")
_VERSION = re.compile(r'chartVersion: got ".*; set chartVersion: ([0-9.]+), or')


def suggestion(job: Job, problem: Problem) -> Suggestion | None:
    """Return the one line that mends a problem of a job file, if one line does."""
    line = job.data.decode(errors="replace").splitlines()[problem.line - 1 : problem.line]
    if not line:
        return None
    before, at_key = line[0][: problem.column - 1], line[0][problem.column - 1 :]
    if misspelt := _MISSPELT.fullmatch(problem.message):
        wrong, right = misspelt.groups()
        if at_key.startswith(wrong):
            return Suggestion(problem.line, before + right + at_key.removeprefix(wrong))
    if version := _VERSION.match(problem.message):
        return Suggestion(problem.line, re.sub(r"(chartVersion: *)[^\s#,}]+", rf"\g<1>{version[1]}", line[0]))
    return None


def with_chart_version(job: Job, version: str) -> Suggestion | None:
    """Return the line that gives a job file its chartVersion, above its first key."""
    if job.document is None:
        return None
    first = min((at for key, at in job.document.positions.items() if len(key) == 1), default=(1, 2))
    if first[1] != 1:
        return None  # {a: b}: no line of its own
    line = job.data.decode().splitlines()[first[0] - 1]
    return Suggestion(first[0], f"chartVersion: {version}\n{line}")


def next_name(run: str, taken: Container[str]) -> str:
    """Return the name for a copy of `run`: its number counted up, or -2 added, until it is free."""
    stem, _, number = run.rpartition("-")
    if not stem or not number.isdecimal():
        stem, number = run, "1"
    count = int(number) + 1
    while f"{stem}-{count}" in taken:
        count += 1
    return f"{stem}-{count}"


def copy_command(job: Job, base: str, taken: Container[str]) -> str:
    """Return the commands that carry a change of a run, as it is in the working tree, over to a new one."""
    copy = f"{job.team}/{next_name(job.run, taken)}"
    return f"tfd new {copy} --from {job.name} && git checkout {base[:12]} -- {job.path}"
