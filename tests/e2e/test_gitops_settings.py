"""What argocd/ sets, asked of Argo CD's own command: the health of Jobs, the rights of a team, the notification."""

import json
import re
from pathlib import Path

import pytest

from cluster.paths import CHECKOUT, state
from tests.e2e.kube import CommandError, Kube, Object, command
from tests.e2e.team import Team
from tfd import helmyaml
from tfd.helm import find_helm

TEAM = "vision"
EVENT = "tf-distributed-run-ended"
VALUES = {
    "repository": "https://github.com/example-org/runs",
    "teams": {TEAM: {"groups": ["example-org:vision"]}, "speech": {}},
    "notifications": {"github": "example-org/runs"},
}


@pytest.fixture
def applied(tmp_path: Path) -> dict[str, Object]:
    """NAME -> object of argocd/ for two teams; applied nowhere."""
    file = tmp_path / "values.json"
    file.write_text(json.dumps(VALUES))
    rendered = command([find_helm(), "template", "argocd", str(CHECKOUT / "argocd"), "--values", str(file)])
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in helmyaml.load_all(rendered)}


def ask(*words: str, env: dict[str, str] | None = None) -> str:
    """What Argo CD's command prints."""
    return command([str(state() / "bin" / "argocd"), *words], env=env)


def condition(kind: str, status: str = "True", **more: str) -> Object:
    return {"type": kind, "status": status} | more


HEALTH: dict[str, tuple[Object, Object, str, str]] = {
    "new": ({}, {}, "Progressing", "0 active, 0 ready, 0 of 2 tasks done"),
    "running": ({}, {"active": 2, "ready": 1}, "Progressing", "2 active, 1 ready, 0 of 2 tasks done"),
    "resumed": ({}, {"active": 2, "conditions": [condition("Suspended", "False")]}, "Progressing", "2 active"),
    "suspended": ({"suspend": True}, {"conditions": [condition("Suspended")]}, "Suspended", "suspended"),
    "suspended at once": ({"suspend": True}, {}, "Suspended", "suspended"),
    "ends well": ({}, {"succeeded": 1, "conditions": [condition("SuccessCriteriaMet")]}, "Progressing", "1 of 2"),
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
def test_health_of_a_job(argocd: Kube, applied: dict[str, Object], tmp_path: Path, name: str) -> None:
    """A Job is Healthy when it is Complete and never before, Degraded as soon as it must fail, Suspended only while it
    is: Argo CD's own program runs the script."""
    spec, status, expected, said = HEALTH[name]
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "run-chief", "namespace": TEAM}}
    (tmp_path / "job.json").write_text(json.dumps(job | {"spec": {"completions": 2} | spec, "status": status}))
    (tmp_path / "cm.json").write_text(json.dumps(applied["ConfigMap/argocd-cm"]))
    given = ("--argocd-cm-path", str(tmp_path / "cm.json"))
    printed = ask("admin", "settings", "resource-overrides", "health", str(tmp_path / "job.json"), *given)
    assert f"STATUS: {expected}\n" in printed
    assert said in printed


def test_rights_of_a_team(argocd: Kube, applied: dict[str, Object], tmp_path: Path) -> None:
    """A member may look at the team's runs, read logs, suspend, resume and terminate Jobs; may not sync, delete,
    override or change one, nor look at another team's."""
    [role] = applied[f"AppProject/{TEAM}"]["spec"]["roles"]
    policy = tmp_path / "policy.csv"
    policy.write_text("\n".join(role["policies"]))

    def may(action: str, resource: str, run: str) -> bool:
        words = ("admin", "settings", "rbac", "can", f"proj:{TEAM}:member", action, resource, run)
        try:
            return ask(*words, "--policy-file", str(policy), "--strict=false").strip().endswith("Yes")
        except CommandError as error:
            assert str(error).rstrip().endswith("No"), error
            return False

    allowed = [("get", "applications"), ("get", "logs")]
    allowed += [(f"action/batch/Job/{name}", "applications") for name in ("suspend", "resume", "terminate")]
    forbidden = [(verb, "applications") for verb in ("sync", "override", "delete", "update", "create")]
    forbidden += [("action/apps/Deployment/restart", "applications"), ("delete/batch/Job/x", "applications")]
    forbidden += [("create", "exec"), ("create", "applicationsets"), ("update", "projects")]
    assert [each for each in allowed if not may(*each, f"{TEAM}/{TEAM}-run")] == []
    assert [each for each in forbidden if may(*each, f"{TEAM}/{TEAM}-run")] == []
    assert [each for each in allowed if may(*each, "speech/speech-run")] == []


ENDINGS = [
    ("Healthy", ["Job", "ConfigMap"], True),
    ("Degraded", ["Job"], True),
    ("Progressing", ["Job"], False),
    ("Suspended", ["Job"], False),
    ("Healthy", ["Deployment"], False),
]


def test_the_end_of_a_run_is_told(team: Team, argocd: Kube, applied: dict[str, Object], tmp_path: Path) -> None:
    """A run that is done or has failed triggers the notification; one that runs or is suspended and a board do not.
    What is sent is the event that the workflow of results waits for, and a strange name stays a name in it."""
    settings = tmp_path / "notifications.json"
    settings.write_text(json.dumps(applied["ConfigMap/argocd-notifications-cm"]))
    more = ("--config-map", str(settings), "--secret", ":empty", "-n", team.name)
    # In the team's namespace, where no controller of Argo CD looks.
    for number, (state_of_health, kinds, sent) in enumerate(ENDINGS):
        name = f"app-{number}"
        argocd.apply(
            {
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Application",
                "metadata": {"name": name, "namespace": team.name},
                "spec": {
                    "project": TEAM,
                    "source": {"repoURL": "https://example.com/x", "path": ".", "helm": {"releaseName": 'r"un'}},
                    "destination": {"server": "https://elsewhere.example.com", "namespace": TEAM},
                },
                "status": {
                    "health": {"status": state_of_health, "lastTransitionTime": "2026-11-24T15:00:00Z"},
                    "resources": [{"kind": kind} for kind in kinds],
                },
            }
        )
        said = ask("admin", "notifications", "trigger", "run", EVENT, name, *more, env=argocd.env)
        assert bool(re.search(r"tf-distributed-run-ended\s+true", said)) == sent, (state_of_health, kinds, said)
    printed = ask("admin", "notifications", "template", "notify", EVENT, "app-0", *more, env=argocd.env)
    [body] = [each["body"] for each in [json.loads(printed)["webhook"]["tf-distributed-github"]]]
    assert json.loads(body) == {
        "event_type": "run-ended",
        "client_payload": {"team": TEAM, "run": 'r"un', "state": "Healthy",
                           "message": "Argo CD: Healthy since 2026-11-24T15:00:00Z"},
    }  # fmt: skip
