"""Turns what `tfd check` reports about a job file into findings, without the values that may be secret."""

from __future__ import annotations

from typing import Any

from tfd.jobfile.helm_yaml import Key
from tfd.jobfile.jobfile import Problem
from tfd.review.analysis import fixes
from tfd.review.analysis.findings import Finding, Level, Message, Value, parsed
from tfd.review.sources.job_files import CommittedJobFile
from tfd.text import dotted, shown

# Below these keys is free text for programs, and a password in it has no form.
_PRIVATE = ("env", "command", "args")
_KINDS = {str: "a string", bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "a mapping"}


def finding(job: CommittedJobFile, problem: Problem, version: str) -> Finding:
    """Return the finding for a problem of a job file; `version` is the chart version to suggest."""
    fix = fixes.suggestion(job, problem, version)
    message = _message(job, problem)
    return Finding(Level.REFUSED, job.path, message, problem.line, problem.column, suggestion=fix)


def _message(job: CommittedJobFile, problem: Problem) -> Message:
    """Return the message of a problem; below the private keys with the type of the value instead of the value."""
    if problem.key[:1] and problem.key[0] in _PRIVATE:
        value = _value(job.values, problem.key)
        start = " ".join([f"{dotted(problem.key)}:", "got", *shown(value).split()]) + ";"
        kind = _KINDS.get(type(value))
        if kind and problem.message.startswith(start):
            return Message((Value(dotted(problem.key)), ": got", f" {kind};{problem.message[len(start) :]}"))
    return parsed(problem.message)


def _value(values: Any, key: Key) -> Any:  # noqa: ANN401 - any value of a job file
    for part in key:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return None
    return values
