"""Ends runs and workbenches whose pods hold a node but never start, once per call: python start_timeout.py NAMESPACE...

The tasks that run give up after `failure.startTimeout` by themselves. A pod whose image cannot be pulled or whose mount
never comes runs nothing, so it would keep its GPUs until `deadline`. A CronJob of the platform runs this program with
its own service account; the pods of runs have no access to the API. It needs nothing but Python.
"""

import json
import os
import ssl
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

Object = dict[str, Any]
PREFIX = "tf-distributed.github.io"
NAME = "app.kubernetes.io/name"
SELECTOR = quote(f"{NAME} in (tf-distributed,workbench)")
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
PAUSE = 25.0
"""Seconds between the two looks of a call, so that the CronJob, which runs once a minute, looks twice as often."""


def name_of(item: Object) -> str:
    """Return the name of an object."""
    return str(item["metadata"]["name"])


def run_of(item: Object) -> str:
    """Return the run of an object. A workbench may have the name of a run, so a word before its name sets it apart."""
    labels = item["metadata"]["labels"]
    return f"{'workbench ' if is_workbench(item) else ''}{labels.get('app.kubernetes.io/instance', '')}"


def is_workbench(item: Object) -> bool:
    """Return whether an object is one of a workbench."""
    return bool(item["metadata"]["labels"].get(NAME) == "workbench")


def role_of(item: Object) -> str:
    """Return the role of an object."""
    return str(item["metadata"]["labels"].get("app.kubernetes.io/component", ""))


def condition(item: Object, kind: str) -> Object:
    """Return a condition that is True, or an empty mapping."""
    found = item.get("status", {}).get("conditions") or []
    return next((each for each in found if each["type"] == kind and each["status"] == "True"), {})


def is_over(job: Object) -> bool:
    """Return whether a Job has ended."""
    return bool(condition(job, "Complete") or condition(job, "Failed"))


def is_stuck(pod: Object) -> bool:
    """Return whether a pod holds a place on a node and has not started."""
    placed = bool(pod["spec"].get("nodeName")) and pod.get("status", {}).get("phase", "Pending") == "Pending"
    return placed and "deletionTimestamp" not in pod["metadata"]


def start_timeout(pod: Object) -> float:
    """Return `failure.startTimeout` of a pod in seconds; that of a workbench is its default, half an hour."""
    variables = (each for container in pod["spec"]["containers"] for each in container.get("env") or [])
    return float(next((each["value"] for each in variables if each["name"] == "TRAINER_START_TIMEOUT"), "1800"))


def waited(pod: Object, now: float) -> float:
    """Return the seconds since a pod got its node."""
    return now - datetime.fromisoformat(condition(pod, "PodScheduled")["lastTransitionTime"]).timestamp()


def why(pod: Object) -> str:
    """Return what a pod that does not start waits for."""
    status = pod.get("status", {})
    containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    waits = [each["state"]["waiting"] for each in containers if "waiting" in each.get("state", {})]
    reason = next((f"{each.get('reason')}: {each.get('message', '')}" for each in waits), "").rstrip(": ")
    limit = "30 minutes" if is_workbench(pod) else "failure.startTimeout"
    return f"{name_of(pod)} did not start on {pod['spec']['nodeName']} within {limit}: {reason}"


def ends(pods: list[Object], jobs: list[Object], now: float) -> Iterator[tuple[str, Object, str]]:
    """Yield what ends the tasks of one run that hold a node and do not start.

    Yields:
        `end`, a Job and why: no task of the run runs, and a task has not started in time or the run has failed.
        `delete`, a pod and why: the run trains, and a replacement has not started in time. Its Job counts a failure.

    """
    tasks = [pod for pod in pods if "batch.kubernetes.io/job-name" in pod["metadata"]["labels"]]
    stuck = [pod for pod in tasks if is_stuck(pod)]
    late = [pod for pod in stuck if waited(pod, now) >= start_timeout(pod)]
    if any(pod.get("status", {}).get("phase") == "Running" for pod in tasks):
        # The others give up soon after this one is late, and so the run ends as a whole.
        yield from (("delete", pod, why(pod)) for pod in late if waited(pod, now) >= start_timeout(pod) + 60)
        return
    failed = [job for job in jobs if condition(job, "Failed") and role_of(job) != "evaluator"]
    if late or (stuck and failed):
        reason = why((late or stuck)[0])
        yield from (("end", job, reason) for job in jobs if not is_over(job) and not job["spec"].get("suspend"))


class Api:
    """The API server, as the service account of this pod."""

    def __init__(self) -> None:
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        self.address = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        self.context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.context)
        )

    def call(self, method: str, path: str, body: Object | None = None) -> Object:
        """Return the answer to a request."""
        headers = {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}"}
        if body is not None:
            kind = "merge-patch+json" if method == "PATCH" else "json"
            headers["Content-Type"] = f"application/{kind}"
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self.address}{path}", data, headers, method=method)  # noqa: S310
        with self.opener.open(request, timeout=30) as answer:
            return dict(json.load(answer))

    def items(self, path: str) -> list[Object]:
        """Return all objects of a list, which the API server sends in pages."""
        found: list[Object] = []
        more = ""
        while True:
            page = self.call("GET", f"{path}?labelSelector={SELECTOR}&limit=500{more}")
            found += page["items"]
            if not (token := page["metadata"].get("continue")):
                return found
            more = f"&continue={token}"


def log(text: str) -> None:
    """Print a line to the log of the CronJob."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def apply(api: Api, namespace: str, action: str, item: Object, reason: str) -> None:
    """End a Job, or delete a pod. Both may have changed since they were listed."""
    uid = {"uid": item["metadata"]["uid"]}
    log(f"{namespace}/{run_of(item)}: {action} {name_of(item)}: {reason}")
    if action == "delete":
        path = f"/api/v1/namespaces/{namespace}/pods/{name_of(item)}"
        api.call("DELETE", path, {"preconditions": uid})
        return
    annotations = {f"{PREFIX}/ended": reason}
    # A Job has ended once it is older than its deadline.
    patch = {"metadata": uid | {"annotations": annotations}, "spec": {"activeDeadlineSeconds": 1}}
    api.call("PATCH", f"/apis/batch/v1/namespaces/{namespace}/jobs/{name_of(item)}", patch)


def look(api: Api, namespaces: Iterable[str], now: float) -> int:
    """End what holds a node and does not start in some namespaces; return the number of requests that failed."""
    failures = 0
    for namespace in namespaces:
        try:
            found = list(ends_in(api, namespace, now))
        except OSError as error:
            log(f"{namespace}: {error}")
            failures += 1
            continue
        for action, item, reason in found:
            try:
                apply(api, namespace, action, item, reason)
            except OSError as error:
                log(f"{namespace}/{run_of(item)}: {name_of(item)}: {error}")
                failures += 1
    return failures


def ends_in(api: Api, namespace: str, now: float) -> Iterator[tuple[str, Object, str]]:
    """Yield what ends the tasks of a namespace that hold a node and do not start: see ends."""
    pods = api.items(f"/api/v1/namespaces/{namespace}/pods")
    runs = sorted({run_of(pod) for pod in pods if is_stuck(pod)})
    jobs = api.items(f"/apis/batch/v1/namespaces/{namespace}/jobs") if runs else []
    for run in runs:
        own = [[each for each in items if run_of(each) == run] for items in (pods, jobs)]
        try:
            found = list(ends(*own, now))
        except (LookupError, TypeError, ValueError) as error:
            # A pod that the chart did not render must not stop the work for all other runs.
            log(f"{namespace}/{run}: got a pod of another form: {error!r}")
            continue
        yield from found


def main(namespaces: list[str]) -> int:
    """Look twice; return the exit code."""
    api = Api()
    failures = look(api, namespaces, time.time())
    time.sleep(PAUSE)
    return min(1, failures + look(api, namespaces, time.time()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
