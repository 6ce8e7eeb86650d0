"""`tfd runs`: many runs with few requests, and nothing that no record proves."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.unit.tfd.fake_api import Api, finished, gpu_job, gpu_pod
from tests.unit.tfd.fake_cluster import STATUS, Object, job, pod, record
from tests.unit.tfd.test_queue import NO_QUOTA, TASKS, gated_pod, queued_job, workload
from tests.unit.tfd.test_terminal import HOSTILE, assert_harmless
from tfd.remote.fleet import _LINE

ROLES = ("chief", "ps", "worker")
FAILED = ("Failed", "PodFailurePolicy", "Container trainer failed with exit code 1")
COMPLETE = ("Complete", "CompletionsReached", "")
SCHEDULED, ENDED = "2026-11-24T10:00:00Z", "2026-11-24T12:30:00Z"


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return Api(tmp_path)


def running() -> list[Object]:
    return [record(), *map(job, ROLES), *(pod(*task) for task in TASKS)]


def queued() -> list[Object]:
    return [record(), *map(queued_job, ROLES), *(gated_pod(*task) for task in TASKS)]


def done(metrics: Any, gpus: int = 0) -> list[Object]:
    message = json.dumps({"exitCode": 0, "message": "", "step": 600, "metrics": metrics})
    leader = gpu_pod("chief", 0, gpus, "Succeeded", SCHEDULED, **finished(0, message, ENDED))
    return [record(ps=0, worker=0, strategy="OneDevice"), gpu_job("chief", 1, gpus, COMPLETE), leader]


def failed() -> list[Object]:
    message = json.dumps({"exitCode": 1, "message": "ValueError: bad data", "step": 40, "metrics": None})
    leader = pod("chief", 0, "Failed", **finished(1, message, ENDED))
    return [record(), *(job(role, FAILED) for role in ROLES), leader]


def lists(api: Api) -> list[str]:
    return [line for line in api.asked() if "--raw" in line]


def test_a_thousand_runs_cost_as_many_requests_as_their_pages(api: Api) -> None:
    for number in range(1000):
        api.add(f"run-{number}", *running())
    found = api.runs("--progress", "0")
    assert len(found) == 1000
    assert {(each["state"], each["tasks"]["running"]) for each in found.values()} == {("running", 4)}
    # 1,000 run records, 3,000 Jobs and 4,000 pods in pages of 500, and one page without events.
    assert len(lists(api)) == 2 + 6 + 8 + 1
    assert len(api.asked()) == len(lists(api)) + 1
    text = api.shown("--progress", "0").splitlines()
    assert sum(" running " in line for line in text[5:]) == 1000


TEAMS = [f"team-{number}" for number in range(20)]


def add_teams(api: Api) -> None:
    """Add a run to each of the teams, and one to a team that nobody asks for."""
    for team in [*TEAMS, "other"]:
        api.add("run", *running(), namespace=team)


def test_many_namespaces_cost_as_many_requests_as_all_namespaces(api: Api) -> None:
    add_teams(api)
    found = api.json(*TEAMS, "--progress", "0")["runs"]
    assert sorted(each["namespace"] for each in found) == sorted(TEAMS)
    assert len(api.asked()) == len(lists(api)) == 4


def test_many_namespaces_are_read_one_by_one_without_the_right_to_list_all(api: Api) -> None:
    add_teams(api)
    api.answers["errors"] = {"all namespaces": "Error from server (Forbidden): pods is forbidden"}
    found = api.json(*TEAMS, "--progress", "0")["runs"]
    assert sorted(each["namespace"] for each in found) == sorted(TEAMS)
    assert len([each for each in lists(api) if "/namespaces/" in each]) == 4 * len(TEAMS)


def test_unreachable_cluster_is_not_asked_again(api: Api) -> None:
    add_teams(api)
    api.answers["errors"] = {"all namespaces": "Unable to connect to the server: dial tcp 10.77.0.1:6443"}
    done = api.tfd("runs", *TEAMS)
    assert (done.exit_code, "Unable to connect to the server" in done.stderr) == (2, True)
    assert not [each for each in lists(api) if "/namespaces/" in each]


def test_run_with_1101_tasks_is_one_row(api: Api) -> None:
    workers = [pod("worker", index) for index in range(1000)]
    servers = [pod("ps", index) for index in range(100)]
    api.add("large", record(ps=100, worker=1000), *map(job, ROLES), pod("chief", 0), *servers, *workers)
    assert api.runs("--progress", "0")["large"]["tasks"] == {"running": 1101, "all": 1101}
    assert len(lists(api)) == 1 + 1 + 3 + 1


def test_states_are_those_of_the_status_of_one_run(api: Api) -> None:
    suspended = [record(), *(job(role, suspend=True) for role in ROLES)]
    api.add("failed", *failed())
    api.add("suspended", *suspended)
    api.add("archived", record())
    api.add("running", *running())
    api.add("queued", *queued())
    api.items["workloads"] = [workload(QuotaReserved=("False", NO_QUOTA))]
    api.items["workloads"][0]["metadata"]["name"] = "queued"
    api.answers["lines"] = {"team": ["other", "queued"]}
    found = api.runs("--progress", "0")
    assert {name: each["state"] for name, each in found.items()} == {
        "failed": "failed", "suspended": "suspended", "archived": "archived",
        "running": "running", "queued": "queued",
    }  # fmt: skip
    assert found["failed"]["why"] == "exit 1: ValueError: bad data"
    assert found["failed"]["lastError"] == "chief-0: exit 1: ValueError: bad data"
    assert found["failed"]["progress"]["step"] == 40
    assert found["queued"]["why"] == f"in queue team: {NO_QUOTA}"
    assert found["queued"]["positionInQueue"] == 2
    assert "2. in team" in api.shown("--progress", "0")


def test_line_of_a_queue_is_read_to_its_end(api: Api) -> None:
    api.add("queued", *queued())
    api.items["workloads"] = [workload(QuotaReserved=("False", NO_QUOTA))]
    api.items["workloads"][0]["metadata"]["name"] = "queued"
    api.answers["lines"] = {"team": [*(f"other-{number}" for number in range(_LINE)), "queued"]}
    assert api.runs()["queued"]["positionInQueue"] == _LINE + 1


def test_position_that_cannot_be_read_is_missing_and_named(api: Api) -> None:
    api.add("queued", *queued())
    api.items["workloads"] = [workload(QuotaReserved=("False", NO_QUOTA))]
    api.items["workloads"][0]["metadata"]["name"] = "queued"
    api.answers["errors"] = {"pendingworkloads": "Error from server (NotFound): no such resource"}
    found = api.json()
    assert found["runs"][0]["positionInQueue"] is None
    assert found["notes"] == ["Positions in queues could not be read: Error from server (NotFound): no such resource"]


def test_cluster_without_queues_is_not_asked_for_them(api: Api) -> None:
    api.add("running", *running())
    api.shown()
    assert not any("kueue" in line for line in api.asked())


def test_progress_is_read_for_as_many_runs_as_wanted(api: Api) -> None:
    for name in ("a", "b", "c"):
        api.add(name, *running())
    api.answers["status"] = {f"{name}-chief-0-0": STATUS | {"step": 100 * index} for index, name in enumerate("abc")}
    found = api.runs("--progress", "2")
    assert [found[name]["progress"]["step"] for name in "abc"] == [0, 100, None]
    assert [found[name]["progress"]["isRead"] for name in "abc"] == [True, True, False]
    assert sum("exec" in line for line in api.asked()) == 2
    assert api.json("--progress", "2")["notes"] == [
        "The progress of 1 running runs was not read, so they may still be starting. Set --progress."
    ]
    text = api.shown("--progress", "3")
    assert "200/600 33 %" in text and "6 s" in text and "loss 0.2134" in text and "not read" not in text


def test_workers_of_an_elastic_run_are_a_column(api: Api) -> None:
    workers = {"there": 3, "least": 2, "most": 8}
    for name in ("elastic", "fixed"):
        api.add(name, *running())
    api.answers["status"] = {"elastic-chief-0-0": STATUS | {"workers": workers}, "fixed-chief-0-0": STATUS}
    found = api.runs()
    assert (found["elastic"]["workers"], found["fixed"]["workers"]) == (workers, None)
    assert " 3/8 " in api.shown()


def test_only_read_progress_shows_a_starting_run(api: Api) -> None:
    api.add("starts", *running())
    api.add("trains", *running())
    api.answers["status"] = {"starts-chief-0-0": {"state": "starting", "message": "waits for worker-1"},
                             "trains-chief-0-0": STATUS}  # fmt: skip
    assert set(api.runs("--state", "starting")) == {"starts"}
    assert set(api.runs("--state", "running")) == {"trains"}
    assert api.runs("--state", "starting", "--progress", "0") == {}
    assert api.runs("--state", "starting")["starts"]["why"] == "waits for worker-1"


def test_filters_and_orders(api: Api) -> None:
    api.add("old", *failed(), annotations={"tf-distributed.github.io/owner": "kim"}, creationTimestamp=SCHEDULED)
    api.add("new", *done({"accuracy": 0.98765}), labels={"project": "x"}, creationTimestamp=ENDED)
    api.add("other", *running(), namespace="speech")
    assert set(api.runs()) == {"old", "new"}
    assert set(api.runs("vision", "speech")) == set(api.runs("--all-namespaces")) == {"old", "new", "other"}
    assert set(api.runs("--owner", "kim")) == set(api.runs("--state", "failed")) == {"old"}
    assert set(api.runs("-l", "project=x")) == {"new"} and set(api.runs("-l", "project!=x")) == {"old"}
    assert list(api.runs("--sort", "age")) == ["new", "old"]
    assert list(api.runs("--sort", "progress")) == ["new", "old"]
    assert list(api.runs("--sort", "owner")) == ["old", "new"]
    assert api.runs()["new"]["result"] == {"accuracy": 0.98765}
    assert "accuracy 0.9877" in api.shown() and "kim" in api.shown()


def test_gpus_that_do_not_train_are_idle(api: Api) -> None:
    trains = [record(ps=0), gpu_job("chief", 1, 1), gpu_job("worker", 2, 4),
              gpu_pod("chief", 0, 1), gpu_pod("worker", 0, 4), gpu_pod("worker", 1, 4, "Pending")]  # fmt: skip
    waits = [record(ps=0), gpu_job("chief", 1, 1), gpu_job("worker", 2, 4),
             gpu_pod("chief", 0, 1, "Pending"), gpu_pod("worker", 0, 4)]  # fmt: skip
    del waits[3]["spec"]["nodeName"]
    api.add("trains", *trains)
    api.add("waits", *waits)
    api.add("suspended", record(ps=0, worker=0), gpu_job("chief", 1, 8, suspend=True))
    api.add("done", *done(None, gpus=8))
    found = api.json("--progress", "0")
    assert {each["run"]: each["gpus"] for each in found["runs"]} == {
        "trains": {"asked": 9, "held": 9, "idle": 4}, "waits": {"asked": 9, "held": 4, "idle": 4},
        "suspended": {"asked": 0, "held": 0, "idle": 0}, "done": {"asked": 0, "held": 0, "idle": 0},
    }  # fmt: skip
    [team] = found["teams"]
    assert (team["name"], team["runs"], team["gpus"]) == ("vision", 4, {"asked": 18, "held": 13, "idle": 8})


def test_gpu_hours_are_those_that_records_prove(api: Api) -> None:
    times = {"startTime": SCHEDULED, "completionTime": ENDED}
    no_pods = [record(ps=0, worker=0), gpu_job("chief", 1, 2, COMPLETE, **times)]
    ended_early = [record(ps=0, worker=0), gpu_job("chief", 1, 2, FAILED)]
    never = gpu_pod("chief", 0, 2, "Failed")
    api.add("done", *done(None, gpus=4), labels={"project": "x"})
    api.add("without-pods", *no_pods, labels={"project": "x"})
    api.add("never-placed", *ended_early, never)
    api.add("archived", record())
    hours = {name: (each["gpuHours"], each["gpuHoursOfDeletedPodsAtMost"]) for name, each in api.runs().items()}
    assert hours == {"done": (10, 0), "without-pods": (0, 5), "never-placed": (0, 0), "archived": (0, 0)}
    groups = api.json("--cost", "--by", "project")["groups"]
    assert [(each["name"], each["runs"], each["gpuHours"]) for each in groups] == [("", 2, 0), ("x", 2, 10)]
    assert [each["runsWithoutJobs"] for each in groups] == [1, 0]
    text = api.shown("--cost", "--by", "project")
    assert "PROJECT" in text and "at most 5 more" in text and "(none)" in text


def test_running_pod_uses_gpus_until_now(api: Api) -> None:
    api.add("running", record(ps=0, worker=0), gpu_job("chief", 1, 1), gpu_pod("chief", 0, 1, since=SCHEDULED))
    assert api.runs("--progress", "0")["running"]["gpuHours"] > 24


def test_missing_right_ends_the_command_and_a_missing_warning_does_not(api: Api) -> None:
    api.add("running", *running())
    api.answers["errors"] = {"events": "Error from server (Forbidden): events is forbidden"}
    assert api.json("--progress", "0")["notes"][0] == (
        "Warnings could not be read: Error from server (Forbidden): events is forbidden"
    )
    api.answers["errors"] = {"pods": "Error from server (Forbidden): pods is forbidden"}
    ended = api.tfd("runs")
    assert (ended.exit_code, ended.output) == (2, "Error from server (Forbidden): pods is forbidden\n")


def test_warning_belongs_to_the_run_of_its_namespace(api: Api) -> None:
    for namespace in ("vision", "speech"):
        api.add("same", record(), *map(job, ROLES), namespace=namespace)
    about = {"involvedObject": {"name": "same-chief"}, "message": "exceeded quota"}
    api.items["events"] = [{"metadata": {"name": "event", "namespace": "speech"}, **about}]
    found = {each["namespace"]: each["why"] for each in api.json("vision", "speech")["runs"]}
    assert found == {"vision": "the Job has not created a pod yet", "speech": "exceeded quota"}


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"identity": {"replicas": {"chief": "1"}, "strategy": "x"}}',
                                  '{"identity": {"replicas": {}, "strategy": "OneDevice"}}'])  # fmt: skip
def test_config_map_that_is_not_a_record_hides_no_other_run(api: Api, text: str) -> None:
    strange = record()
    strange["data"] = {"run.json": text}
    api.add("strange", strange)
    api.add("running", *running())
    found = api.json("--progress", "0")
    assert [each["run"] for each in found["runs"]] == ["running"]
    assert found["notes"][0] == "ConfigMap strange in vision is not a run record, so its run is left out"


def test_objects_that_others_wrote_hide_no_run(api: Api) -> None:
    """A pod without an index, a quantity as Kubernetes writes it, and a termination message that is deep JSON."""
    by_hand = pod("worker", 0)
    del by_hand["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"]
    leader = gpu_pod("chief", 0, 0, "Failed", SCHEDULED, **finished(1, 4000 * "[", ENDED))
    leader["spec"]["containers"][0]["resources"] = {"limits": {"example.com/device": "1k"}}
    wrong = json.dumps({"step": "x", "metrics": {"loss": [1]}, "message": 5})
    other = pod("chief", 0, "Failed", **finished(1, wrong, ENDED))
    for run, last in (("deep", leader), ("wrong", other)):
        api.add(run, record(), *(job(role, FAILED) for role in ROLES), last)
    api.add("odd", record(), *map(job, ROLES), by_hand)
    found = api.runs()
    assert {run: each["state"] for run, each in found.items()} == {
        "deep": "failed",
        "wrong": "failed",
        "odd": "waiting",
    }
    assert (found["deep"]["gpuHours"], found["wrong"]["result"], found["wrong"]["progress"]["step"]) == (2500, {}, None)
    assert "deep" in api.shown()


def test_output_is_harmless(api: Api) -> None:
    message = json.dumps({"message": HOSTILE, "metrics": {HOSTILE: 0.5}, "step": 1})
    leader = pod("chief", 0, "Failed", **finished(1, message, ENDED))
    owner = {"tf-distributed.github.io/owner": f"[red]{HOSTILE}"}
    api.add(
        "failed",
        record(),
        *(job(role, FAILED) for role in ROLES),
        leader,
        annotations=owner,
        labels={"project": "[red]x"},
    )
    for words in ((), ("--json",), ("--cost", "--by", "owner"), ("--cost", "--by", "project", "--json")):
        assert_harmless(api.shown(*words))
    assert "README.md" in api.shown()
    assert "[red]x" in api.shown("--cost", "--by", "project")


def test_team_without_runs_is_an_empty_table(api: Api) -> None:
    assert api.json("nobody") == {"runs": [], "teams": [], "notes": []}
    assert api.shown("nobody").split() == ["TEAM", "RUN", "STATE", "QUEUE", "TASKS", "WORKERS", "GPUS", "STEP", "ETA",
                                           "RESULT", "AGE", "OWNER", "WHY"]  # fmt: skip


@pytest.mark.parametrize("words", [("--json", "--watch"), ("vision", "-A"), ("--state", "ill"), ("--progress", "201")])
def test_options_that_contradict_are_refused(api: Api, words: tuple[str, ...]) -> None:
    assert api.tfd("runs", *words).exit_code == 2


def test_watch_ends_cleanly_at_an_interrupt(api: Api) -> None:
    api.add("running", *running())
    api.shown()
    (api.folder / "asked").write_text("")
    # The shell ignores SIGINT, as one without job control does for background commands.
    command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-m", "tfd", "runs", "--watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        # A pipe shows the last picture at the end, so only the requests show that the command watches.
        while not any("exec" in line for line in api.asked()):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (0, ""), out
