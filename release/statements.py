"""The statement about an artifact that the release signs: how it was built."""

from __future__ import annotations

import json
from pathlib import Path

from devcluster.paths import CHECKOUT
from devcluster.repository import chart_version
from devcluster.shell import run

REPOSITORY = "https://github.com/tf-distributed/tf-distributed"
BUILD_TYPE = "https://tf-distributed.github.io/release/v1"


def parameters(artifact: str) -> dict[str, str]:
    """Return what the statement about an image or a chart names: the artifact and its version."""
    return {"artifact": artifact, "version": chart_version()}


def provenance(builder: str, artifact: str, target: Path) -> Path:
    """Write the predicate of SLSA about how an image or a chart is built, and return the file.

    Args:
        builder: identity of what builds, as a URI.
        artifact: name of the image or chart in the registry, such as `charts/tf-distributed`.
        target: the file.

    """
    commit = run(["git", "-C", CHECKOUT, "rev-parse", "HEAD"]).strip()
    predicate = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": parameters(artifact),
            "resolvedDependencies": [{"uri": f"git+{REPOSITORY}", "digest": {"gitCommit": commit}}],
        },
        "runDetails": {"builder": {"id": builder}},
    }
    target.write_text(json.dumps(predicate), encoding="utf-8")
    return target
