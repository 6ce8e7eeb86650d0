"""1,000 job files of 20 teams through Argo CD, with 1,101 tasks on simulated nodes."""

import time

import pytest

from tests.e2e.gitops import GitOps
from tests.e2e.scale import PATIENCE, answers_in_time, argocd_memory, rows, simulated, start_together, tfd
from tests.e2e.team import Team

pytestmark = pytest.mark.scale

FILES = 1000
TASKS = 1101
POLL = 30
"""Seconds between two polls of git by each ApplicationSet: 20 sets that poll every second need a core."""


def test_1000_job_files_of_20_teams_start_from_one_commit(
    simulated_nodes: None, many_teams: list[Team], gitops: GitOps
) -> None:
    """One commit merges 1,000 job files of 20 teams: Argo CD creates 1,000 Applications and Jobs, and 1,101 tasks run.
    One more job file is merged and starts. `tfd runs` shows all runs in 3 s."""
    first = many_teams[0]
    gitops.install(*many_teams, pollSeconds=POLL)
    values = gitops.values() | simulated("OneDevice", storage={"ephemeral": True})
    files = {
        f"jobs/{many_teams[number % len(many_teams)].name}/run-{number}.yaml": values for number in range(1, FILES)
    }
    large = simulated("ParameterServer", storage={"ephemeral": True}, worker={"replicas": 100})
    pushed = start_together(gitops, first, files | {f"jobs/{first.name}/large.yaml": gitops.values() | large})
    running = (
        "get",
        "pods",
        "-A",
        "-l",
        "app.kubernetes.io/name=tf-distributed",
        "--field-selector=status.phase=Running",
    )
    first.wait("all tasks to run", lambda: rows(first, *running) == TASKS, PATIENCE)
    first.timings[f"push to {TASKS:,} running tasks"] = time.time() - pushed
    argocd_memory(first)
    tfd(first, "tfd runs of 20 teams", "runs", *(each.name for each in many_teams))
    tfd(first, "tfd runs of one team", "runs", first.name)
    tfd(first, "tfd runs of all namespaces", "runs", "-A")
    tfd(first, "tfd runs --cost of all namespaces", "runs", "-A", "--cost")
    pushed = gitops.merge(many_teams[-1], "one-more", values)
    gitops.wait(many_teams[-1], "one-more", "created", bool, PATIENCE)
    first.timings[f"push to one more Application after {FILES:,}"] = time.time() - pushed
    first.wait(
        "the Job of one more run",
        lambda: first.kube.get("-n", many_teams[-1].name, "jobs", "-l", "app.kubernetes.io/instance=one-more")["items"],
        PATIENCE,
    )
    first.timings[f"push to one more Job after {FILES:,}"] = time.time() - pushed
    answers_in_time(first)
