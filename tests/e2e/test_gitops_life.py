"""Commits alone start, suspend, resume, archive, warm-start and end runs."""

import pytest

from tests.e2e.gitops import GitOps, at, health
from tests.e2e.team import Team
from tests.e2e.test_failures import BROKEN


@pytest.mark.usefixtures("refused")  # Its retries end while other scenarios run.
def test_merged_job_file_runs_to_the_end(team: Team, gitops: GitOps) -> None:
    """A job file is merged: its pods run, the run trains to the end, the Application is Healthy, and `tfd status` shows
    `done`. The time from the push to each step is recorded (the set polls every second here)."""
    run = "first"
    gitops.install(team)
    pushed = gitops.merge(team, run, gitops.values("ParameterServer", trainer={"steps": 200}))
    pod = team.pod(run, "chief-0")
    application = gitops.wait(team, run, "Progressing", lambda each: health(each) == "Progressing")
    operation = application["status"]["operationState"]
    moments = {
        "push to Application": at(application["metadata"]["creationTimestamp"]),
        "push to sync": at(operation["startedAt"]),
        "push to all applied": at(operation["finishedAt"]),
        "push to chief's pod": at(pod["metadata"]["creationTimestamp"]),
        "push to chief's container": at(pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]),
    }
    # Time stamps of Kubernetes are whole seconds.
    team.timings |= {what: max(0.0, moment - pushed) for what, moment in moments.items()}
    assert team.end(run).jobs == dict.fromkeys(["chief", "ps", "worker"], "Complete")
    gitops.healthy(team, run)
    assert team.tfd_status(run)["state"] == "done"


def test_commits_suspend_and_resume_a_run(team: Team, gitops: GitOps) -> None:
    """One commit suspends a run half-way, another resumes the run from its checkpoint. The health is Progressing,
    Suspended, Progressing and Healthy in turn, and Healthy only after all Jobs are Complete."""
    run = "paused"
    values = gitops.values(steps=600, pause=0.1, failure={"gracePeriod": "20s"})
    gitops.install(team)
    gitops.merge(team, run, values)
    gitops.wait(team, run, "Progressing", lambda each: health(each) == "Progressing")
    with gitops.watching(team, run) as history:
        team.after_step(run, 100)
        gitops.merge(team, run, values | {"state": "suspended"})
        gitops.healthy(team, run, "Suspended")
        team.wait("all pods to be deleted", lambda: not team.pods(run))
        saved = team.status(run)["lastCheckpoint"]["step"]
        gitops.merge(team, run, values)
        team.after_step(run, saved)
        assert health(gitops.application(team, run)) == "Progressing"
        team.hurry(run)
        gitops.healthy(team, run)
        assert team.over(run) == {"chief": "Complete"}
    assert f"training from step {saved} to 600" in team.log(run, "chief-0")
    assert history == ["Progressing", "Suspended", "Progressing", "Healthy"]


def test_user_error_makes_the_application_degraded(team: Team, gitops: GitOps) -> None:
    """The `Task` class raises: the Application is Degraded, the chief exits with 1, and `tfd status` shows the
    error."""
    trainer = {"task": "broken:Broken"}
    gitops.install(team)
    gitops.merge(team, "broken", gitops.values(steps=300, trainer=trainer, code={"files": {"broken.py": BROKEN}}))
    gitops.healthy(team, "broken", "Degraded")
    assert team.end("broken").codes == {"chief-0": [1]}
    assert "this data is broken" in team.tfd_status("broken")["why"]


def test_deleted_file_ends_the_run_and_keeps_checkpoints(team: Team, gitops: GitOps) -> None:
    """The job file of an active run is deleted (the review blocks this change). Its pods end, all of its objects are
    deleted, and its checkpoints are kept. The same file, committed again, continues from the checkpoints."""
    run, values = "deleted", gitops.values(steps=600, pause=0.1, failure={"gracePeriod": "20s"})
    gitops.install(team)
    gitops.merge(team, run, values)
    saved = team.saved(run)
    gitops.merge(team, run, None)
    team.wait("all objects to be deleted", lambda: not team.objects(run, "jobs,pods,configmaps,services"))
    team.wait("the Application to be deleted", lambda: not gitops.application(team, run))
    assert f"ckpt-{team.status(run)['lastCheckpoint']['step']}" in team.read(f"{run}/checkpoints/checkpoint")
    gitops.merge(team, run, values)
    team.after_step(run, saved)
    assert "training from step 0 " not in team.log(run, "chief-0")


def test_new_run_warm_starts_from_an_archived_run(team: Team, gitops: GitOps) -> None:
    """A commit archives a finished run: its run record remains, and the Application is Healthy. A new run with
    warmStartFrom starts with the weights of the checkpoint, at step 0."""
    values = gitops.values(steps=100)
    gitops.install(team)
    gitops.merge(team, "old", values)
    gitops.healthy(team, "old")
    gitops.merge(team, "old", values | {"state": "archived"})
    team.wait("the Job to be deleted", lambda: not team.objects("old", "jobs,pods"))
    assert team.objects("old", "configmaps,services") == ["ConfigMap/old"]
    gitops.healthy(team, "old")
    gitops.merge(team, "new", values | {"warmStartFrom": "old", "trainer": values["trainer"] | {"steps": 200}})
    gitops.healthy(team, "new")
    log = team.log("new", "chief-0")
    assert "warm start: weights and optimizer state of /runs/old/checkpoints/ckpt-100" in log
    assert "training from step 0 to 200" in log
    assert team.done("new")["step"] == 200
