"""The statement about an artifact that the release signs: how it was built."""

from __future__ import annotations

import json
from pathlib import Path

from devcluster.paths import CHECKOUT
from devcluster.repository import chart_version
from devcluster.shell import run

REPOSITORY = "https://github.com/tf-distributed/tf-distributed"
BUILD_TYPE = "https://tf-distributed.github.io/release/v1"


def provenance(builder: str, target: Path) -> Path:
    """Write the predicate of SLSA about how this release is built, and return the file.

    Args:
        builder: identity of what builds, as a URI.
        target: the file.

    """
    commit = run(["git", "-C", CHECKOUT, "rev-parse", "HEAD"]).strip()
    predicate = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"version": chart_version()},
            "resolvedDependencies": [{"uri": f"git+{REPOSITORY}", "digest": {"gitCommit": commit}}],
        },
        "runDetails": {"builder": {"id": builder}},
    }
    target.write_text(json.dumps(predicate), encoding="utf-8")
    return target
