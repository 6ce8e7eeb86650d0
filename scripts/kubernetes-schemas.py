"""Copy the JSON schemas of Kubernetes so that kubeconform finds them without a network.

Usage: python scripts/kubernetes-schemas.py DIR

The PyPI package kubernetes-validate ships the strict schemas of each Kubernetes version, but with an absolute `$id`
and references to the root of a web server. The copies have no `$id` and relative references, so that
`kubeconform -schema-location 'DIR/{{ .NormalizedKubernetesVersion }}/...'` can read them.
"""

import importlib.resources
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

VERSIONS = ("1.34.0", "1.35.0", "1.36.0", "1.37.0")
# The kinds that the chart renders. Add a line for each new kind.
KINDS = (
    "configmap-v1",
    "deployment-apps-v1",
    "job-batch-v1",
    "networkpolicy-networking-v1",
    "persistentvolumeclaim-v1",
    "podgroup-scheduling-v1beta1",
    "service-v1",
)
ROOT_REFERENCE = re.compile(r'("\$ref":\s*")[^"#]*/(_definitions\.json#)')


def lay_out(target: Path) -> None:
    """Copy the schemas of VERSIONS and KINDS to the folder `target` atomically."""
    source = importlib.resources.files("kubernetes_validate") / "kubernetes-json-schema"
    target.parent.mkdir(parents=True, exist_ok=True)
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
    shutil.rmtree(target, ignore_errors=True)
    os.replace(staging, target)  # noqa: PTH105 - both are folders on one file system


if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004
        sys.exit(__doc__)
    lay_out(Path(sys.argv[1]))
