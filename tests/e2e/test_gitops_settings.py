"""The settings of argocd/, evaluated by the `argocd` command: health of Jobs, rights of a team, the notification.

The command needs no cluster for these checks.
"""

import json
from pathlib import Path

import pytest

from devcluster.build import binaries_of
from devcluster.paths import CHECKOUT
from tests.e2e.kube import CommandError, Object, command
from tfd.jobfile import helm_yaml
from tfd.jobfile.helm import find_helm

TEAM = "vision"
EVENT = "tf-distributed-run-ended"
VALUES = {
    "repository": "https://github.com/example-org/runs",
    "teams": {TEAM: {"groups": ["example-org:vision"]}, "speech": {}},
    "notifications": {"github": "example-org/runs"},
    "quota": {"requests.nvidia.com/gpu": 16},
}


@pytest.fixture
def applied(tmp_path: Path) -> dict[str, Object]:
    """Return the objects of argocd/ for two teams as KIND/NAME -> object, without applying them."""
    file = tmp_path / "values.json"
    file.write_text(json.dumps(VALUES))
    rendered = command([find_helm(), "template", "argocd", str(CHECKOUT / "argocd"), "--values", str(file)])
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in helm_yaml.load_all(rendered)}


def ask(*words: str) -> str:
    """Return the output of `argocd admin`."""
    [program] = binaries_of("argocd")
    return command([str(program), "admin", *words])


@pytest.fixture(autouse=True)
def no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a kubeconfig without a reachable cluster: the command requires one but does not connect."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "none", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "none", "user": {"token": "none"}}],
        "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
        "current-context": "none",
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))


def condition(kind: str, status: str = "True", **more: str) -> Object:
    return {"type": kind, "status": status} | more


HEALTH: dict[str, tuple[Object, Object, str, str]] = {
    "new": ({}, {}, "Progressing", "0 active, 0 ready, 0 of 2 tasks done"),
    "running": ({}, {"active": 2, "ready": 1}, "Progressing", "2 active, 1 ready, 0 of 2 tasks done"),
    "resumed": ({}, {"active": 2, "conditions": [condition("Suspended", "False")]}, "Progressing", "2 active"),
    "suspended": ({"suspend": True}, {"conditions": [condition("Suspended")]}, "Suspended", "suspended"),
    "suspended at once": ({"suspend": True}, {}, "Suspended", "suspended"),
    "succeeding": ({}, {"succeeded": 1, "conditions": [condition("SuccessCriteriaMet")]}, "Progressing", "1 of 2"),
    "done": ({}, {"succeeded": 2, "conditions": [condition("Complete")]}, "Healthy", "done: 2 of 2 tasks"),
    "done after a pause": (
        {},
        {"succeeded": 2, "conditions": [condition("Suspended", "False"), condition("Complete")]},
        "Healthy",
        "done: 2 of 2 tasks",
    ),
    "failing": (
        {},
        {"active": 1, "conditions": [condition("FailureTarget", reason="PodFailurePolicy", message="exit code 1")]},
        "Degraded",
        "PodFailurePolicy: exit code 1",
    ),
    "failed while suspended": ({"suspend": True}, {"conditions": [condition("Failed")]}, "Degraded", ""),
    "an index failed": ({}, {"active": 1, "failedIndexes": "1"}, "Progressing", "failed: 1"),
}


@pytest.mark.parametrize("name", HEALTH)
def test_job_health_follows_the_job_conditions(applied: dict[str, Object], tmp_path: Path, name: str) -> None:
    """Argo CD runs the health script of Jobs. Only a Complete Job is Healthy. A Job is Degraded as soon as it must
    fail, and Suspended only while `suspend` is set."""
    spec, status, expected, message = HEALTH[name]
    printed = health(tmp_path, job(spec, status), applied["ConfigMap/argocd-cm"])
    assert f"STATUS: {expected}\n" in printed
    assert message in printed


def job(spec: Object, status: Object) -> Object:
    metadata = {"name": "run-chief", "namespace": TEAM}
    spec = {"completions": 2} | spec
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec, "status": status}


def health(tmp_path: Path, target: Object, settings: Object) -> str:
    """Return the health that Argo CD prints for an object under the settings of an argocd-cm."""
    (tmp_path / "object.json").write_text(json.dumps(target))
    (tmp_path / "cm.json").write_text(json.dumps(settings))
    words = (str(tmp_path / "object.json"), "--argocd-cm-path", str(tmp_path / "cm.json"))
    return ask("settings", "resource-overrides", "health", *words)


NO_QUOTA = "couldn't assign flavors to pod set worker: insufficient unused quota, 2 more needed"
QUEUE_HEALTH: dict[str, tuple[Object, list[Object], str, str]] = {
    "new": ({}, [], "Progressing", "queued: Kueue has not answered yet"),
    "queued": ({}, [condition("QuotaReserved", "False", message=NO_QUOTA)], "Progressing", f"queued: {NO_QUOTA}"),
    "incomplete": (
        {},
        [condition("WaitingForReplacementPods"), condition("QuotaReserved", "False", message="old")],
        "Progressing",
        "not in the queue yet: some of its pods are missing",
    ),
    "admitted": ({}, [condition("QuotaReserved"), condition("Admitted")], "Healthy", "admitted"),
    "stopping": (
        {},
        [condition("Admitted"), condition("QuotaReserved"), condition("Evicted", message="Preempted to accommodate")],
        "Progressing",
        "stopping: Preempted to accommodate",
    ),
    "preempted": (
        {},
        [condition("Evicted"), condition("QuotaReserved", "False", message=NO_QUOTA)],
        "Progressing",
        f"queued again: {NO_QUOTA}",
    ),
    "suspended": ({"active": False}, [condition("Evicted", message="deactivated")], "Suspended", "deactivated"),
    "not ready in time": (
        {"active": False},
        [condition("Evicted", reason="DeactivatedDueToRequeuingLimitExceeded", message="retries")],
        "Degraded",
        "stopped, because its tasks were not ready in time: retries",
    ),
    "suspended at once": ({"active": False}, [], "Suspended", "not in the queue"),
    "done": (
        {},
        [condition("Admitted"), condition("Finished", message="Pods succeeded: 5/5.")],
        "Healthy",
        "finished: Pods succeeded: 5/5.",
    ),
}


@pytest.mark.parametrize("name", QUEUE_HEALTH)
def test_health_of_a_queued_run_is_the_message_of_its_queue(
    applied: dict[str, Object], tmp_path: Path, name: str
) -> None:
    """Argo CD runs the health script of Workloads. A run that waits in its queue is Progressing with the reason of the
    queue, and neither Healthy nor Degraded. A suspended one is Suspended. A run that Kueue has stopped for good is
    Degraded: its tasks did not start."""
    spec, conditions, expected, message = QUEUE_HEALTH[name]
    workload = {
        "apiVersion": "kueue.x-k8s.io/v1beta2",
        "kind": "Workload",
        "metadata": {"name": "run", "namespace": TEAM},
        "spec": {"active": True, "podSets": []} | spec,
        "status": {"conditions": conditions},
    }
    printed = health(tmp_path, workload, applied["ConfigMap/argocd-cm"])
    assert f"STATUS: {expected}\n" in printed
    assert message in printed


def test_default_health_is_wrong_for_resumed_jobs_and_missing_for_tfjobs(
    applied: dict[str, Object], tmp_path: Path
) -> None:
    """The default health of Argo CD reports a resumed, active Job as Healthy and a failing Job as Progressing. Argo CD
    has no health check for Kubeflow's TFJob, which is one reason for plain Jobs."""
    nothing = applied["ConfigMap/argocd-cm"] | {"data": {}}
    for name, default in {"resumed": "Healthy", "failing": "Progressing", "running": "Progressing"}.items():
        spec, status, *_ = HEALTH[name]
        assert f"STATUS: {default}\n" in health(tmp_path, job(spec, status), nothing), name
    tfjob = job({}, {"conditions": [condition("Failed")]}) | {"apiVersion": "kubeflow.org/v1", "kind": "TFJob"}
    assert "not configured for 'kubeflow.org/TFJob'" in health(tmp_path, tfjob, nothing)


def test_team_members_control_only_their_own_runs(applied: dict[str, Object], tmp_path: Path) -> None:
    """A member may view the runs of the team, read logs and terminate Jobs. A member may not suspend, resume, sync,
    delete, override or change a run, nor view the runs of another team."""
    [role] = applied[f"AppProject/{TEAM}"]["spec"]["roles"]
    policy = tmp_path / "policy.csv"
    policy.write_text("\n".join(role["policies"]))

    more = ("--policy-file", str(policy), "--strict=false")

    def may(action: str, resource: str, run: str) -> bool:
        words = ("settings", "rbac", "can", f"proj:{TEAM}:member", action, resource, run)
        try:
            return ask(*words, *more).strip().endswith("Yes")
        except CommandError as error:
            assert str(error).endswith("\nNo\n"), error
            return False

    allowed = [("get", "applications"), ("get", "logs")]
    allowed += [("action/batch/Job/terminate", "applications")]
    forbidden = [(verb, "applications") for verb in ("sync", "override", "delete", "update", "create")]
    forbidden += [(f"action/batch/Job/{name}", "applications") for name in ("suspend", "resume")]
    forbidden += [("action/apps/Deployment/restart", "applications"), ("delete/batch/Job/x", "applications")]
    forbidden += [("create", "exec"), ("create", "applicationsets"), ("update", "projects")]
    assert [each for each in allowed if not may(*each, f"{TEAM}/{TEAM}-run")] == []
    assert [each for each in forbidden if may(*each, f"{TEAM}/{TEAM}-run")] == []
    assert [each for each in allowed if may(*each, "speech/speech-run")] == []


APPLICATION: Object = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Application",
    "metadata": {"name": "vision-run", "namespace": "argocd"},
    "spec": {
        "project": TEAM,
        "source": {"repoURL": "https://example.com/x", "path": ".", "helm": {"releaseName": 'r"un'}},
        "destination": {"server": "https://elsewhere.example.com", "namespace": TEAM},
    },
}


def test_end_of_a_run_sends_an_event(applied: dict[str, Object], tmp_path: Path) -> None:
    """A done or failed run triggers the notification. An active, suspended or archived run does not. The
    notification is the event that the results workflow expects, and a name with quotes is escaped."""
    settings, application = tmp_path / "notifications.json", tmp_path / "application.json"
    settings.write_text(json.dumps(applied["ConfigMap/argocd-notifications-cm"]))
    more = (EVENT, str(application), "--config-map", str(settings), "--secret", ":empty")

    def ended(state_of_health: str, *kinds: str) -> bool:
        status = {
            "health": {"status": state_of_health, "lastTransitionTime": "2026-11-24T15:00:00Z"},
            "resources": [{"kind": kind} for kind in kinds],
        }
        application.write_text(json.dumps(APPLICATION | {"status": status}))
        heading, result = ask("notifications", "trigger", "run", *more).splitlines()
        assert heading.split() == ["CONDITION", "RESULT"]
        return {"true": True, "false": False}[result.split()[-1]]

    assert ended("Degraded", "Job")
    assert not ended("Progressing", "Job")
    assert not ended("Suspended", "Job")
    assert not ended("Healthy", "Deployment")
    assert ended("Healthy", "ConfigMap", "Job")
    event = helm_yaml.load(ask("notifications", "template", "notify", *more)).value
    assert json.loads(event["webhook"]["tf-distributed-github"]["body"]) == {
        "ref": "main",
        "inputs": {
            "team": TEAM,
            "run": 'r"un',
            "state": "Healthy",
            "message": "Argo CD: Healthy since 2026-11-24T15:00:00Z",
        },
    }


def test_commit_status_would_name_the_chart_tag(applied: dict[str, Object], tmp_path: Path) -> None:
    """A commit status, the usual notification, names the synced commit: the tag of the chart, which all runs share. Our
    notification contains team and run, and no commit."""
    settings, application = tmp_path / "notifications.json", tmp_path / "application.json"
    application.write_text(json.dumps(APPLICATION | {"status": {"health": {"status": "Healthy"}}}))
    status = {"github": {"status": {"state": "success", "label": "run", "targetURL": "https://example.com"}}}
    usual = {"template.usual": json.dumps(status | {"message": "done"})}
    settings.write_text(json.dumps(applied["ConfigMap/argocd-notifications-cm"] | {"data": usual}))
    more = (str(application), "--config-map", str(settings), "--secret", ":empty")
    sent = helm_yaml.load(ask("notifications", "template", "notify", "usual", *more)).value
    assert sent["github"]["revisionPath"] == "{{.app.status.operationState.syncResult.revision}}"
    settings.write_text(json.dumps(applied["ConfigMap/argocd-notifications-cm"]))
    assert "evision" not in ask("notifications", "template", "notify", EVENT, *more)
