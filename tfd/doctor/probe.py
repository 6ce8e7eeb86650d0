"""What only pods can show: an image, a ReadWriteMany claim, and whether NetworkPolicy is enforced."""

from __future__ import annotations

import secrets
import signal
import sys
import time
from collections.abc import Callable

from tfd.doctor.answers import allowed
from tfd.doctor.finding import Finding, fail, ok, warn
from tfd.doctor.objects import CLAIM, CLIENT, PORT, REACH, SERVER, ingress, labels, probing
from tfd.kubernetes import COMPONENT_LABEL, Object, condition
from tfd.remote.kubectl import ClusterError, Kubectl
from tfd.remote.render import heed_interrupts
from tfd.remote.tasks import failure, held_up

TO_START, TO_ENFORCE, EVERY = 180.0, 30.0, 1.0
"""Time limits and the time between two looks, in seconds."""
_KINDS = "pods,persistentvolumeclaims,networkpolicies"
_SHARED = "ReadWriteMany"
_CONNECT = "Allow the pods of a namespace to connect, in the network plugin and its own policies."


def checked(team: str, image: str, storage_class: str | None, claim: str | None) -> list[Finding]:
    """Start three pods and a claim in the namespace of a team, return what they show, and delete them.

    Args:
        team: the namespace.
        image: an image with Python.
        storage_class: class of the claim; None for the default of the cluster.
        claim: an existing claim to write to, which stays; None for a new one.

    Raises:
        ClusterError: the cluster did not answer.

    """
    kubectl, name = Kubectl(team), f"tfd-doctor-{secrets.token_hex(3)}"
    chosen = ",".join(f"{key}={value}" for key, value in labels(name).items())
    heed_interrupts()
    # A CI service and `timeout` send SIGTERM, which ends Python before it deletes anything.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        kubectl.apply(*probing(name, image, storage_class, claim))
        pods = _started(kubectl, chosen)
        network = allowed("NetworkPolicy", lambda: [_network(kubectl, pods, name)])
        return [_image(pods, image), _claim(kubectl, pods, claim or name), *network]
    finally:
        _delete(kubectl, chosen)


def _delete(kubectl: Kubectl, chosen: str) -> None:
    words = ("delete", _KINDS, "-l", chosen)
    try:
        kubectl.run(*words, "--wait=false", "--ignore-not-found")
    except ClusterError as error:
        left = f"kubectl --namespace {kubectl.namespace} {' '.join(words)}"
        raise ClusterError(f"{error}. Delete the objects of the probe: {left}") from error


def _started(kubectl: Kubectl, chosen: str) -> dict[str, Object]:
    """Return the pods by component as soon as all run, have ended or cannot start, or at the time limit."""
    pods: dict[str, Object] = {}

    def settled() -> bool:
        pods.update({each["metadata"]["labels"][COMPONENT_LABEL]: each for each in kubectl.items("pods", "-l", chosen)})
        pending = [
            each for each in pods.values() if each["status"].get("phase") not in ("Running", "Succeeded", "Failed")
        ]
        writing = pods[CLAIM]["status"].get("phase") == "Running"
        return not writing and all(held_up(each) for each in pending)

    _wait(settled, TO_START)
    return pods


def _image(pods: dict[str, Object], image: str) -> Finding:
    """Return whether a node could pull the image."""
    if any(each["status"].get("phase") in ("Running", "Succeeded") for each in pods.values()):
        return ok("image", f"pulled {image}")
    if condition(pods[SERVER], "PodScheduled").get("status") == "False":
        return warn("image", f"unknown, because a pod has no node: {_why(pods[SERVER])}", "Repeat the command later.")
    fix = "Give the nodes access to the registry, or set another image in job files and with --image."
    return fail("image", f"{image}: {_why(pods[SERVER])}", fix)


def _claim(kubectl: Kubectl, pods: dict[str, Object], name: str) -> Finding:
    """Return whether a task could write to a claim, and tasks on other nodes too."""
    check = f"{_SHARED} claim"
    fix = "Name a StorageClass with ReadWriteMany volumes: --storage-class here, storageClassName in job files."
    found = kubectl.items("persistentvolumeclaims", "--field-selector", f"metadata.name={name}")
    if not found:
        return fail(check, f"{name} does not exist", "Create the claim, or name another one with --claim.")
    phase, modes = found[0]["status"].get("phase"), found[0]["spec"]["accessModes"]
    if phase != "Bound":
        return fail(check, f"{phase}: {_why(pods[CLAIM])}", fix)
    if pods[CLAIM]["status"].get("phase") != "Succeeded":
        return fail(check, f"not writable for UID 65534: {_why(pods[CLAIM])}", fix)
    if _SHARED not in modes:
        other = "Use a claim with ReadWriteMany, unless all pods of its runs are on one node."
        return warn(check, f"writable, with {', '.join(modes)}", other)
    return ok(check, "bound and writable")


def _network(kubectl: Kubectl, pods: dict[str, Object], name: str) -> Finding:
    """Return whether a policy closes a port that was open before."""
    check = "NetworkPolicy"
    for each in (SERVER, CLIENT):
        if pods[each]["status"].get("phase") != "Running":
            return warn(check, f"unknown, because a pod did not run: {_why(pods[each])}", "Repeat the command later.")
    address = str(pods[SERVER]["status"]["podIP"])

    def is_open() -> bool:
        return "open" in kubectl.inside(f"{name}-{CLIENT}", "python3", "-c", REACH, address, str(PORT))

    if not _wait(is_open, TO_ENFORCE):
        return fail(check, "two pods do not reach each other, though a policy allows it", _CONNECT)
    kubectl.apply(ingress(name, is_open=False))
    if not _wait(lambda: not is_open(), TO_ENFORCE):
        fix = "Install a network plugin that enforces NetworkPolicy: the gRPC port of TensorFlow has no authentication."
        return fail(check, f"not enforced within {TO_ENFORCE:.0f} s", fix)
    return ok(check, "enforced")


def _wait(state: Callable[[], bool], seconds: float) -> bool:
    """Return whether a state was reached in time."""
    end = time.monotonic() + seconds
    while not state():
        if time.monotonic() >= end:
            return False
        time.sleep(EVERY)
    return True


def _why(pod: Object) -> str:
    """Return why a pod does not run."""
    if pod["status"].get("phase") == "Failed":
        return failure(pod)
    return held_up(pod) or str(condition(pod, "PodScheduled").get("message") or "the pod did not start in time")
