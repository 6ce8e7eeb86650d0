"""Argo CD takes the chart of a run from an OCI registry, by the chartVersion of the job file."""

import shutil
from pathlib import Path

from devcluster.paths import REGISTRY
from devcluster.repository import chart_version
from tests.e2e.gitops import NAMESPACE, GitOps, errors, health
from tests.e2e.kube import command
from tests.e2e.team import Team
from tfd.assets import CHART
from tfd.jobfile.helm import find_helm

CHARTS = f"oci://{REGISTRY}/charts"
ADDRESS = f"{CHARTS}/tf-distributed"
LATER, UNKNOWN = "9.0.0", "9.9.9"


def release(version: str, folder: Path) -> None:
    """Push the chart of this checkout to the registry of the cluster, as another version."""
    source = folder / version / "tf-distributed"
    shutil.copytree(CHART, source, ignore=shutil.ignore_patterns("tests"))
    chart = source / "Chart.yaml"
    chart.write_text(chart.read_text().replace(f"\nversion: {chart_version()}\n", f"\nversion: {version}\n"))
    command([find_helm(), "package", str(source), "--destination", str(folder)])
    command([find_helm(), "push", str(folder / f"tf-distributed-{version}.tgz"), CHARTS, "--plain-http"])


def allow_http(gitops: GitOps) -> None:
    """Register the registry, which has no certificate."""
    settings = {"type": "oci", "url": ADDRESS, "name": "charts", "insecureOCIForceHttp": "true"}
    labels = {"argocd.argoproj.io/secret-type": "repository"}
    metadata = {"name": "e2e-charts", "namespace": NAMESPACE, "labels": labels}
    gitops.kube.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": settings})


def test_run_stays_on_its_chart_while_a_run_on_a_newer_chart_starts(team: Team, gitops: GitOps) -> None:
    """A repository without charts: a run on one version in the registry trains while another version is pushed and a
    run on it is merged. Both end, and the source of the first one stays the same. A file with a version that the
    registry does not have starts nothing and stops no other run."""
    release(chart_version(), gitops.folder)
    charts = gitops.repository.git("ls-files", "charts", "schema").splitlines()
    gitops.commit(dict.fromkeys(charts))
    allow_http(gitops)
    gitops.install(team, chart={"oci": CHARTS})
    gitops.merge(team, "old", gitops.values(steps=600, pause=0.2))
    before = gitops.wait(team, "old", "Progressing", lambda each: health(each) == "Progressing")
    pod = team.pod("old", "chief-0")["metadata"]["uid"]
    assert before["spec"]["source"]["repoURL"] == ADDRESS
    release(LATER, gitops.folder)
    gitops.merge(team, "unknown", gitops.values() | {"chartVersion": UNKNOWN})
    gitops.merge(team, "new", gitops.values() | {"chartVersion": LATER})
    after = gitops.healthy(team, "new")
    assert after["spec"]["source"]["targetRevision"] == LATER
    assert after["status"]["sync"]["revision"] != before["status"]["sync"]["revision"]
    assert UNKNOWN in errors(gitops.wait(team, "unknown", "refused", lambda each: UNKNOWN in errors(each)))
    assert not team.objects("unknown", "jobs")
    team.hurry("old")
    old = gitops.healthy(team, "old")
    assert old["spec"]["source"] == before["spec"]["source"]
    assert old["status"]["sync"]["revision"] == before["status"]["sync"]["revision"]
    assert [each["metadata"]["uid"] for each in team.pods("old", "chief-0")] == [pod]
