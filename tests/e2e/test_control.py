"""Users suspend, resume and archive runs, and delete finished Jobs and pods."""

from tests.e2e.team import Team, job


def test_suspended_run_resumes_from_its_checkpoint(team: Team) -> None:
    """A run is suspended half-way: the run saves a checkpoint of its last step, every pod is deleted, no GPU is held,
    and `tfd status` shows `suspended`. Then the run resumes from that step and completes, with all Jobs Complete."""
    run, steps = "paused", 1000
    values = job("ParameterServer", steps, gpus=1, failure={"gracePeriod": "20s"})
    team.install(run, values)
    team.after_step(run, 100)
    team.upgrade(run, values | {"state": "suspended"})
    team.wait("all pods to be deleted", lambda: not team.pods(run))
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


def test_archived_run_keeps_record_and_claim(team: Team) -> None:
    """A finished run is archived: of its objects, only the run record and the claim that the run created remain."""
    run = f"kept-{team.name[-4:]}"
    values = job("OneDevice", 100, storage={"create": {"size": "1Gi"}}, tensorboard={"enabled": True})
    team.install(run, values)
    assert team.end(run).jobs == {"chief": "Complete"}
    team.upgrade(run, values | {"state": "archived"})
    team.wait("all pods to be deleted", lambda: not team.objects(run, "pods"))
    kinds = "jobs,pods,services,deployments,networkpolicies,configmaps,persistentvolumeclaims"
    assert team.objects(run, kinds) == [f"ConfigMap/{run}", f"PersistentVolumeClaim/{run}-storage"]
    assert team.tfd_status(run)["state"] == "archived"


def test_recreated_job_of_a_done_run_trains_nothing(team: Team) -> None:
    """The Job of a successful run is deleted and re-created: the task finds the DONE marker, exits with 0 and trains
    nothing."""
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


def test_deleted_pod_of_a_complete_job_is_not_recreated(team: Team) -> None:
    """A finished pod is deleted, then the description changes: no pod is created and the Job stays Complete."""
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
