"""Refuses a file that would own an object or create a claim of another one: Argo CD applies both to one object."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tfd.jobfile import helm
from tfd.review.analysis.findings import Finding, Level, sentence
from tfd.review.analysis.merge import Merge
from tfd.review.analysis.run_review import RunReview
from tfd.review.sources.job_files import CommittedJobFile, Tree
from tfd.review.sources.renderer import Renderer
from tfd.text import dotted

_Names = set[tuple[str, str]]
"""Kind and name of objects."""


def shared_objects(run: RunReview, job: CommittedJobFile, merge: Merge) -> Iterator[Finding]:
    """Yield the objects that a file has after the merge and not before, and that belong to another file.

    Raises:
        HelmError: the chart refuses `job`.

    """
    base = run.base if run.base_rendering else None
    added = _names(job, merge.renderer) - (_names(base, merge.renderer) if base else set())
    before, after = (_mates(job, tree) for tree in (merge.base_tree, merge.merged_tree))
    for other, name in _owners(added, after, merge.renderer):
        message = sentence(
            f"got the object {{}}, which {{}} also has; expected objects of this {job.kind.noun} only. "
            "Rename this file.",
            name, other.path,
        )  # fmt: skip
        yield Finding(Level.REFUSED, job.path, message)
    line, column = job.document.position(job.kind.creates) if job.document else (1, 1)
    created = {name for kind, name in added if kind == "PersistentVolumeClaim"}
    for name, path in dict.fromkeys(_users(created, [*before, *after])):
        message = sentence(
            f"{dotted(job.kind.creates)}: got the new claim {{}}, which {{}} already uses; expected a claim of this "
            f"{job.kind.noun} only. Rename this file.",
            name, path,
        )  # fmt: skip
        yield Finding(Level.REFUSED, job.path, message, line, column)


def _mates(job: CommittedJobFile, tree: Tree) -> list[CommittedJobFile]:
    """Return the other runs and workbenches of the team."""
    return [other for other in tree.jobs.values() if other.team == job.team and other.path != job.path]


def _names(job: CommittedJobFile, renderer: Renderer) -> _Names:
    return {(item["kind"], item["metadata"]["name"]) for item in renderer.active(job).objects}


def _owners(
    added: _Names, mates: Iterable[CommittedJobFile], renderer: Renderer
) -> Iterator[tuple[CommittedJobFile, str]]:
    """Yield each file that has one of the objects, and KIND/NAME of the object.

    Every object has the name of its file or begins with it and a hyphen. So few files are rendered.
    """
    for other in mates:
        near = any(name == other.run or name.startswith(f"{other.run}-") for _, name in added)
        if near and renderer.chart(other):
            try:
                both = added & _names(other, renderer)
            except helm.RefusedError:
                continue  # It never started.
            if both:
                yield other, "/".join(min(both))


def _users(created: set[str], mates: Iterable[CommittedJobFile]) -> Iterator[tuple[str, str]]:
    """Yield each new claim that another job file names, and the path of that file."""
    for other in mates if created else ():
        for name in sorted(created & set(_claims(other.values))):
            yield name, other.path


def _claims(value: Any) -> Iterator[str]:  # noqa: ANN401 - any value of a job file
    """Yield the text of every key `claim`, in whatever block it is."""
    if isinstance(value, dict):
        for name, child in value.items():
            if name == "claim" and isinstance(child, str):
                yield child
            yield from _claims(child)
    elif isinstance(value, list):
        for child in value:
            yield from _claims(child)
