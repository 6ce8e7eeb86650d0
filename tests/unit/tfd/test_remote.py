"""`tfd status`, `tfd logs` and `tfd tensorboard` with a kubectl that prints recorded answers."""

import json
import re
import sys

import pytest
from rich.console import Console

from tests.unit.tfd.fake_cluster import STATUS, Cluster, all_running, ended, job, pod, record
from tfd.remote import name
from tfd.remote.progress import from_lines
from tfd.remote.render import render
from tfd.remote.status import Role, Status
from tfd.remote.tasks import State, Task, within


@pytest.mark.parametrize(
    ("text", "namespace", "found"),
    [
        ("little", None, (None, "little")),
        ("vision/little", None, ("vision", "little")),
        ("jobs/vision/little.yaml", None, ("vision", "little")),
        ("vision/little", "speech", ("speech", "little")),
    ],
)
def test_run_has_three_forms_of_name(text: str, namespace: str | None, found: tuple[str | None, str]) -> None:
    assert name.parse(text, namespace) == found


def test_status_of_a_running_run(cluster: Cluster) -> None:
    cluster.answers |= {"items": all_running(), "status": STATUS}
    now = cluster.status()
    assert (now["state"], now["strategy"], now["namespace"]) == ("running", "ParameterServer", "vision")
    assert now["progress"] == STATUS | {"source": "status.json"}
    assert now["roles"]["worker"] == {"job": "active", "why": "", "tasks": 2, "states": {"running": 2}}
    assert now["tasks"]["ps-0"]["node"] == "node1"
    assert any(
        "exec" in line and "little-chief-0-0 -- cat /runs/little/status.json" in line for line in cluster.asked()
    )
    text = cluster.tfd("status", "vision/little").output
    for words in ("340/600 (57 %)", "41.2 steps/s", "ETA 6 s", "loss 0.213", "step 200", "restarts", "ago)"):
        assert words in text, text
    assert "--namespace vision" in cluster.asked()[-1]


def test_status_of_a_run_without_pods_is_read_where_tensorboard_mounts_the_storage(cluster: Cluster) -> None:
    config = record()
    run = json.loads(config["data"]["run.json"])
    run["identity"]["storage"] = {"claim": "runs", "at": "/train"}
    config["data"]["run.json"] = json.dumps(run)
    cluster.answers |= {"items": [config, job("chief", suspend=True), pod("tensorboard", 0)], "status": STATUS}
    assert cluster.status()["progress"]["source"] == "status.json"
    assert any("little-tensorboard-0-0 -- cat /train/little/status.json" in line for line in cluster.asked())


def test_status_names_why_a_task_does_not_start(cluster: Cluster) -> None:
    scheduled = [{"type": "PodScheduled", "status": "True"}]
    no_place = [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes: 1 Insufficient nvidia.com/gpu."}]
    pulls = [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}}]
    creates = [{"state": {"waiting": {"reason": "ContainerCreating"}}}]
    cluster.answers["items"] = [
        record(evaluator=1), *map(job, ("chief", "ps", "worker", "evaluator")),
        pod("chief", 0, "Pending", conditions=scheduled, containerStatuses=pulls),
        pod("ps", 0, "Pending", conditions=scheduled, containerStatuses=creates),
        pod("worker", 0, "Pending", conditions=no_place),
    ]  # fmt: skip
    cluster.answers["events"] = [
        {"involvedObject": {"name": "little-worker"}, "message": "old", "lastTimestamp": "2026-11-24"},
        {"involvedObject": {"name": "little-ps-0-0"}, "message": "claim runs not found", "eventTime": "2026-11-24"},
        {"involvedObject": {"name": "little-worker"}, "message": "exceeded quota", "lastTimestamp": "2026-11-25"},
    ]  # fmt: skip
    now = cluster.status()
    found = {task: (each["state"], each["why"]) for task, each in now["tasks"].items()}
    assert found == {
        "chief-0": ("starting", "ImagePullBackOff: Back-off pulling image"),
        "ps-0": ("starting", "claim runs not found"),
        "worker-0": ("pending", "0/1 nodes: 1 Insufficient nvidia.com/gpu."),
        "worker-1": ("waiting", "exceeded quota"),
        "evaluator-0": ("waiting", "the Job has not created a pod yet"),
    }
    assert (now["state"], now["why"]) == ("waiting", "ImagePullBackOff: Back-off pulling image")
    assert "worker-1 waiting: exceeded quota" in cluster.tfd("status", "little").output


def test_status_needs_no_permission_to_read_events(cluster: Cluster) -> None:
    cluster.answers |= {"items": [record(), job("chief")], "events": "Error from server (Forbidden): events"}
    assert cluster.status()["tasks"]["chief-0"]["why"] == "the Job has not created a pod yet"


def test_failed_run_has_the_reason_of_the_trainer(cluster: Cluster) -> None:
    message = json.dumps({"exitCode": 1, "message": "ValueError: bad data", "step": 40, "metrics": None})
    failed = ("Failed", "PodFailurePolicy", "Container trainer failed with exit code 1")
    cluster.answers["items"] = [
        record(), job("chief", failed), job("ps", failed), job("worker", failed, failedIndexes="0"),
        pod("chief", 0, "Failed", **ended(1, message)), pod("ps", 0, "Failed", **ended(1, "first\nlast line")),
        pod("worker", 0, "Failed", reason="DeadlineExceeded", message="too long"),
    ]  # fmt: skip
    now = cluster.status()
    assert (now["state"], now["why"]) == ("failed", "exit 1: ValueError: bad data")
    assert now["progress"] == {
        "exitCode": 1, "message": "ValueError: bad data", "step": 40, "metrics": None, "source": "termination message"
    }  # fmt: skip
    assert now["tasks"]["ps-0"] == {
        "state": "failed", "why": "exit 1: last line", "node": "node1", "attempts": 1, "exitCode": 1
    }  # fmt: skip
    assert now["tasks"]["worker-0"]["why"] == "DeadlineExceeded: too long"
    assert now["tasks"]["worker-1"]["why"] == "PodFailurePolicy: Container trainer failed with exit code 1"
    assert now["roles"]["ps"]["job"] == "Failed"


def test_failed_attempt_waits_for_a_replacement(cluster: Cluster) -> None:
    disrupted = [{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}]
    cluster.answers["items"] = [
        record(), *map(job, ("chief", "ps", "worker")), pod("chief", 0), pod("ps", 0),
        pod("worker", 0, "Failed", **ended(137, "")), pod("worker", 0, attempt=1),
        pod("worker", 1, "Failed", conditions=disrupted, **ended(143, "")),
    ]  # fmt: skip
    tasks = cluster.status()["tasks"]
    assert (tasks["worker-0"]["state"], tasks["worker-0"]["attempts"]) == ("running", 2)
    assert tasks["worker-1"]["state"] == "waiting"
    assert tasks["worker-1"]["why"] == (
        "exit 143: The task received SIGTERM and saved a checkpoint before it exited: "
        "EvictionByEvictionAPI, not counted; the Job creates a new pod after the back-off"
    )


def test_finished_run_is_read_through_its_tensorboard(cluster: Cluster) -> None:
    complete = ("Complete", "CompletionsReached", "")
    cluster.answers["items"] = [
        record(ps=0, worker=0, strategy="OneDevice"), job("chief", complete, completedIndexes="0"),
        pod("chief", 0, "Succeeded", **ended(0, "")), pod("tensorboard", 0),
    ]  # fmt: skip
    cluster.answers["status"] = STATUS | {"state": "done", "exitCode": 0, "step": 600, "metrics": {"accuracy": 0.98765}}
    assert cluster.status()["state"] == "done"
    assert any("little-tensorboard-0-0 -- cat" in line for line in cluster.asked())
    text = cluster.tfd("status", "little").output
    assert "0.9877 (evaluation data)" in text and "exit 0: done" in text and "ETA" not in text


def test_suspended_and_archived_runs_have_their_own_states(cluster: Cluster) -> None:
    jobs = [job(role, suspend=True) for role in ("chief", "ps", "worker")]
    cluster.answers["items"] = [record(), *jobs]
    now = cluster.status()
    assert now["state"] == "suspended"
    assert {task["state"] for task in now["tasks"].values()} == {"suspended"}
    cluster.answers["items"] = [record()]
    assert cluster.status()["state"] == "archived"


def test_run_without_a_chief_is_done_with_its_workers(cluster: Cluster) -> None:
    cluster.answers["items"] = [
        record(chief=0, command=["python", "mine.py"]), job("ps"), job("worker"),
        pod("ps", 0), pod("worker", 0), pod("worker", 1),
    ]  # fmt: skip
    cluster.answers["log"] = "step 7/9"
    now = cluster.status()
    assert (now["state"], now["progress"]["step"]) == ("running", 7)
    assert any("logs little-worker-0-0" in line for line in cluster.asked())
    cluster.answers["items"][2] = job("worker", ("Complete", "CompletionsReached", ""), completedIndexes="0,1")
    assert cluster.status()["state"] == "done"


def test_elastic_run_without_worker_0_is_read_from_another_worker(cluster: Cluster) -> None:
    absent = pod("worker", 0, "Pending")
    cluster.answers["items"] = [record(chief=0, ps=0, worker=3), job("worker"), absent, pod("worker", 1)]
    cluster.answers["log"] = "step 7/9"
    assert cluster.status()["progress"]["step"] == 7
    assert any("logs little-worker-1-0" in line for line in cluster.asked())
    words = [json.dumps({"exitCode": 0, "message": "done", "metrics": metrics}) for metrics in (None, {"accuracy": 1})]
    cluster.answers["items"] = [
        record(chief=0, ps=0, worker=3), job("worker", ("Complete", "SuccessPolicy", ""), completedIndexes="1,2"),
        pod("worker", 1, "Succeeded", **ended(0, words[0])), pod("worker", 2, "Succeeded", **ended(0, words[1])),
    ]  # fmt: skip
    cluster.answers["log"] = ""
    found = cluster.status()
    assert (found["state"], found["progress"]["metrics"]) == ("done", {"accuracy": 1})
    assert found["tasks"]["worker-0"]["state"] == "done", "the Job is complete without it"


def test_deleted_pod_of_a_finished_task_counts_as_done(cluster: Cluster) -> None:
    cluster.answers["items"] = [
        record("MultiWorkerMirrored", chief=0, ps=0), job("worker", completedIndexes="0"), pod("worker", 1)
    ]  # fmt: skip
    assert cluster.status()["tasks"]["worker-0"]["state"] == "done"


def test_index_ranges_of_a_job_are_read() -> None:
    assert [index for index in range(12) if within(index, "0,3-5,11")] == [0, 3, 4, 5, 11]
    assert not within(0, "")


def test_silent_trainer_is_starting(cluster: Cluster) -> None:
    cluster.answers["items"] = all_running()
    assert cluster.status()["state"] == "starting"
    cluster.answers["status"] = STATUS | {"state": "starting", "message": "waiting for ps-0"}
    assert (cluster.status()["state"], cluster.status()["why"]) == ("starting", "waiting for ps-0")


def test_silent_custom_script_is_running(cluster: Cluster) -> None:
    cluster.answers["items"] = [record(command=["python", "mine.py"]), *all_running()[1:]]
    assert cluster.status()["state"] == "running"


def test_step_of_a_custom_script_comes_from_its_log(cluster: Cluster) -> None:
    cluster.answers |= {"items": all_running(), "log": "noise\nstep 100/300 loss 0.5\nstep 200/300 loss 0.25\nbye"}
    assert cluster.status()["progress"] == {"step": 200, "steps": 300, "loss": 0.25, "source": "log"}
    assert from_lines("10:00:00 chief-0 step 50/100 loss 0.1 10.0 steps/s") == {
        "step": 50, "steps": 100, "loss": 0.1, "stepsPerSecond": 10.0, "etaSeconds": 5.0
    }  # fmt: skip
    assert from_lines("nothing of the kind") == {}


def test_a_thousand_workers_take_few_lines() -> None:
    waiting = [Task(f"worker-{index}", State.PENDING, "no place") for index in range(1000)]
    status = Status("big", "vision", "ParameterServer", "waiting", "", [Role("worker", "active", "", waiting)], {})
    console = Console(width=100)
    with console.capture() as captured:
        console.print(render(status))
    assert "worker-4 and 995 more pending: no place" in captured.get()
    assert len(captured.get().splitlines()) < 8


@pytest.mark.parametrize(
    ("workers", "changes", "line"),
    [
        ({"there": 3, "least": 2, "most": 8}, 5, "workers      3 of 8 (starts with 2), 5 joined or lost so far"),
        ({"there": 8, "least": 2, "most": 8}, 0, "workers      8 of 8 (starts with 2)\n"),
        ({"there": "3"}, 5, None),
        (None, 0, None),
    ],
)
def test_workers_of_an_elastic_run_are_shown(workers: object, changes: int, line: str | None) -> None:
    progress = {"workers": workers, "workerChanges": changes}
    console = Console(width=100)
    with console.capture() as captured:
        console.print(render(Status("big", "vision", "ParameterServer", "running", "", [], progress)))
    shown = re.sub(r" +\n", "\n", captured.get())
    assert ("workers" in shown) is (line is not None)
    assert (line or "") in shown


def test_control_characters_of_a_pod_do_not_reach_the_terminal(cluster: Cluster) -> None:
    cluster.answers["items"] = [record(), job("chief"), pod("chief", 0, "Failed", **ended(1, "a\x1b[31mred\x07"))]
    text = cluster.tfd("status", "little").output
    assert "exit 1: ared" in text and not {"\x1b", "\x07"} & set(text)


def test_exit_codes(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    done = cluster.tfd("status", "little", "-n", "vision")
    assert done.exit_code == 1
    assert done.stderr.startswith('run: got "little"; expected a run in namespace vision. Name the namespace with -n')
    assert cluster.tfd("status", "Little_1").exit_code == 2
    assert cluster.tfd("status", "little", "--json", "--watch").exit_code == 2
    cluster.answers["items"] = "noise\nThe connection to the server localhost:8080 was refused"
    done = cluster.tfd("status", "little")
    assert done.exit_code == 2
    assert done.stderr.startswith("The connection to the server localhost:8080 was refused")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    done = cluster.tfd("status", "little")
    assert (done.exit_code, "kubectl: got no program; expected " in done.stderr) == (2, True)


def test_logs_are_printed_by_kubectl(cluster: Cluster) -> None:
    cluster.answers |= {"items": all_running(), "log": "hello"}
    done = cluster.tfd("logs", "little", "worker")
    assert (done.exit_code, done.stdout) == (0, "hello\n")
    assert cluster.asked()[-1].startswith("logs little-worker-0-0")
    done = cluster.tfd("logs", "little", "worker-7")
    assert (done.exit_code, done.stderr) == (
        1,
        'task: got "worker-7"; expected one of chief-0, ps-0, worker-0, worker-1. Name a task of little.\n',
    )
    cluster.answers["items"] = [record(), job("chief")]
    done = cluster.tfd("logs", "little")
    assert (done.exit_code, done.stderr) == (
        1, "chief-0 of little has no log: waiting: the Job has not created a pod yet\n"
    )  # fmt: skip


def test_logs_of_an_elastic_run_without_a_chief_are_those_of_its_leader(cluster: Cluster) -> None:
    variables = [{"name": "TRAINER_MIN_WORKERS", "value": "1"}]
    elastic = job("worker")
    elastic["spec"]["template"] = {"spec": {"containers": [{"env": variables}]}}
    waits = pod("worker", 0, "Pending")
    items = [record("MultiWorkerMirrored", chief=0, ps=0, worker=3), elastic, waits, pod("worker", 1), pod("worker", 2)]
    cluster.answers |= {"items": items, "status": STATUS | {"leader": "worker-2"}, "log": "step 1/2"}
    assert cluster.tfd("logs", "little").exit_code == 0
    assert cluster.asked()[-1].startswith("logs little-worker-2-0")
    for unknown in ({"leader": "worker-0"}, {}):
        cluster.answers["status"] = STATUS | unknown
        assert cluster.tfd("logs", "little").exit_code == 0
        assert cluster.asked()[-1].startswith("logs little-worker-1-0"), "the first worker with a log"


def test_tensorboard_prints_its_address_and_its_error(cluster: Cluster) -> None:
    cluster.answers["items"] = [*all_running(), pod("tensorboard", 0)]
    done = cluster.tfd("tensorboard", "little")
    assert done.stdout == "http://127.0.0.1:40001   (Ctrl-C stops it)\n"
    assert (done.exit_code, done.stderr) == (2, "lost connection to pod\n")
    cluster.answers["items"] = all_running()
    done = cluster.tfd("tensorboard", "little")
    assert done.exit_code == 1 and "tensorboard.enabled" in done.stderr


def test_job_that_the_cron_job_has_ended_names_the_reason(cluster: Cluster) -> None:
    why = "little-chief-0 did not start on node1 within failure.startTimeout: ImagePullBackOff: no such tag"
    failed = job("chief", ("Failed", "DeadlineExceeded", "Job was active longer than specified deadline"))
    failed["metadata"]["annotations"] = {"tf-distributed.github.io/ended": why}
    cluster.answers |= {"items": [record(), failed]}
    now = cluster.status()
    assert (now["state"], now["why"]) == ("failed", why)
