"""The progress of a run: from its status.json, else from its log, else from the termination message of its leader."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tfd import records
from tfd.kubernetes import Object
from tfd.remote.kubectl import ClusterError, Kubectl
from tfd.remote.snapshot import Objects, has_begun, is_running, newest, variable
from tfd.remote.tasks import termination_message

_STEP = re.compile(
    r"step (?P<step>\d+)/(?P<steps>\d+)"
    r"(?: loss (?P<loss>-?\d+(?:\.\d+)?(?:e[-+]?\d+)?|not a number|-))?"
    r"(?: (?P<rate>\d+(?:\.\d+)?) steps/s)?"
)
_LINES = "200"


def progress(kubectl: Kubectl, objects: Objects) -> dict[str, Any]:
    """Return the known fields of status.json and their `source`; empty if none is known."""
    for pod, path in _places(objects):
        try:
            found = records.parse(kubectl.inside(pod, "cat", path))
        except ClusterError:  # not written yet, no cat in the image, no permission to exec
            continue
        if found:
            return {**found, "source": "status.json"}
    if (started := _started(objects)) and (known := _from_log(kubectl, started)):
        return {**known, "source": "log"}
    return last_words(objects)


def last_words(objects: Objects) -> dict[str, Any]:
    """Return the termination message of the leader and its `source`; empty while it runs. It costs no request."""
    pods = _leading(objects)
    if any(map(is_running, pods)):
        return {}
    words = [found for found in map(termination_message, pods) if found]
    # Any worker may have led an elastic run, and only the leader has metrics.
    best = next((found for found in words if found.get("metrics")), words[0] if words else {})
    return {**best, "source": "termination message"} if best else {}


def leading_task(kubectl: Kubectl, objects: Objects) -> str:
    """Return the task that leads a run: in an elastic run without a chief, that in status.json, or one with a log."""
    names = objects.tasks(objects.leader)
    if not objects.elastic or len(names) == 1:
        return f"{objects.leader}-0"
    begun = [name for name in names if (pod := newest(objects.pods.get(name, []))) and has_begun(pod)]
    chosen = str(progress(kubectl, objects).get("leader"))
    return chosen if chosen in begun else next(iter(begun), names[0])


def _leading(objects: Objects) -> list[Object]:
    """Return the newest pods of the tasks that may lead: the chief, or the workers of a run without a chief."""
    found = (newest(objects.pods.get(name, [])) for name in objects.tasks(objects.leader))
    return [pod for pod in found if pod is not None]


def _started(objects: Objects) -> Object | None:
    """Return the first of those pods that has a log."""
    return next(filter(has_begun, _leading(objects)), None)


def _places(objects: Objects) -> Iterator[tuple[str, str]]:
    """Yield the running pods that mount the run directory, and the path of status.json in them."""
    candidates = [newest(pods) for pods in objects.pods.values()]
    running = [pod for pod in candidates if pod is not None and is_running(pod)]
    # The leader comes first: with ephemeral storage only its pod has the file.
    leader = f"{objects.run}-{objects.leader}-"
    running.sort(key=lambda pod: not pod["metadata"]["name"].startswith(leader))
    storage = (objects.identity.get("storage") or {}).get("at") or "/runs"
    known = (variable(pod["spec"], "RUN_DIR") for pod in candidates if pod is not None)
    directory = next(filter(None, known), f"{storage}/{objects.run}")
    if not directory.startswith("/"):
        return  # No pod mounts a bucket.
    for pod in [*running[:1], *([objects.tensorboard] if objects.tensorboard else [])]:
        yield pod["metadata"]["name"], f"{directory}/status.json"


def _from_log(kubectl: Kubectl, pod: Object) -> dict[str, Any]:
    try:
        log = kubectl.run("logs", pod["metadata"]["name"], "--tail", _LINES)
    except ClusterError:  # its container has not started
        return {}
    return from_lines(log)


def from_lines(log: str) -> dict[str, Any]:
    """Return step, loss and rate from the last line of a log with `step N/M`; your script may print it too."""
    found = None
    for found in _STEP.finditer(log):  # noqa: B007 - the last one counts
        pass
    if found is None:
        return {}
    step, steps = int(found["step"]), int(found["steps"])
    known: dict[str, Any] = {"step": step, "steps": steps}
    if (loss := found["loss"]) and loss[-1].isdigit():
        known["loss"] = float(loss)
    elif loss == "not a number":
        known["lossIsNotANumber"] = True
    if rate := float(found["rate"] or 0):
        known |= {"stepsPerSecond": rate, "etaSeconds": (steps - step) / rate}
    return known
