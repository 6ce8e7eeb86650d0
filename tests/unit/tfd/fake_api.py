"""A kubectl in front of a small Kubernetes API, which answers lists with label selectors and pages."""

import json
import stat
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from tests.unit.tfd import fake_cluster
from tests.unit.tfd.fake_cluster import Object
from tfd.cli import main

KUBECTL = """#!{python} -SE
import json, pathlib, sys
from urllib.parse import parse_qs, urlsplit

words, folder = sys.argv[1:], pathlib.Path(__file__).parent
given = json.loads((folder / "answers.json").read_text())
with open(folder / "asked", "a") as asked:
    asked.write(" ".join(words) + "\\n")


def matches(labels, selector):
    for part in filter(None, selector.split(",")):
        name, _, value = part.partition("=")
        if name.endswith("!"):
            if labels.get(name[:-1]) == value:
                return False
        elif labels.get(name) != value:
            return False
    return True


if words[:1] == ["config"]:
    print("vision", end="")
elif "exec" in words:
    pod = words[words.index("--") - 1]
    if pod not in given["status"]:
        sys.exit("error: the pod has no such file")
    print(json.dumps(given["status"][pod]))
elif "logs" in words:
    print(given["log"])
else:
    address = urlsplit(words[words.index("--raw") + 1])
    query = {{name: values[0] for name, values in parse_qs(address.query).items()}}
    parts = address.path.strip("/").split("/")
    namespace = parts[parts.index("namespaces") + 1] if "namespaces" in parts else None
    if namespace is None and "all namespaces" in given["errors"]:
        sys.exit(given["errors"]["all namespaces"])
    if parts[-1] in given["errors"]:
        sys.exit(given["errors"][parts[-1]])
    if parts[-1] == "pendingworkloads":
        begin = int(query["offset"])
        line = [
            {{"metadata": {{"namespace": namespace, "name": name}}, "positionInClusterQueue": place}}
            for place, name in enumerate(given["lines"][parts[-2]])
        ]
        print(json.dumps({{"items": line[begin : begin + int(query["limit"])]}}))
        sys.exit()
    found = [
        item
        for item in json.loads((folder / (parts[-1] + ".json")).read_text())
        if namespace in (None, item["metadata"]["namespace"])
        and matches(item["metadata"].get("labels", {{}}), query.get("labelSelector", ""))
    ]
    begin = int(query.get("continue", 0))
    end = begin + int(query["limit"])
    following = {{"continue": str(end)}} if end < len(found) else {{}}
    print(json.dumps({{"metadata": following, "items": found[begin:end]}}))
"""
KINDS = ("configmaps", "jobs", "pods", "events", "workloads")


class Api:
    """The objects that the kubectl on the PATH lists."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.items: dict[str, list[Object]] = {kind: [] for kind in KINDS}
        self.answers: Object = {"status": {}, "log": "", "errors": {}, "lines": {}}
        program = folder / "kubectl"
        program.write_text(KUBECTL.format(python=sys.executable))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def tfd(self, *words: str) -> Result:
        (self.folder / "answers.json").write_text(json.dumps(self.answers))
        for kind, items in self.items.items():
            (self.folder / f"{kind}.json").write_text(json.dumps(items))
        (self.folder / "asked").write_text("")
        return CliRunner().invoke(main, list(words))

    def shown(self, *words: str) -> str:
        done = self.tfd("runs", *words)
        assert done.exit_code == 0, done.output
        return done.output

    def json(self, *words: str) -> Object:
        return dict(json.loads(self.shown(*words, "--json")))

    def runs(self, *words: str) -> dict[str, Object]:
        return {each["run"]: each for each in self.json(*words)["runs"]}

    def asked(self) -> list[str]:
        return (self.folder / "asked").read_text().splitlines()

    def add(self, run: str, *objects: Object, namespace: str = "vision", **metadata: Any) -> None:
        """Add a run, whose objects are those of the other fake cluster. `metadata` is that of the run record."""
        for item in objects:
            kind, place = item.pop("kind"), item["metadata"]
            # The items of a list have no kind.
            place["namespace"] = namespace
            place["name"] = run if kind == "ConfigMap" else place["name"].replace("little", run)
            labels = {"app.kubernetes.io/name": "tf-distributed", "app.kubernetes.io/instance": run}
            place["labels"] = {**place.get("labels", {}), **labels}
            if kind == "ConfigMap":
                place["labels"] |= metadata.get("labels", {})
                place |= {name: value for name, value in metadata.items() if name != "labels"}
            if kind == "Job":
                item["spec"].setdefault("parallelism", 1)
                item["spec"].setdefault("template", {}).setdefault("spec", {"containers": [{}]})
            self.items[f"{kind.lower()}s"].append(item)


def gpu_job(role: str, tasks: int, gpus: int, *arguments: Any, **more: Any) -> Object:
    found = fake_cluster.job(role, *arguments, **more)
    containers = [{"resources": {"limits": {"nvidia.com/gpu": gpus}}}]
    found["spec"] |= {"parallelism": tasks, "template": {"spec": {"containers": containers}}}
    return found


def gpu_pod(role: str, index: int, gpus: int, phase: str = "Running", since: str = "", **status: Any) -> Object:
    """Return a pod that got its node at `since`."""
    if since:
        status.setdefault("conditions", []).append(
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": since}
        )
    found = fake_cluster.pod(role, index, phase, **status)
    found["spec"]["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": gpus}}
    return found


def finished(code: int, message: str, at: str) -> Object:
    return {"containerStatuses": [{"state": {"terminated": {"exitCode": code, "message": message, "finishedAt": at}}}]}
