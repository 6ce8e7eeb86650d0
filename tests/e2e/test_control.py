"""What one does to a run: suspend it, resume it, archive it, delete what has ended."""

from tests.e2e.team import Team, job


def test_suspend_and_resume(team: Team) -> None:
    """Suspended half-way: the checkpoint of the last step is saved, no pod is left, no GPU held, `tfd status` says so;
    resumed: it goes on from that step, to the end, all Jobs Complete."""
    run, steps = "paused", 1000
    values = job("ParameterServer", steps, gpus=1, failure={"gracePeriod": "20s"})
    team.install(run, values)
    team.after_step(run, 100)
    team.upgrade(run, values | {"state": "suspended"})
    team.wait("all pods to be gone", lambda: not team.pods(run))
    assert team.gpus_held(run) == 0
    saved = team.status(run)
    assert saved["lastCheckpoint"]["step"] == saved["step"] >= 100
    now = team.tfd_status(run)
    assert now["state"] == "suspended"
    assert {role["job"] for role in now["roles"].values()} == {"suspended"}
    team.upgrade(run, values)
    end = team.end(run)
    assert end.jobs == dict.fromkeys(["chief", "ps", "worker"], "Complete")
    assert all(codes == [0] for codes in end.codes.values())
    assert f"training from step {saved['step']} to {steps}" in team.log(run, "chief-0")


def test_archived(team: Team) -> None:
    """A run that has ended is archived: of all its objects only the record and the claim that it made are left."""
    run = f"kept-{team.name[-4:]}"
    values = job("OneDevice", 100, storage={"create": {"size": "1Gi"}}, tensorboard={"enabled": True})
    team.install(run, values)
    assert team.end(run).jobs == {"chief": "Complete"}
    team.upgrade(run, values | {"state": "archived"})
    team.wait("all pods to be gone", lambda: not team.objects(run, "pods"))
    kinds = "jobs,pods,services,deployments,networkpolicies,configmaps,persistentvolumeclaims"
    assert team.objects(run, kinds) == [f"ConfigMap/{run}", f"PersistentVolumeClaim/{run}"]
    assert team.tfd_status(run)["state"] == "archived"


def test_job_deleted_and_created_again(team: Team) -> None:
    """After success the Job is deleted and created again: it finds DONE and ends within seconds with 0; nothing is
    trained."""
    run, values = "again", job("OneDevice", 100)
    team.install(run, values)
    team.end(run)
    first = team.done(run)
    team.kubectl("delete", f"job/{run}-chief", "--cascade=foreground")
    team.upgrade(run, values)
    end = team.end(run)
    assert (end.jobs, end.codes) == ({"chief": "Complete"}, {"chief-0": [0]})
    assert "was done already" in team.log(run, "chief-0")
    assert "training from" not in team.log(run, "chief-0")
    assert team.done(run) == first


def test_finished_pod_deleted(team: Team) -> None:
    """A finished pod is deleted, then the job file changes in a note: no pod is made, the Job stays Complete."""
    run, values = "finished", job("OneDevice", 100)
    team.install(run, values)
    team.end(run)
    [pod] = team.pods(run)
    team.kubectl("delete", "pod", pod["metadata"]["name"])
    team.upgrade(run, values | {"description": "read again"})
    described = team.jobs(run)["chief"]["metadata"]["annotations"]["tf-distributed.github.io/description"]
    assert described == "read again"
    assert team.end(run).jobs == {"chief": "Complete"}
    assert team.pods(run) == []
