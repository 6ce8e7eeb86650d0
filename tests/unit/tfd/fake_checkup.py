"""A kubectl that answers paths of the API from a table, and plays the pods of a probe."""

import json
import stat
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from tfd.cli import main

Object = dict[str, Any]

KUBECTL = """#!{python} -SE
import json, pathlib, sys

words, folder = sys.argv[1:], pathlib.Path(__file__).parent
given = json.loads((folder / "answers.json").read_text())
with open(folder / "asked", "a") as asked:
    asked.write(" ".join(words) + "\\n")
applied = folder / "applied.json"
objects = json.loads(applied.read_text()) if applied.exists() else []

if words[:1] == ["config"]:
    print("vision", end="")
elif "--raw" in words:
    answer = given["paths"].get(words[words.index("--raw") + 1], "Error from server (NotFound): not found")
    if isinstance(answer, str):
        sys.exit(answer)
    print(json.dumps(answer))
elif "apply" in words:
    if given["refusal"]:
        sys.exit(given["refusal"])
    applied.write_text(json.dumps(objects + json.load(sys.stdin)["items"]))
elif "exec" in words and given["no_exec"]:
    sys.exit(given["no_exec"])
elif "exec" in words:
    policies = [each["spec"]["ingress"] for each in objects if "ingress" in each.get("spec", {{}})]
    opened = policies[-1] if policies else not given["denied"]
    closed = given["enforced"] and not opened
    print("closed" if closed or given["apart"] else "open")
elif "delete" in words and given["kept"]:
    sys.exit(given["kept"])
elif "delete" in words:
    applied.write_text("[]")
else:
    kind = {{"pods": "Pod", "persistentvolumeclaims": "PersistentVolumeClaim"}}[words[words.index("get") + 1]]
    found = [each for each in objects + given["claims"] if each["kind"] == kind]
    only = [word.partition("=")[2] for word in words if word.startswith("metadata.name=")]
    found = [each for each in found if not only or each["metadata"]["name"] in only]
    for each in found:
        component = each["metadata"].get("labels", {{}}).get("app.kubernetes.io/component", "volume")
        each["status"] = given["statuses"][component]
    print(json.dumps({{"items": found}}))
"""
RUNNING = {"phase": "Running", "podIP": "10.78.1.12", "containerStatuses": [{"state": {"running": {}}}]}
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
HEALTH = "resource.customizations.health."
ARGOCD = "/apis/argoproj.io/v1alpha1"
KUEUE = "/apis/kueue.x-k8s.io/v1beta2"
QUOTA = {"spec": {}, "status": {"hard": {"requests.nvidia.com/gpu": "8"}, "used": {"requests.nvidia.com/gpu": "2"}}}
MANAGED = "kueue.x-k8s.io/managed-namespace"


def named(name: str, **more: Any) -> Object:
    return {"metadata": {"name": name, **more.pop("metadata", {})}, **more}


def served(*resources: str) -> Object:
    return {"resources": [{"name": each} for each in resources]}


def listed(*objects: Object) -> Object:
    return {"items": list(objects)}


def workload(image: str) -> Object:
    return {"spec": {"template": {"spec": {"containers": [{"image": image}]}}}}


def claim(name: str, mode: str) -> Object:
    return {"kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": {"accessModes": [mode]}}


def complete() -> Object:
    """Return the answers of a cluster that has everything."""
    settings = {f"{HEALTH}batch_Job": "lua", f"{HEALTH}kueue.x-k8s.io_Workload": "lua"}
    return {
        "/version": {"gitVersion": "v1.37.2"},
        "/apis/scheduling.k8s.io/v1beta1": served("podgroups", "podgroups/status"),
        KUEUE: served("workloads", "localqueues"),
        f"{KUEUE}/namespaces/vision/localqueues": listed(named("vision")),
        "/apis/storage.k8s.io/v1/storageclasses": listed(named("files", provisioner="nfs.csi.k8s.io")),
        "/api/v1/nodes": listed(*[named(f"node{n}", status={"allocatable": {"nvidia.com/gpu": "4"}}) for n in (1, 2)]),
        "/api/v1/namespaces/vision": named("vision", metadata={"labels": RESTRICTED | {MANAGED: "true"}}),
        "/api/v1/namespaces/vision/resourcequotas": listed(QUOTA),
        ARGOCD: served("applications", "applicationsets", "appprojects"),
        "/apis/apps/v1/namespaces/argocd/deployments": listed(workload("quay.io/argoproj/argocd:v3.6.1")),
        "/api/v1/namespaces/argocd/configmaps/argocd-cm": named("argocd-cm", data=settings),
        f"{ARGOCD}/namespaces/argocd/applicationsets/runs-vision": named("runs-vision"),
        f"{ARGOCD}/namespaces/argocd/appprojects/vision": named("vision"),
    }


class Checkup:
    """The answers of the kubectl on the PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = complete()
        self.statuses: Object = {
            "server": RUNNING,
            "client": RUNNING,
            "claim": {"phase": "Succeeded"},
            "volume": {"phase": "Bound"},
        }
        self.enforced, self.apart, self.refusal = True, False, ""
        self.denied = False
        """Whether the namespace has a policy that denies all connections."""
        self.kept, self.no_exec = "", ""
        """Why the objects of the probe are not deleted, and why nothing is executed in its pods."""
        self.claims: list[Object] = []
        """Claims that exist before the probe."""
        program = folder / "kubectl"
        program.write_text(KUBECTL.format(python=sys.executable))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def tfd(self, *words: str) -> Result:
        self.write()
        return CliRunner().invoke(main, ["doctor", *words])

    def write(self) -> None:
        """Write the answers for kubectl."""
        answers = {
            "paths": self.paths, "statuses": self.statuses, "enforced": self.enforced, "apart": self.apart,
            "refusal": self.refusal, "claims": self.claims, "kept": self.kept,
            "no_exec": self.no_exec, "denied": self.denied,
        }  # fmt: skip
        (self.folder / "answers.json").write_text(json.dumps(answers))
        (self.folder / "asked").write_text("")

    def findings(self, *words: str) -> dict[str, tuple[str, str, str]]:
        """Return verdict, found and fix of each check."""
        done = self.tfd("--json", *words)
        assert done.exit_code in (0, 1), done.output
        report = json.loads(done.stdout)
        assert report["ok"] == (done.exit_code == 0)
        return {each["check"]: (each["verdict"], each["found"], each["fix"]) for each in report["findings"]}

    def asked(self) -> list[str]:
        return (self.folder / "asked").read_text().splitlines()

    def left(self) -> list[Object]:
        """Return the objects that were created and not deleted."""
        return list(json.loads((self.folder / "applied.json").read_text()))
