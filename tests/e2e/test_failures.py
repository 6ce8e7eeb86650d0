"""Runs that cannot succeed end early and hold no GPUs."""

import json
from collections.abc import Callable

from tests.e2e.team import Team, job

BROKEN = '''"""A task with a bug."""

import tensorflow as tf

from trainer.tasks.digits import Digits


def refuse(image, label):
    """Fail at random, like a broken example in the data."""
    with tf.control_dependencies([tf.debugging.Assert(tf.random.uniform([]) < 0.9, ["this data is broken"])]):
        return tf.identity(image), label


class Broken(Digits):
    """A task that fails after some steps."""

    def dataset(self, context, split):
        """Return data with some broken examples."""
        return super().dataset(context, split).map(refuse)
'''


def test_user_error_ends_the_run_without_retry(team: Team) -> None:
    """The `Task` class raises half-way: chief, ps and workers exit with 1 and are not retried (one pod each). Every Job
    fails, and no GPU is held."""
    trainer = {"task": "broken:Broken"}
    values = job("ParameterServer", gpus=1, trainer=trainer, code={"files": {"broken.py": BROKEN}})
    team.install("broken", values)
    end = team.end("broken")
    assert end.jobs == dict.fromkeys(["chief", "ps", "worker"], "PodFailurePolicy")
    assert end.codes["chief-0"] == [1]
    # A Job that fails because of one task deletes its other pods, so these have no exit codes.
    assert all(codes == [1] for codes in end.codes.values()), end
    assert "this data is broken" in team.status("broken")["message"]


def with_lost_image(team: Team, run: str, role: str) -> None:
    """Re-create the Job of a role with a missing image, because a job file has one image for all roles."""
    name = f"job/{run}-{role}"
    old = json.loads(team.kubectl("get", name, "-o", "json"))
    team.kubectl("delete", name, "--cascade=foreground")
    template = old["spec"]["template"]
    template["spec"]["containers"][0]["image"] = f"{team.kube.images['trainer'].partition('@')[0]}:no-such-tag"
    uid = old["metadata"]["uid"]
    template["metadata"]["labels"] = {
        key: value for key, value in template["metadata"]["labels"].items() if value != uid and "job-name" not in key
    }
    spec = {key: value for key, value in old["spec"].items() if key != "selector"}
    metadata = {key: old["metadata"][key] for key in ("name", "namespace", "labels", "annotations")}
    team.kube.apply(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {**spec, "template": template}}
    )


def test_missing_image_ends_the_run_after_the_start_timeout(team: Team) -> None:
    """The image of the ps cannot be pulled: `tfd status` shows the reason, and chief and workers exit with 76 after the
    start timeout. Only the pod of the ps remains, which never ran, and uninstalling the run deletes this pod."""
    run = "unpulled"
    values = job("ParameterServer", gpus=1, failure={"startTimeout": "30s"})
    team.install(run, values | {"state": "suspended"})
    with_lost_image(team, run, "ps")
    for role in ("chief", "ps", "worker"):
        team.kubectl("patch", f"job/{run}-{role}", "--type=merge", "-p", json.dumps({"spec": {"suspend": False}}))

    def named() -> bool:
        task = team.tfd_status(run)["tasks"]["ps-0"]
        return task["state"] == "starting" and "ImagePull" in task["why"]

    team.wait("tfd status to name the image", named)
    ended = team.wait("chief and workers to end", lambda: team.over(run, "chief", "worker"))
    assert ended == {"chief": "PodFailurePolicy", "worker": "PodFailurePolicy"}
    assert team.codes(run)["chief-0"] == [76]
    assert team.gpus_held(run) == 0
    now = team.tfd_status(run)
    assert now["state"] == "failed"
    assert "missing ps-0" in now["why"]
    team.uninstall(run)
    team.wait("the pod of the ps to be deleted", lambda: not team.pods(run))


def test_tasks_without_chief_exit_after_the_orphan_timeout(
    team: Team, strike: Callable[[Team, str, str], float]
) -> None:
    """The chief is killed and has no retry left: ps and workers exit with 76 after the orphan timeout. Every Job fails,
    and no GPU is held."""
    run = "orphans"
    team.install(run, job("ParameterServer", 100_000, gpus=1, retries=0, failure={"orphanTimeout": "20s"}))
    for task in ("ps-0", "worker-0", "worker-1"):  # Before, a task waits for the chief for the start timeout.
        team.wait(f"{task} to reach the chief", lambda task=task: "the chief is reachable" in team.log(run, task))  # type: ignore[misc]
    strike(team, run, "chief-0")
    end = team.end(run)
    assert end.jobs["chief"] == "BackoffLimitExceeded"
    assert (end.jobs["ps"], end.jobs["worker"]) == ("PodFailurePolicy", "PodFailurePolicy")
    assert end.codes["chief-0"] == [137]
    assert end.codes["ps-0"] == [76]
    assert [76] in (end.codes.get("worker-0"), end.codes.get("worker-1"))


def test_deadline_ends_every_job_with_a_checkpoint(team: Team) -> None:
    """The deadline passes: every Job fails with DeadlineExceeded, all pods end, and no GPU is held. The run has saved a
    checkpoint of its last step."""
    run = "late"
    team.install(run, job("ParameterServer", 100_000, gpus=1, deadline="45s", failure={"gracePeriod": "20s"}))
    step = team.after_step(run, 50)
    end = team.end(run)
    assert end.jobs == dict.fromkeys(["chief", "ps", "worker"], "DeadlineExceeded")
    status = team.status(run)
    assert status["state"] == "interrupted"
    assert status["lastCheckpoint"]["step"] == status["step"] >= step
