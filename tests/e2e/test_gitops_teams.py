"""argocd/ for 20 teams: applied twice, damaged, repaired, and nothing of the owner lost."""

import json
import time
from pathlib import Path

import pytest

from devcluster.paths import CHECKOUT, state
from devcluster.shell import DevclusterError
from tests.e2e.gitops import NAMESPACE, GitOps
from tests.e2e.kube import command
from tests.e2e.team import Team

URL = "https://example.com"


def patch_settings(gitops: GitOps, url: str | None) -> None:
    """Set or delete a key of argocd-cm that belongs to the owner."""
    words = ("patch", "configmap", "argocd-cm", "--type=merge", "-p", json.dumps({"data": {"url": url}}))
    gitops.kube.kubectl("-n", NAMESPACE, *words)


def differences(gitops: GitOps, folder: Path) -> list[str]:
    """Return the files with an object that differs from what argocd/ renders, by `kubectl diff`."""
    helm = str(state() / "bin" / "helm")
    command(
        [helm, "template", "argocd", str(CHECKOUT / "argocd"), "--output-dir", str(folder), "-f", str(gitops.settings)]
    )
    words = ["diff", "--server-side", "--force-conflicts", "--field-manager=tf-distributed", "-f"]
    found = command(
        [str(state() / "bin" / "kubectl"), *words, str(folder / "argocd/templates/teams")],
        env=gitops.kube.env | {"KUBECTL_EXTERNAL_DIFF": "diff -N -u"},
        exits=(0, 1),
    )
    return [line.split()[1].rpartition("/")[2] for line in found.splitlines() if line.startswith("+++ ")]


def damage(gitops: GitOps, teams: list[Team]) -> set[str]:
    """Delete or change an object of six teams, like a hasty administrator; return what `kubectl diff` calls them."""
    kubectl = gitops.kube.kubectl
    quota, limits, label, project, runs, deleted = (team.name for team in teams[:6])
    more = json.dumps({"spec": {"hard": {"requests.nvidia.com/gpu": "9999"}}})
    kubectl("-n", quota, "patch", "resourcequota", "team", "--type=merge", "-p", more)
    kubectl("-n", limits, "delete", "limitrange", "--all")
    kubectl("label", "namespace", label, "pod-security.kubernetes.io/enforce=privileged", "--overwrite")
    anywhere = json.dumps({"spec": {"destinations": [{"server": "*", "namespace": "*"}]}})
    kubectl("-n", NAMESPACE, "patch", "appproject", project, "--type=merge", "-p", anywhere)
    kubectl("-n", NAMESPACE, "delete", "applicationset", f"runs-{runs}", "--cascade=orphan")
    kubectl("-n", deleted, "delete", "resourcequota", "priority-classes")
    return {quota, limits, label, project, runs, deleted}


def test_20_teams_are_applied_and_repaired(many_teams: list[Team], gitops: GitOps, tmp_path: Path) -> None:
    """argocd/ is applied for 20 teams, twice. Objects of six teams are then deleted or changed by hand. The next apply
    refuses to overwrite the changes without `--force-conflicts`, and with it everything is as rendered. The labels,
    quotas and settings of the owner stay, and a run of a repaired team starts."""
    first = many_teams[0]
    patch_settings(gitops, URL)
    began = time.time()
    gitops.install(*many_teams)
    first.timings["apply for 20 teams"] = time.time() - began
    gitops.install(*many_teams)
    assert differences(gitops, tmp_path / "applied") == []
    for team in many_teams:
        gitops.kube.kubectl("label", "namespace", team.name, "cost-center=42")
        gitops.kube.kubectl("-n", team.name, "create", "quota", "theirs", "--hard=pods=50")
    damaged = damage(gitops, many_teams)
    seen = differences(gitops, tmp_path / "damaged")
    assert {name for name in damaged if any(name in each for each in seen)} == damaged
    with pytest.raises(DevclusterError, match="conflict"):
        gitops.install(*many_teams)
    began = time.time()
    gitops.install(*many_teams, force=True)
    first.timings["repair of 20 teams"] = time.time() - began
    assert differences(gitops, tmp_path / "repaired") == []
    for team in many_teams:
        assert gitops.kube.get("namespace", team.name)["metadata"]["labels"]["cost-center"] == "42"
        assert gitops.kube.get("-n", team.name, "quota", "theirs")["spec"]["hard"] == {"pods": "50"}
    settings = gitops.kube.get("-n", NAMESPACE, "configmap", "argocd-cm")["data"]
    assert settings["url"] == URL
    patch_settings(gitops, None)
    for team in many_teams[:6]:
        gitops.merge(team, "after", gitops.values(state="suspended"))
        gitops.healthy(team, "after", "Suspended")
