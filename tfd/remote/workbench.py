"""A workbench in the cluster: start it again where it has ended, wait until it is ready, and forward its ports."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tfd.kinds import WORKBENCH
from tfd.kubernetes import TOKEN_END, Object, condition, workbench_selector
from tfd.remote.forward import forward
from tfd.remote.kubectl import ClusterError, Kubectl, NotFoundError
from tfd.remote.lists import listed
from tfd.remote.snapshot import newest, newest_warnings
from tfd.remote.tasks import State, failure, job_condition, state_of
from tfd.text import refusal

PROGRAMS = {"editor": ("JupyterLab", "/lab"), "tensorboard": ("TensorBoard", "/")}
"""Name of each port of the Service -> the program, and the path at which a browser finds it."""
_POLL = 1.0
_BY_HELM = "meta.helm.sh/release-name"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Access:
    """The addresses of a running workbench on this machine."""

    addresses: dict[str, str]
    """JupyterLab and TensorBoard -> address without the token."""
    token: str
    """The token; empty without the right to read it."""
    why: str = ""
    """Why the token is not known."""

    def as_json(self) -> dict[str, Any]:
        """Return the addresses for machines."""
        return {"addresses": self.addresses, "token": self.token or None, "why": self.why}


@dataclass(frozen=True)
class _Objects:
    service: Object
    job: Object | None
    """The Job, unless somebody has deleted it."""


def connect(
    kubectl: Kubectl, name: str, ports: dict[str, int | None], report: Say, ready: Callable[[Access], None]
) -> None:
    """Make a workbench ready and forward its ports until interrupted.

    Args:
        kubectl: kubectl in the namespace of the workbench.
        name: name of the workbench.
        ports: the port of this machine for each port of the Service by name; None for a free one.
        report: called with what the workbench waits for.
        ready: called once the addresses answer.

    Raises:
        NotFoundError: there is no such workbench, it has no token, or it cannot start.
        ClusterError: the cluster did not answer, a right is missing, or the connection broke.

    """
    found = _look(kubectl, name)
    token, why = _token(kubectl, name, found.job)
    _start(kubectl, name, found, report)
    _wait(kubectl, name, report)
    names = {each["name"]: int(each["port"]) for each in found.service["spec"]["ports"]}

    def answers(local: dict[int, int]) -> None:
        addresses = {
            PROGRAMS[port][0]: f"http://127.0.0.1:{local[number]}{PROGRAMS[port][1]}" for port, number in names.items()
        }
        ready(Access(addresses, token, why))

    wanted = {number: ports.get(port) or 0 for port, number in names.items()}
    forward(kubectl, str(found.service["metadata"]["name"]), wanted, answers)


def _look(kubectl: Kubectl, name: str) -> _Objects:
    """Return the objects of a workbench."""
    items = kubectl.items("services,jobs", "-l", workbench_selector(name))
    service = next((item for item in items if item["kind"] == "Service"), None)
    if service is None:
        where = f"namespace {kubectl.namespace}" if kubectl.namespace else "the namespace of the current context"
        fix = f"Merge {WORKBENCH.path}, or name the namespace with -n."
        raise NotFoundError(refusal("workbench", json.dumps(name), f"a workbench in {where}", fix))
    jobs = [item for item in items if item["kind"] == "Job" and "deletionTimestamp" not in item["metadata"]]
    # After a commit, the Job of the earlier session may exist for a moment.
    return _Objects(service, max(jobs, key=_age, default=None))


def _age(item: Object) -> str:
    return str(item["metadata"]["creationTimestamp"])


def _start(kubectl: Kubectl, name: str, found: _Objects, report: Say) -> None:
    """Delete the Job of a workbench that has ended. Argo CD creates it again, and the home stays."""
    how, why = job_condition(found.job)
    if found.job and not how:
        return
    if _BY_HELM in found.service["metadata"].get("annotations", {}):
        namespace = f" -n {kubectl.namespace}" if kubectl.namespace else ""
        # Another Job has another name, and Helm deletes the one that has ended.
        session = f" --set session={_session(found.job) + 1}" if found.job else ""
        command = f"helm upgrade {name} {WORKBENCH.chart}{namespace} --reuse-values{session}"
        raise NotFoundError(f"The workbench {name} has ended. To start it again, run: {command}")
    if found.job:
        report(f"{name} has ended ({why or how}). Starting it again ...")
        kubectl.run("delete", "job", str(found.job["metadata"]["name"]), "--cascade=foreground", "--wait")


def _session(job: Object) -> int:
    return int(str(job["metadata"]["name"]).rpartition("-")[2])


def _wait(kubectl: Kubectl, name: str, report: Say) -> None:
    """Wait until the pod of a workbench is ready."""
    said = ""
    while True:
        job = _look(kubectl, name).job
        how, why = job_condition(job)
        pods = kubectl.items("pods", "-l", workbench_selector(name)) if job else []
        pod = newest(sorted((each for each in pods if _is_of(each, job)), key=_age))
        if how:
            raise NotFoundError(f"The workbench {name} has ended: {_words(pod) or why or how}")
        if pod and condition(pod, "Ready").get("status") == "True" and "deletionTimestamp" not in pod["metadata"]:
            return
        if (words := _waits(kubectl, job, pod)) != said:
            report(f"{name}: {words}")
            said = words
        time.sleep(_POLL)


def _is_of(pod: Object, job: Object | None) -> bool:
    """Return whether a pod is one of a Job."""
    owners = pod["metadata"].get("ownerReferences", [])
    return job is not None and any(each["uid"] == job["metadata"]["uid"] for each in owners)


def _words(pod: Object | None) -> str:
    return failure(pod) if pod and pod["status"].get("phase") == "Failed" else ""


def _waits(kubectl: Kubectl, job: Object | None, pod: Object | None) -> str:
    """Return what a workbench that is not ready waits for."""
    if job is None:
        return "waits for Argo CD to create its Job"
    warnings = _warnings(kubectl)
    if pod is None:
        suspended = "waits in its queue" if job["spec"].get("suspend") else ""
        return suspended or warnings.get(job["metadata"]["name"], "waits for its pod")
    state, why = state_of(pod, warnings)
    words = "running, but does not answer yet" if state is State.RUNNING else state.value
    return f"{words}: {why}" if why else words


def _warnings(kubectl: Kubectl) -> dict[str, str]:
    try:
        return newest_warnings(listed("events", kubectl.current_namespace(), fieldSelector="type=Warning"))
    except ClusterError:  # The right to read events is missing.
        return {}


def _token(kubectl: Kubectl, name: str, job: Object | None) -> tuple[str, str]:
    """Return the token, and why it is not known."""
    volumes = job["spec"]["template"]["spec"].get("volumes", []) if job else []
    source = next((each["secret"] for each in volumes if each["name"] == "token"), None)
    secret, key = (source["secretName"], source["items"][0]["key"]) if source else (f"{name}{TOKEN_END}", "token")
    try:
        found = kubectl.run("get", "secret", secret, "--ignore-not-found", "-o", "json")
    except ClusterError as error:
        return "", f"The token is {key} of Secret {secret}. To show it, you need the right to get this Secret: {error}"
    data = json.loads(found.strip() or "{}").get("data", {})
    if key not in data:
        where = f"-n {kubectl.namespace} " if kubectl.namespace else ""
        fix = f"Run kubectl {where}create secret generic {secret} --from-literal={key}=$(openssl rand -hex 24)."
        raise NotFoundError(refusal(f"Secret {secret}", "nothing", f"the token as {key}", fix))
    return base64.b64decode(data[key]).decode().strip(), ""
