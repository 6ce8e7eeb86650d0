"""What the review says that Argo CD would have, and what Argo CD has."""

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.gitops import NAMESPACE, GitOps
from tests.e2e.kube import Object, command
from tests.e2e.team import Team

pytest.importorskip("tfd.review", reason="this checkout has no review yet")


def essence(application: Object) -> Object:
    """The part of a real Application that the review tells."""
    spec = application["spec"]
    helm = spec["source"]["helm"]
    return {
        "name": application["metadata"]["name"],
        "project": spec["project"],
        "source": {
            "targetRevision": spec["source"]["targetRevision"].removeprefix("refs/tags/"),
            "path": spec["source"]["path"],
            "helm": {"releaseName": helm["releaseName"], "valuesObject": json.loads(helm["values"])},
        },
        "destination": {"namespace": spec["destination"]["namespace"]},
        "syncPolicy": {"automated": spec["syncPolicy"]["automated"]},
    }


def test_the_review_tells_the_applications_that_there_are(new_team: Callable[[], Team], gitops: GitOps) -> None:
    """Two teams with suspended, unreleased, refused and strange files: the Applications that `tfd review` names
    are those that Argo CD has, with the same tag, values, project and namespace."""
    one, two = new_team(), new_team()
    gitops.install(one, two)
    first = gitops.repository.git("rev-list", "--max-parents=0", "HEAD")
    values = gitops.values(state="suspended")
    files: dict[str, Any] = {
        f"jobs/{one.name}/a.yaml": values,
        f"jobs/{one.name}/unreleased.yaml": values | {"chartVersion": "9.9.9"},
        f"jobs/{one.name}/refused.yaml": values | {"ps": {"replicas": 3}},
        f"jobs/{two.name}/strange.yaml": json.dumps(values | {"description": '{{ "x" }}\n#'}).replace("100", "1e2"),
        f"jobs/{two.name}/below/nobody.yaml": values,
        f"jobs/{two.name}/README.md": "no job",
    }
    gitops.commit(files)
    for team in (one, two):
        gitops.seen_commit(team)
    words = [sys.executable, "-m", "tfd", "review", "--base", first, "--head", "HEAD", "--format", "json"]
    told = json.loads(command([*words, "--repo", str(gitops.repository.clone)], exits=(0, 1)))["applications"]
    real = [
        essence(gitops.kube.get("-n", NAMESPACE, "application", name))
        for team in (one, two)
        for name in gitops.names(team)
    ]
    assert sorted(told, key=lambda each: str(each["name"])) == sorted(real, key=lambda each: str(each["name"]))
