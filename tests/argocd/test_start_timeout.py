"""The CronJob that ends runs whose tasks hold a node and never start."""

import importlib.util
import io
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.argocd.test_render import ROOT, Object, objects

NOW = 1_800_000_000.0
PLACED = "2027-01-15T07:30:00Z"  # 30 minutes before NOW
LATE, EARLY = "1800", "1801"


@pytest.fixture(scope="module")
def program() -> Iterator[ModuleType]:
    """Return the program as a module."""
    spec = importlib.util.spec_from_file_location("start_timeout", ROOT / "argocd" / "files" / "start_timeout.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module


def labels(role: str) -> Object:
    return {"app.kubernetes.io/instance": "run", "app.kubernetes.io/component": role}


def pod(role: str, phase: str = "Pending", timeout: str = LATE, *, node: str = "node1", **more: Any) -> Object:
    metadata = {
        "name": f"run-{role}-0",
        "uid": f"pod-{role}",
        "labels": labels(role) | {"batch.kubernetes.io/job-name": f"run-{role}"},
    }
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}
    return {
        "metadata": metadata | more,
        "spec": {"containers": [{"env": [{"name": "TRAINER_START_TIMEOUT", "value": timeout}]}]}
        | ({"nodeName": node} if node else {}),
        "status": {
            "phase": phase,
            "conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": PLACED}],
            "containerStatuses": [{"state": waiting if phase == "Pending" else {}}],
        },
    }


def job(role: str, ended: str = "", *, suspend: bool = False) -> Object:
    conditions = [{"type": ended, "status": "True"}] if ended else []
    metadata = {"name": f"run-{role}", "uid": f"job-{role}", "labels": labels(role)}
    return {"metadata": metadata, "spec": {"suspend": suspend}, "status": {"conditions": conditions}}


WHOLE = [job(role) for role in ("chief", "ps", "worker")]
CASES: dict[str, tuple[list[Object], list[Object], list[str]]] = {
    "nothing starts": (
        [pod("chief"), pod("ps"), pod("worker")],
        WHOLE,
        ["end run-chief", "end run-ps", "end run-worker"],
    ),
    "it is not late yet": ([pod("chief", timeout=EARLY), pod("ps", timeout=EARLY)], WHOLE, []),
    "one has not started, and the others have given up": (
        [pod("chief", "Failed"), pod("ps", timeout=EARLY)],
        [job("chief", "Failed"), job("ps"), job("worker", "Failed")],
        ["end run-ps"],
    ),
    "only the evaluator has failed": (
        [pod("evaluator", "Failed"), pod("ps", timeout=EARLY)],
        [job("evaluator", "Failed"), *WHOLE],
        [],
    ),
    "the others still wait for one": ([pod("chief", "Running"), pod("ps")], WHOLE, []),
    "a replacement does not start while the run trains": (
        [pod("chief", "Running"), pod("worker", timeout="1740")],
        WHOLE,
        ["delete run-worker-0"],
    ),
    "nothing has a node": ([pod("chief", node=""), pod("ps", node="")], WHOLE, []),
    "suspended": ([pod("chief")], [job("chief", suspend=True)], []),
    "being deleted": ([pod("chief", deletionTimestamp=PLACED)], WHOLE, []),
    "done": ([pod("chief", "Succeeded")], [job("chief", "Complete")], []),
}


@pytest.mark.parametrize("case", CASES)
def test_what_holds_a_node_for_nothing_ends(program: ModuleType, case: str) -> None:
    pods, jobs, expected = CASES[case]
    found = [(f"{action} {item['metadata']['name']}", why) for action, item, why in program.ends(pods, jobs, NOW)]
    assert [what for what, _ in found] == expected
    assert all("within failure.startTimeout: ImagePullBackOff: no such tag" in why for _, why in found)


class FakeApi:
    """Answers lists, and records what changes."""

    def __init__(self, *items: Object) -> None:
        self.pods = [each for each in items if "containers" in each["spec"]]
        self.jobs = [each for each in items if "containers" not in each["spec"]]
        self.calls: list[tuple[str, str, Object]] = []

    def items(self, path: str) -> list[Object]:
        if "broken" in path:
            raise OSError("no route")
        return self.pods if path.endswith("/pods") else self.jobs

    def call(self, method: str, path: str, body: Object) -> None:
        self.calls.append((method, path, body))


def test_a_job_ends_by_its_deadline_and_names_the_reason(program: ModuleType, capsys: Any) -> None:
    """A Job that was created again meanwhile has another UID, so the API server refuses the patch. One namespace that
    cannot be read does not stop the others."""
    api = FakeApi(pod("chief"), job("chief"))
    assert program.look(api, ["broken", "vision"], NOW) == 1
    [(method, path, patch)] = api.calls
    assert (method, path) == ("PATCH", "/apis/batch/v1/namespaces/vision/jobs/run-chief")
    assert patch["spec"] == {"activeDeadlineSeconds": 1}
    assert patch["metadata"]["uid"] == "job-chief"
    assert "did not start on node1" in patch["metadata"]["annotations"]["tf-distributed.github.io/ended"]
    printed = capsys.readouterr().out
    assert "broken: no route" in printed
    assert "vision/run: end run-chief: run-chief-0 did not start on node1" in printed


def test_a_workbench_ends_by_itself_and_not_with_the_run_of_its_name(program: ModuleType) -> None:
    """A workbench has no failure.startTimeout, so it gets half an hour."""
    stuck, ended = pod("workbench"), job("workbench")
    del stuck["spec"]["containers"][0]["env"]
    for each in (stuck, ended):
        each["metadata"]["labels"]["app.kubernetes.io/name"] = "workbench"
    api = FakeApi(pod("chief", "Running"), job("chief"), stuck, ended)
    assert program.look(api, ["vision"], NOW - 1) == 0
    assert api.calls == []
    assert program.look(api, ["vision"], NOW) == 0
    [(method, path, patch)] = api.calls
    assert (method, path) == ("PATCH", "/apis/batch/v1/namespaces/vision/jobs/run-workbench")
    assert patch["metadata"]["annotations"]["tf-distributed.github.io/ended"] == (
        "run-workbench-0 did not start on node1 within 30 minutes: ImagePullBackOff: no such tag"
    )


def test_a_deleted_pod_is_the_listed_one(program: ModuleType) -> None:
    api = FakeApi(pod("chief", "Running"), pod("worker", timeout="60"), *WHOLE)
    program.look(api, ["vision"], NOW)
    path = "/api/v1/namespaces/vision/pods/run-worker-0"
    assert api.calls == [("DELETE", path, {"preconditions": {"uid": "pod-worker"}})]


@pytest.mark.parametrize(
    "strange",
    [
        {"status": {}},
        {"status": {"conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": "x"}]}},
        {"spec": {"nodeName": "n", "containers": [{"env": [{"name": "TRAINER_START_TIMEOUT", "value": "x"}]}]}},
        {"spec": {"nodeName": "n", "containers": [{"env": [{"name": "TRAINER_START_TIMEOUT", "valueFrom": {}}]}]}},
    ],
)
def test_a_pod_of_another_form_does_not_protect_other_runs(program: ModuleType, strange: Object, capsys: Any) -> None:
    other = pod("chief") | strange
    other["metadata"] = other["metadata"] | {
        "labels": {**other["metadata"]["labels"], "app.kubernetes.io/instance": "a"}
    }

    class Api:
        def items(self, path: str) -> list[Object]:
            return [other, pod("chief")] if path.endswith("/pods") else WHOLE

    found = list(program.ends_in(Api(), "vision", NOW))
    assert [(action, each["metadata"]["name"]) for action, each, _ in found] == [
        ("end", "run-chief"), ("end", "run-ps"), ("end", "run-worker"),
    ]  # fmt: skip
    assert "vision/a: got a pod of another form" in capsys.readouterr().out


def test_the_account_of_the_cron_job_has_rights_in_the_teams_only(tmp_path: Path) -> None:
    name = "tf-distributed-start-timeout"
    found = objects(tmp_path, startTimeout={"image": "registry.example.com/trainer@sha256:aa"})
    assert ("CronJob", "argocd", name) in found
    assert not any(kind.startswith("Cluster") for kind, _, _ in found)
    [container] = found["CronJob", "argocd", name]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["speech", "vision"]
    for team in container["args"]:
        assert found["Role", team, name]["rules"] == [
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "delete"]},
            {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["list", "patch"]},
        ]
        assert found["RoleBinding", team, name]["subjects"] == [
            {"kind": "ServiceAccount", "name": name, "namespace": "argocd"}
        ]
    assert not any(name in key for key in objects(tmp_path)), json.dumps(list(found), default=str)


@pytest.mark.parametrize(("method", "kind"), [("PATCH", "merge-patch+json"), ("DELETE", "json")])
def test_a_body_has_the_type_that_the_api_server_accepts(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, method: str, kind: str
) -> None:
    (tmp_path / "token").write_text("secret")
    monkeypatch.setattr(program, "ACCOUNT", tmp_path)
    seen = []

    class Opener:
        def open(self, request: Any, timeout: float) -> io.BytesIO:
            seen.append(request)
            return io.BytesIO(b"{}")

    api = object.__new__(program.Api)
    api.address, api.opener = "https://10.0.0.1:443", Opener()
    assert api.call(method, "/api/v1/x", {"a": 1}) == {}
    [request] = seen
    assert request.get_method() == method
    assert request.get_header("Content-type") == f"application/{kind}"
    assert request.get_header("Authorization") == "Bearer secret"
