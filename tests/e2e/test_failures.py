"""Runs that can't succeed: they end as soon as that is known, and hold nothing."""

import json
from collections.abc import Callable

from tests.e2e.team import Team, job

BROKEN = '''"""A task with a bug."""

import tensorflow as tf

from trainer.tasks.digits import Digits


def refuse(image, label):
    """Find something wrong with the data, after a while."""
    with tf.control_dependencies([tf.debugging.Assert(tf.random.uniform([]) < 0.9, ["this data is broken"])]):
        return tf.identity(image), label


class Broken(Digits):
    """Fails after some steps."""

    def dataset(self, context, split):
        """Return data that is broken now and then."""
        return super().dataset(context, split).map(refuse)
'''


def test_user_error(team: Team) -> None:
    """The task's own code raises half-way: chief, ps and workers end with the run's 1, no retry (one pod each), every
    Job failed, no GPU held."""
    trainer = {"task": "broken:Broken"}
    values = job("ParameterServer", gpus=1, trainer=trainer, code={"files": {"broken.py": BROKEN}})
    team.install("broken", values)
    end = team.end("broken")
    assert end.jobs == dict.fromkeys(["chief", "ps", "worker"], "PodFailurePolicy")
    assert end.codes["chief-0"] == [1]
    # A Job that failed by one task ends its other pods itself, and those are gone.
    assert all(codes == [1] for codes in end.codes.values()), end
    assert "this data is broken" in team.status("broken")["message"]


def with_lost_image(team: Team, run: str, role: str) -> None:
    """Make a role's Job anew with an image that is not there: a job file has one image for all roles."""
    name = f"job/{run}-{role}"
    made = json.loads(team.kubectl("get", name, "-o", "json"))
    team.kubectl("delete", name, "--cascade=foreground")
    template = made["spec"]["template"]
    template["spec"]["containers"][0]["image"] = f"{team.kube.images['trainer'].partition('@')[0]}:no-such-tag"
    uid = made["metadata"]["uid"]
    template["metadata"]["labels"] = {
        key: value for key, value in template["metadata"]["labels"].items() if value != uid and "job-name" not in key
    }
    spec = {key: value for key, value in made["spec"].items() if key != "selector"}
    metadata = {key: made["metadata"][key] for key in ("name", "namespace", "labels", "annotations")}
    team.kube.apply(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {**spec, "template": template}}
    )


def test_image_that_can_not_be_pulled(team: Team) -> None:
    """The ps' image can't be pulled: `tfd status` says so, chief and workers end with 76 after the start time-out; the
    ps' pod, which never ran, is all that is left, and goes with the run."""
    run = "unpulled"
    values = job("ParameterServer", gpus=1, failure={"startTimeout": "30s"})
    team.install(run, values | {"state": "suspended"})
    with_lost_image(team, run, "ps")
    for role in ("chief", "ps", "worker"):
        team.kubectl("patch", f"job/{run}-{role}", "--type=merge", "-p", json.dumps({"spec": {"suspend": False}}))

    def told() -> bool:
        task = team.tfd_status(run)["tasks"]["ps-0"]
        return task["state"] == "starting" and "ImagePull" in task["why"]

    team.wait("tfd status to name the image", told)
    gone = team.wait("chief and workers to end", lambda: team.over(run, "chief", "worker"))
    assert gone == {"chief": "PodFailurePolicy", "worker": "PodFailurePolicy"}
    assert team.codes(run)["chief-0"] == [76]
    assert team.gpus_held(run) == 0
    now = team.tfd_status(run)
    assert now["state"] == "failed"
    assert "still missing ps-0" in now["why"]
    team.uninstall(run)
    team.wait("the ps' pod to be gone", lambda: not team.pods(run))


def test_orphans(team: Team, strike: Callable[[Team, str, str], float]) -> None:
    """The chief is killed and has no retry left: ps and workers leave with 76 by the orphan time-out, every Job failed,
    no GPU held."""
    run = "orphans"
    team.install(run, job("ParameterServer", 100_000, gpus=1, retries=0, failure={"orphanTimeout": "20s"}))
    team.saved(run)
    strike(team, run, "chief-0")
    end = team.end(run)
    assert end.jobs["chief"] == "BackoffLimitExceeded"
    assert (end.jobs["ps"], end.jobs["worker"]) == ("PodFailurePolicy", "PodFailurePolicy")
    assert end.codes["chief-0"] == [137]
    assert end.codes["ps-0"] == [76]
    assert [76] in (end.codes.get("worker-0"), end.codes.get("worker-1"))


def test_deadline(team: Team) -> None:
    """The deadline passes: every Job fails as DeadlineExceeded, all pods end, no GPU held, the checkpoint of the last
    step is there."""
    run = "late"
    team.install(run, job("ParameterServer", 100_000, gpus=1, deadline="45s", failure={"gracePeriod": "20s"}))
    step = team.after_step(run, 50)
    end = team.end(run)
    assert end.jobs == dict.fromkeys(["chief", "ps", "worker"], "DeadlineExceeded")
    status = team.status(run)
    assert status["state"] == "interrupted"
    assert status["lastCheckpoint"]["step"] == status["step"] >= step
