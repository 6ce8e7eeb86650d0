"""Writes the facts about a new workbench: its programs, who reaches them, what it may write, and when it ends."""

from __future__ import annotations

from collections.abc import Iterator

from tfd.review.analysis.key_changes import KeyChange
from tfd.review.analysis.run_review import RunReview
from tfd.review.output.redaction import Redactor
from tfd.review.output.shown import Shown, count, joined

_POLICIES = {
    "identity": "never changes; the home keeps its class",
    "immutable": "needs a higher session, which starts the workbench again",
    "mutable": "in place",
    "metadata": "in place; labels and annotations of objects, never of a pod",
}
_PROGRAMS = {"editor": "JupyterLab", "tensorboard": "TensorBoard"}


def facts(run: RunReview, redactor: Redactor, shown: Shown) -> Iterator[str]:
    """Yield the facts about a new workbench, one line each."""
    assert run.merged_rendering is not None  # noqa: S101
    assert run.rights is not None  # noqa: S101
    yield _programs(run, redactor)
    yield ", ".join(f"image {shown.value(each.value, redactor, 'an image')}" for each in run.rights.images)
    yield _end(run, redactor)
    yield _storage(run, redactor)
    for claim in run.rights.new_claims:
        yield f"home {redactor.code(claim.value)} of {redactor.code(claim.where)}, which stays when the file is deleted"
    if run.rights.queues:
        yield f"waits in queue {redactor.code(run.rights.queues[0].value)} until it fits into the quota"
    for name in ("owner", "description"):
        if run.effective.get(name):
            yield f"{name} {shown.value(run.effective[name], redactor, f'the {name}', words=True)}"


def policy(change: KeyChange) -> str:
    """Return what a changed key does to a workbench."""
    return "starts the workbench again" if change.key == ("session",) else _POLICIES[change.kind]


def _programs(run: RunReview, redactor: Redactor) -> str:
    """Return the programs with their ports, and who may reach them."""
    assert run.merged_rendering is not None  # noqa: S101
    ports = [
        f"{_PROGRAMS.get(port['name'], port['name'])} at port {port['port']}"
        for item in run.merged_rendering.objects
        if item["kind"] == "Service"
        for port in item["spec"]["ports"]
    ]
    spaces = [redactor.code(each.value) for each in run.rights.ingress_namespaces] if run.rights else []
    pods = f"pods of {joined(spaces)} and " if spaces else ""
    return f"{joined(ports)}, with a token; reached by {pods}`kubectl port-forward` only"


def _end(run: RunReview, redactor: Redactor) -> str:
    """Return when the workbench frees what it holds."""
    assert run.merged_rendering is not None  # noqa: S101
    held = count(run.merged_rendering.request.gpus, "GPU")
    if not run.effective.get("editor"):
        return f"never ends by itself; holds {held}"
    idle = redactor.code(run.effective.get("idleAfter"))
    return f"ends after {idle} without work; holds {held} until then, without an upper bound"


def _storage(run: RunReview, redactor: Redactor) -> str:
    """Return which runs the workbench sees, and whether it may change them."""
    storage = run.effective.get("storage") or {}
    place = next(((kind, storage[kind]) for kind in ("claim", "uri") if storage.get(kind)), None)
    if place is None:
        return "sees no storage of runs"
    text = f"storage {place[0]} {redactor.code(place[1])}"
    if storage.get("writable"):
        return f"**may change and delete every run** of {text}"
    return f"reads {text}" if place[0] == "claim" else f"shows {text}, with the rights of its service account"
