"""Copy the JSON schemas of Kubernetes so that kubeconform finds them without a network.

Usage: python scripts/kubernetes-schemas.py DIR

The PyPI package kubernetes-validate ships the strict schemas of each Kubernetes version, but with an absolute `$id`
and references to the root of a web server. The copies have no `$id` and relative references, so that
`kubeconform -schema-location 'DIR/{{ .NormalizedKubernetesVersion }}/...'` can read them.

The schemas of Kueue's kinds come from its CRDs in the Go module that tools/kueue/go.mod pins.
Those of the operator of Prometheus come from the CRDs that controller-gen makes of its Go types, as the operator does.
Both are pinned in tools/controller-gen/go.mod.
"""

import importlib.resources
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

VERSIONS = ("1.34.0", "1.35.0", "1.36.0", "1.37.0")
# The kinds that the charts of a run and of argocd/ render, and those on the pages. Add a line for each new kind.
KINDS = (
    "configmap-v1",
    "deployment-apps-v1",
    "job-batch-v1",
    "limitrange-v1",
    "namespace-v1",
    "networkpolicy-networking-v1",
    "persistentvolumeclaim-v1",
    "pod-v1",
    "podgroup-scheduling-v1beta1",
    "resourcequota-v1",
    "service-v1",
    "storageclass-storage-v1",
)
ROOT = Path(__file__).resolve().parent.parent
KUEUE = ROOT / "tools" / "kueue"
# The kinds of Kueue that the charts of a run and of argocd/ render.
CRDS = ("clusterqueues", "localqueues", "resourceflavors", "workloadpriorityclasses", "workloads")
CRD = "config/components/crd/bases/kueue.x-k8s.io_{}.yaml"
OPERATOR = "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
# The kinds of the operator of Prometheus that the chart renders and that monitoring/ has.
OPERATOR_CRDS = ("podmonitors", "prometheusrules")
ROOT_REFERENCE = re.compile(r'("\$ref":\s*")[^"#]*/(_definitions\.json#)')


def strict(node: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a schema that refuses unknown fields, as the API server does with strict field validation."""
    if isinstance(node, list):
        return [strict(each) for each in node]
    if not isinstance(node, dict):
        return node
    closed = {name: strict(value) for name, value in node.items()}
    is_open = node.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(node.get("properties"), dict) and node.get("type") == "object" and not is_open:
        closed.setdefault("additionalProperties", False)
    return closed


def crds_of_kueue() -> Iterator[str]:
    """Yield the text of each of CRDS."""
    [requirement] = re.findall(r"^require (\S+ \S+)", (KUEUE / "go.mod").read_text(), flags=re.M)
    if shutil.which("go") is None:
        sys.exit("setup: go: got nothing; expected Go 1.26 or newer on the PATH, to read a schema. Install Go.")
    command = ["go", "mod", "download", "-json", requirement.replace(" ", "@")]
    done = subprocess.run(command, cwd=KUEUE, check=True, stdout=subprocess.PIPE, text=True)
    for kind in CRDS:
        yield (Path(json.loads(done.stdout)["Dir"]) / CRD.format(kind)).read_text()


def crds_of_operator() -> Iterator[str]:
    """Yield the text of each of OPERATOR_CRDS."""
    built = subprocess.run(
        [ROOT / "scripts" / "go-tool.sh", "controller-gen"], check=True, stdout=subprocess.PIPE, text=True
    )
    with tempfile.TemporaryDirectory() as folder:
        command = [f"{built.stdout.strip()}/controller-gen", "crd", f"paths={OPERATOR}", f"output:crd:dir={folder}"]
        subprocess.run(command, cwd=ROOT / "tools" / "controller-gen", check=True)
        for kind in OPERATOR_CRDS:
            yield (Path(folder) / f"monitoring.coreos.com_{kind}.yaml").read_text()


def custom_resources() -> dict[str, Any]:
    """Return the strict schema of each version of a custom resource, by file name."""
    found: dict[str, Any] = {}
    for text in chain(crds_of_kueue(), crds_of_operator()):
        crd = yaml.load(text, Loader=yaml.CSafeLoader)["spec"]
        name = f"{crd['names']['kind']}-{crd['group'].partition('.')[0]}".lower()
        found |= {f"{name}-{each['name']}": strict(each["schema"]["openAPIV3Schema"]) for each in crd["versions"]}
    return found


def lay_out(target: Path) -> None:
    """Copy the schemas of VERSIONS and KINDS, and of custom resources, to the folder `target` atomically."""
    source = importlib.resources.files("kubernetes_validate") / "kubernetes-json-schema"
    target.parent.mkdir(parents=True, exist_ok=True)
    custom = custom_resources()
    staging = Path(tempfile.mkdtemp(prefix=".schemas-", dir=target.parent))
    for version in VERSIONS:
        folder = staging / f"v{version}"
        folder.mkdir()
        for name in ("_definitions", *KINDS):
            schema = source / f"v{version}-local-strict" / f"{name}.json"
            if not schema.is_file():  # PodGroup exists since 1.37.
                continue
            content = json.loads(schema.read_text())
            content.pop("$id", None)
            (folder / f"{name}.json").write_text(ROOT_REFERENCE.sub(r"\1\2", json.dumps(content)))
        for name, schema in custom.items():
            (folder / f"{name}.json").write_text(json.dumps(schema))
    shutil.rmtree(target, ignore_errors=True)
    os.replace(staging, target)  # noqa: PTH105 - both are folders on one file system


if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004
        sys.exit(__doc__)
    lay_out(Path(sys.argv[1]))
