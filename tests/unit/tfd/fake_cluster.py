"""A kubectl that prints recorded answers, and the objects of a run for them."""

import json
import stat
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from tfd.cli import main

Object = dict[str, Any]

KUBECTL = """#!{python}
import json, pathlib, sys
words = sys.argv[1:]
given = json.loads(pathlib.Path(__file__).with_name("answers.json").read_text())
with open(pathlib.Path(__file__).with_name("asked"), "a") as asked:
    asked.write(" ".join(words) + "\\n")
if "config" in words:
    print("vision", end="")
elif "--raw" in words:
    address = words[words.index("--raw") + 1]
    kind = address.partition("?")[0].rpartition("/")[2]
    found = given["events" if kind == "events" else "items"]
    if isinstance(found, str):
        sys.exit(found)
    names = {{"configmaps": "ConfigMap", "jobs": "Job", "pods": "Pod"}}
    items = [each for each in found if each.get("kind") == names.get(kind)]
    print(json.dumps({{"metadata": {{}}, "items": items}}))
elif "get" in words:
    if isinstance(given["workloads"], str):
        sys.exit(given["workloads"])
    print(json.dumps({{"items": given["workloads"]}}))
elif "exec" in words:
    if not given["status"]:
        sys.exit("cat: no such file")
    print(json.dumps(given["status"]))
elif "logs" in words:
    print(given["log"])
elif "port-forward" in words:
    print("Forwarding from 127.0.0.1:40001 -> 6006", flush=True)
    sys.exit("error: lost connection to pod")
"""


class Cluster:
    """The answers of the kubectl on the PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answers: Object = {"items": [], "events": [], "workloads": [], "status": {}, "log": ""}
        program = folder / "kubectl"
        program.write_text(KUBECTL.format(python=sys.executable))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def tfd(self, *words: str) -> Result:
        (self.folder / "answers.json").write_text(json.dumps(self.answers))
        return CliRunner().invoke(main, list(words))

    def status(self, run: str = "little") -> Object:
        done = self.tfd("status", run, "--json")
        assert done.exit_code == 0, done.output
        return dict(json.loads(done.stdout))

    def asked(self) -> list[str]:
        return (self.folder / "asked").read_text().splitlines()


def labels(role: str) -> Object:
    return {"app.kubernetes.io/component": role}


def record(strategy: str = "ParameterServer", command: list[str] | None = None, **replicas: int) -> Object:
    numbers = {"chief": 1, "ps": 1, "worker": 2, "evaluator": 0} | replicas
    identity = {"strategy": strategy, "replicas": numbers, "command": command}
    metadata = {"name": "little", "namespace": "vision", "labels": labels("record")}
    return {"kind": "ConfigMap", "metadata": metadata, "data": {"run.json": json.dumps({"identity": identity})}}


def job(role: str, ended: tuple[str, str, str] | None = None, suspend: bool = False, **status: Any) -> Object:
    conditions = []
    if ended:
        conditions = [{"type": ended[0], "status": "True", "reason": ended[1], "message": ended[2]}]
    metadata = {"name": f"little-{role}", "labels": labels(role)}
    status["conditions"] = conditions
    return {"kind": "Job", "metadata": metadata, "spec": {"suspend": suspend}, "status": status}


def pod(role: str, index: int, phase: str = "Running", attempt: int = 0, **status: Any) -> Object:
    metadata = {
        "name": f"little-{role}-{index}-{attempt}",
        "labels": labels(role) | {"batch.kubernetes.io/job-completion-index": str(index)},
        "creationTimestamp": f"2026-11-24T10:0{attempt}:00Z",
    }
    container = {"env": [{"name": "RUN_DIR", "value": "/runs/little"}]}
    if phase == "Running":
        status["containerStatuses"] = [{"state": {"running": {}}}]
    spec = {"containers": [container], "nodeName": "node1"}
    return {"kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": phase, **status}}


def ended(code: int, message: str) -> Object:
    return {"containerStatuses": [{"state": {"terminated": {"exitCode": code, "message": message}}}]}


def all_running() -> list[Object]:
    return [record(), *map(job, ("chief", "ps", "worker")),
            pod("chief", 0), pod("ps", 0), pod("worker", 0), pod("worker", 1)]  # fmt: skip


STATUS = {
    "state": "running", "step": 340, "steps": 600, "stepsPerSecond": 41.25, "etaSeconds": 6.3, "loss": 0.2134,
    "lastCheckpoint": {"step": 200, "path": "x"}, "restarts": 1, "updated": "2026-11-24T10:00:00Z", "metrics": None,
    "exitCode": None, "message": "",
}  # fmt: skip
