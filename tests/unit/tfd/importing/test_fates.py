"""What the report says about a field is true, also where roles differ and where a run has no place for the field."""

import copy
import json
from typing import Any

import pytest

from tests.unit.tfd.importing.answers import imported
from tests.unit.tfd.importing.shapes import VOLCANO, Object, build
from tfd.importing.job_file import Result
from tfd.importing.manifest import UnreadableError

KUBEDL = "training.kubedl.io/v1alpha1"


class Roles:
    """A manifest whose roles differ."""

    def __init__(self, roles: str, uses: list[str], version: str = "kubeflow.org/v1") -> None:
        self.manifest = build(roles, ["memory", "claim /a", *uses], version)

    def block(self, role: str) -> Object:
        block: Object = self.manifest["spec"]["tfReplicaSpecs"][role]
        return block

    def pod(self, role: str) -> Object:
        pod: Object = self.block(role)["template"]["spec"]
        return pod

    def container(self, role: str) -> Object:
        container: Object = self.pod(role)["containers"][0]
        return container

    def result(self, **options: Any) -> Result:
        return imported(json.dumps(copy.deepcopy(self.manifest)), **options)


def key(result: Result, *names: Any) -> Any:
    return result.context.draft.get(*names)


def fates(result: Result, name: str) -> dict[str, tuple[str, str, str]]:
    """Return fate, key and reason of the fields of this name: for each role, or for the run (an empty string)."""
    found: dict[str, tuple[str, str, str]] = {}
    for line in result.context.ledger.lines:
        if name in line.path:
            role = line.path[2] if line.path[1:2] == ("tfReplicaSpecs",) else ""
            found[str(role)] = (line.fate, line.key, line.why)
    return found


# ---- Retries ----


@pytest.mark.parametrize(("policy", "codes"), [("Never", None), (None, list(range(1, 128)))])
def test_restart_policy_of_kubedl_is_that_of_the_role_or_its_exit_code(policy: str | None, codes: Any) -> None:
    roles = Roles("W2", [], KUBEDL)
    roles.block("Worker")["restartPolicy"] = policy
    result = roles.result()
    assert key(result, "failure", "retriesPerTask") == (0 if policy else None)
    assert key(result, "failure", "permanentExitCodes") == codes
    assert policy is None or fates(result, "restartPolicy")["Worker"][0] == "changed"


def test_roles_with_one_number_of_retries_name_the_role_that_decides() -> None:
    roles = Roles("C1 P1 W2", [])
    for role, policy in {"Chief": "OnFailure", "PS": "Never", "Worker": "OnFailure"}.items():
        roles.block(role)["restartPolicy"] = policy
    found = fates(roles.result(script="every-task"), "restartPolicy")
    assert found["Worker"][2] == "0 instead of OnFailure: one value for both roles, and that of PS is Never"
    assert "at most 5 times" in found["Chief"][2]


def test_exit_codes_of_one_role_count_for_the_others() -> None:
    roles = Roles("P1 W2", [])
    for role, policy in {"PS": "ExitCode", "Worker": "OnFailure"}.items():
        roles.block(role)["restartPolicy"] = policy
    found = fates(roles.result(script="every-task"), "restartPolicy")
    assert found["Worker"][2].endswith("; exit codes below 128 are final, as for PS")


def test_job_that_waits_in_a_queue_of_kueue_is_not_a_suspended_run() -> None:
    roles = Roles("W2", ["Kueue label"])
    roles.manifest["spec"]["runPolicy"] = {"suspend": True}
    result = roles.result()
    assert key(result, "state") is None
    assert fates(result, "suspend")[""][0] == "dropped"


def test_event_of_a_policy_that_is_no_text_is_refused() -> None:
    manifest = build("W1", ["memory"], VOLCANO)
    manifest["spec"]["policies"] = [{"event": {"a": 1}, "action": "RestartJob"}]
    with pytest.raises(UnreadableError, match="expected a string"):
        imported(json.dumps(manifest))


# ---- One value for roles that differ ----


@pytest.mark.parametrize(
    ("place", "name", "value", "at"),
    [
        ("container", "workingDir", "/opt", "workingDir"),
        ("container", "imagePullPolicy", "Always", "imagePullPolicy"),
        ("pod", "serviceAccountName", "trainer", "serviceAccountName"),
        ("pod", "priorityClassName", "high", "scheduling.priorityClassName"),
        ("pod", "schedulerName", "volcano", "scheduling.schedulerName"),
        ("pod", "terminationGracePeriodSeconds", 90, "failure.gracePeriod"),
    ],
)
def test_value_of_one_role_that_every_task_gets_is_a_change(place: str, name: str, value: Any, at: str) -> None:
    roles = Roles("P1 W2", [])
    getattr(roles, place)("Worker")[name] = value
    assert fates(roles.result(script="every-task"), name) == {"Worker": ("changed", at, "every task gets it")}
    getattr(roles, place)("PS")[name] = value
    assert {fate for fate, _, _ in fates(roles.result(script="every-task"), name).values()} == {"same"}


def test_priority_of_the_pods_wins_over_that_of_the_job() -> None:
    roles = Roles("W2", [])
    roles.manifest["spec"]["runPolicy"] = {"schedulingPolicy": {"priorityClass": "high"}}
    roles.pod("Worker")["priorityClassName"] = "low"
    result = roles.result()
    assert key(result, "scheduling", "priorityClassName") == "low"
    assert fates(result, "priorityClass")[""][0] == "changed"


def test_user_of_one_role_is_that_of_every_task() -> None:
    roles = Roles("P1 W2", [])
    roles.container("Worker")["securityContext"] = {"runAsUser": 1000}
    roles.pod("Worker")["securityContext"] = {"runAsUser": 2000}
    result = roles.result(script="every-task")
    lines = [line for line in result.context.ledger.lines if "runAsUser" in line.path]
    assert key(result, "runAsUser") == 1000
    assert [(line.fate, line.why) for line in lines] == [
        ("changed", "every task runs as this user"),
        ("dropped", "the container has its own value, which wins"),
    ]


def test_role_that_writes_into_its_image_decides_for_all() -> None:
    roles = Roles("P1 W2", [])
    roles.container("Worker")["securityContext"] = {"readOnlyRootFilesystem": True}
    roles.container("PS")["securityContext"] = {"readOnlyRootFilesystem": False}
    result = roles.result(script="every-task")
    assert key(result, "readOnlyRoot") is False
    found = fates(result, "readOnlyRootFilesystem")
    assert (found["Worker"][0], found["PS"][0]) == ("changed", "same")


def test_grace_period_of_zero_is_asked_for() -> None:
    roles = Roles("W2", [])
    roles.pod("Worker")["terminationGracePeriodSeconds"] = 0
    assert [each.key for each in roles.result().questions] == [("failure", "gracePeriod")]


# ---- Two roles that become one ----


def test_tolerations_of_two_roles_that_become_one_are_kept() -> None:
    roles = Roles("C1 W2", [])
    tolerations = [{"key": "a", "operator": "Exists"}, {"key": "b", "operator": "Exists"}]
    roles.pod("Chief")["tolerations"], roles.pod("Worker")["tolerations"] = tolerations[:1], tolerations[1:]
    result = roles.result()
    assert key(result, "worker", "tolerations") == tolerations
    assert {fate for fate, _, _ in fates(result, "tolerations").values()} == {"changed"}


def test_selectors_of_two_roles_that_become_one_are_those_of_every_task() -> None:
    roles = Roles("C1 W2", [])
    roles.pod("Chief")["nodeSelector"] = {"gpu": "t4", "disk": "ssd"}
    terms = [{"matchExpressions": [{"key": "gpu", "operator": "In", "values": ["a100"]}]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    roles.pod("Worker")["affinity"] = {"nodeAffinity": required}
    result = roles.result()
    assert key(result, "worker", "nodeSelector") == {"gpu": "t4", "disk": "ssd"}
    assert fates(result, "disk")["Chief"] == ("changed", "worker.nodeSelector", "every task of worker has it")
    assert fates(result, "matchExpressions")["Worker"][2] == '"t4" came first, and a selector has one value'


def test_resources_of_two_roles_that_become_one_are_those_of_most_tasks() -> None:
    roles = Roles("C1 W2", [])
    roles.container("Chief")["resources"] = {"limits": {"cpu": 1, "memory": "4Gi"}}
    roles.container("Worker")["resources"] = {"limits": {"cpu": 1, "memory": "64Gi"}}
    result = roles.result()
    assert key(result, "worker", "resources", "limits") == {"cpu": 1, "memory": "64Gi"}
    assert fates(result, "cpu")["Chief"][0] == "same"
    assert (fates(result, "memory")["Worker"][0], fates(result, "memory")["Chief"][0]) == ("same", "changed")
