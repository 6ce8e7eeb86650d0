"""Commits alone queue, preempt, suspend, resume and end runs in the queue of a team."""

from pathlib import Path
from typing import Any

from devcluster.repository import chart_version
from tests.e2e import queues as kueues
from tests.e2e.gitops import GitOps
from tests.e2e.kube import Kube, Object
from tests.e2e.queues import HIGH, KINDS, LOW, Queues, alone
from tests.e2e.team import Team, job


def merged(gitops: GitOps, values: Object, **more: Any) -> Object:
    """Return a job file with the release of the chart and the image."""
    return {"chartVersion": chart_version(), "image": gitops.kube.images["trainer"]} | values | more


def test_commits_take_runs_through_the_queue(
    team: Team, gitops: GitOps, kueue: Kube, queues: Queues, tmp_path: Path
) -> None:
    """argocd/ gives a team a queue with one GPU. A second run waits: its Application is Progressing and Synced. A
    commit with a more important run preempts the first one, which resumes from its checkpoint. One commit suspends a
    queued run, others delete it and resume it. Healthy only after all Jobs are Complete. The link of the team is on the
    Application."""
    queues.teams = [team.name]
    links = {"Metrics": "https://grafana.example.com/d/runs?var-namespace={team}&var-run={run}"}
    gitops.install(team, links=links, **kueues.values({team.name: 1}))
    low = {"queue": team.name, "priority": LOW}
    steps = 600
    first = merged(gitops, job("OneDevice", steps, gpus=1, pause=0.2, failure={"gracePeriod": "30s"}, scheduling=low))
    gitops.merge(team, "first", first)
    with gitops.watching(team, "first") as history:
        team.saved("first")
        second = merged(gitops, alone(team, "sleep", "1", priority=LOW))
        gitops.merge(team, "second", second)
        team.wait("the queue to answer", lambda: "more needed" in queues.why(team, "second"))
        application = gitops.healthy(team, "second", "Progressing")
        [link] = [text for key, text in application["metadata"]["annotations"].items() if key.startswith("link.")]
        assert link == f"Metrics|https://grafana.example.com/d/runs?var-namespace={team.name}&var-run=second"
        gitops.merge(team, "second", second | {"state": "suspended"})
        gitops.healthy(team, "second", "Suspended")

        pushed = gitops.merge(team, "urgent", merged(gitops, alone(team, "sleep", "5", priority=HIGH)))
        pod = team.pod("urgent", "chief-0")
        team.timings["push to the preemptor's container"] = max(0.0, kueues.started(pod) - pushed)
        saved = team.status("first")["lastCheckpoint"]["step"]
        gitops.healthy(team, "first", "Progressing")
        gitops.healthy(team, "urgent")

        gitops.merge(team, "second", second)
        team.hurry("first")
        gitops.healthy(team, "first")
        gitops.healthy(team, "second")
    assert set(team.over("first") or {}) == {"chief"}
    assert f"training from step {saved} to {steps}" in team.log("first", "chief-0")
    assert "Degraded" not in history
    assert history[-1] == "Healthy"
    for run in ("first", "second", "urgent"):
        gitops.merge(team, run, None)
        team.wait(f"all objects of {run} to be deleted", lambda run=run: not team.objects(run, KINDS))  # type: ignore[misc]
    team.wait("all quota to be free", lambda: queues.free(team))
