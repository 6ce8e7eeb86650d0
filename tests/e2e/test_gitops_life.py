"""The life of a run by commits only: start, suspend, resume, archive, go on in a new run, end."""

from tests.e2e.gitops import GitOps, at, health
from tests.e2e.team import Team
from tests.e2e.test_failures import BROKEN


def test_merge_to_running_pods(team: Team, gitops: GitOps) -> None:
    """A job file is merged: its pods run, it trains to the end, the Application is Healthy, and `tfd status` says done.
    The time from the push to each step is taken (the set looks every second here)."""
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
    # Kubernetes' time stamps are whole seconds.
    team.timings |= {what: max(0.0, moment - pushed) for what, moment in moments.items()}
    assert team.end(run).jobs == dict.fromkeys(["chief", "ps", "worker"], "Complete")
    gitops.healthy(team, run)
    assert team.tfd_status(run)["state"] == "done"


def test_suspend_and_resume_by_commit(team: Team, gitops: GitOps) -> None:
    """Suspended by a commit half-way, resumed by another: health goes Progressing, Suspended, Progressing, Healthy, and
    is Healthy only once all Jobs are Complete; it goes on from the checkpoint."""
    run = "paused"
    values = gitops.values(steps=1500, failure={"gracePeriod": "20s"})
    gitops.install(team)
    gitops.merge(team, run, values)
    gitops.wait(team, run, "there", lambda each: health(each) == "Progressing")
    with gitops.watching(team, run) as history:
        team.after_step(run, 100)
        gitops.merge(team, run, values | {"state": "suspended"})
        gitops.healthy(team, run, "Suspended")
        team.wait("all pods to be gone", lambda: not team.pods(run))
        saved = team.status(run)["lastCheckpoint"]["step"]
        gitops.merge(team, run, values)
        team.after_step(run, saved)
        assert health(gitops.application(team, run)) == "Progressing"
        gitops.healthy(team, run)
        assert team.over(run) == {"chief": "Complete"}
    assert f"training from step {saved} to 1500" in team.log(run, "chief-0")
    assert history == ["Progressing", "Suspended", "Progressing", "Healthy"]


def test_user_error_is_degraded(team: Team, gitops: GitOps) -> None:
    """The task's own code raises: the Application is Degraded, no pod runs, `tfd status` has the result line."""
    trainer = {"task": "broken:Broken"}
    gitops.install(team)
    gitops.merge(team, "broken", gitops.values(steps=300, trainer=trainer, code={"files": {"broken.py": BROKEN}}))
    gitops.healthy(team, "broken", "Degraded")
    assert team.end("broken").codes == {"chief-0": [1]}
    assert "this data is broken" in team.tfd_status("broken")["why"]


def test_file_deleted_while_running(team: Team, gitops: GitOps) -> None:
    """The file of a running run is deleted (the review refuses that): its pods end, nothing of it is left in the
    cluster, its checkpoints are kept; the same file again goes on from them."""
    run, values = "deleted", gitops.values(steps=1500, failure={"gracePeriod": "20s"})
    gitops.install(team)
    gitops.merge(team, run, values)
    saved = team.saved(run)
    gitops.merge(team, run, None)
    team.wait("nothing to be left", lambda: not team.objects(run, "jobs,pods,configmaps,services"))
    team.wait("the Application to be gone", lambda: not gitops.application(team, run))
    assert f"ckpt-{team.status(run)['lastCheckpoint']['step']}" in team.read(f"{run}/checkpoints/checkpoint")
    gitops.merge(team, run, values)
    team.after_step(run, saved)
    assert "training from step 0 " not in team.log(run, "chief-0")


def test_archived_and_gone_on_with_in_a_new_run(team: Team, gitops: GitOps) -> None:
    """A finished run is archived by a commit: its record is left and the Application is Healthy; a new file with
    warmStartFrom begins with the weights of its checkpoint and counts its own steps."""
    values = gitops.values(steps=100)
    gitops.install(team)
    gitops.merge(team, "old", values)
    gitops.healthy(team, "old")
    gitops.merge(team, "old", values | {"state": "archived"})
    team.wait("the Job to be gone", lambda: not team.objects("old", "jobs,pods"))
    assert team.objects("old", "configmaps,services") == ["ConfigMap/old"]
    gitops.healthy(team, "old")
    gitops.merge(team, "new", values | {"warmStartFrom": "old", "trainer": values["trainer"] | {"steps": 200}})
    gitops.healthy(team, "new")
    log = team.log("new", "chief-0")
    assert "starting from the weights and the optimizer of /runs/old/checkpoints/ckpt-100" in log
    assert "training from step 0 to 200" in log
    assert team.done("new")["step"] == 200
