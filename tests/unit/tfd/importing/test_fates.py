"""The report about a field is true, also where roles differ and where a run has no place for the field."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit.tfd.importing.answers import answered, imported, refusals
from tests.unit.tfd.importing.shapes import ELASTIC, VOLCANO, Object, build
from tfd.importing.job_file import Result
from tfd.importing.ledger import UNKNOWN
from tfd.importing.manifest import UnreadableError
from tfd.importing.report import lines

KUBEDL = "training.kubedl.io/v1alpha1"


class Roles:
    """A manifest whose roles differ."""

    def __init__(self, roles: str, uses: list[str], version: str = "kubeflow.org/v1") -> None:
        # A feature may put one object into all pods; here each pod has its own.
        self.manifest = json.loads(json.dumps(build(roles, ["memory", "claim /a", *uses], version)))

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
        return imported(json.dumps(self.manifest), **options)


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


@pytest.mark.parametrize(("tasks", "gang"), [(0, None), (1, None), (2, True)])
def test_gang_of_one_task_is_no_gang(tasks: int, gang: bool | None) -> None:
    roles = Roles("W2", [])
    policy = {"minAvailable": tasks, "priorityClass": ""}
    roles.manifest["spec"]["runPolicy"] = {"schedulingPolicy": policy}
    result = roles.result()
    assert key(result, "scheduling", "gang") == gang
    assert fates(result, "minAvailable")[""][0] == ("changed" if gang else "dropped")
    assert fates(result, "priorityClass")[""] == ("dropped", "", "it is empty")


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


def test_shared_memory_of_two_roles_that_become_one_is_reported() -> None:
    roles = Roles("C1 W2", ["shared memory"])
    for role, size in {"Chief": "1Gi", "Worker": "2Gi"}.items():
        roles.pod(role)["volumes"][-1]["emptyDir"]["sizeLimit"] = size
    result = roles.result()
    assert key(result, "worker", "shm") == "2Gi"
    notes = [line.why for line in result.context.ledger.lines if line.key == "worker.shm"]
    assert notes == ["2Gi, as for Worker; another role had another size"]


# ---- Fields that a run has no place for ----


@pytest.mark.parametrize(
    "place", [{"args": ["--node=$(NODE)"]}, {"command": ["sh", "-c", "python a.py ${NODE}"]}, {"env": "$(NODE):1"}]
)
def test_variable_without_a_key_is_asked_for_where_the_program_names_it(place: Object) -> None:
    roles = Roles("W2", [])
    container = roles.container("Worker")
    container["env"] = [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]
    assert fates(roles.result(), "env")["Worker"][0] == "dropped"
    container["env"] += [{"name": "HOST", "value": place.get("env", "")}]
    container.update({name: words for name, words in place.items() if name != "env"})
    result = roles.result()
    assert [each.key for each in result.questions] == [("env", 0, "value")]
    assert key(result, "env", 0, "name") == "NODE"


def test_each_source_of_variables_is_asked_about_once() -> None:
    roles = Roles("P1 W2", [])
    for role in ("PS", "Worker"):
        roles.container(role)["envFrom"] = [
            {"configMapRef": {"name": "a"}},
            {"secretRef": {"name": "b"}, "prefix": "B_"},
        ]
    questions = [each.text for each in roles.result(script="every-task").questions]
    assert questions == [
        f"which variables of {source} does the program read?" for source in ("ConfigMap a", "Secret b")
    ]


def test_empty_arguments_are_the_same() -> None:
    roles = Roles("W2", [])
    roles.container("Worker")["args"] = []
    assert fates(roles.result(), "args")["Worker"][0] == "same"


def mounted(source: Object, at: str = "/opt/files", **mount: Any) -> Roles:
    """Return a manifest with one more volume in all of its roles."""
    roles = Roles("P1 W2", [])
    for pod in (roles.pod("PS"), roles.pod("Worker")):
        pod["volumes"].append({"name": "more", **copy.deepcopy(source)})
        pod["containers"][0]["volumeMounts"].append({"name": "more", "mountPath": at, **mount})
    return roles


@pytest.mark.parametrize("source", [{"secret": {"secretName": "a"}}, {"configMap": {"name": "a"}}])
def test_optional_object_is_a_condition_of_the_run(source: Object) -> None:
    [block] = source.values()
    found = fates(mounted({next(iter(source)): {**block, "optional": True}}).result(script="every-task"), "optional")
    assert set(found) == {"PS", "Worker"}
    assert {fate for fate, _, _ in found.values()} == {"dropped"}


def test_files_of_a_projected_volume_are_asked_for() -> None:
    sources = [{"secret": {"name": "a"}}, {"configMap": {"name": "b"}}]
    result = mounted({"projected": {"sources": sources}}).result(script="every-task")
    assert [each.key for each in result.questions] == [("mounts", 0, "secret")]
    of_pod = [{"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}}]
    result = mounted({"projected": {"sources": of_pod}}).result(script="every-task")
    assert result.questions == []
    assert fates(result, "projected")["Worker"][0] == "dropped"


@pytest.mark.parametrize("kind", ["nfs", "csi", "cephfs"])
def test_volume_that_no_task_can_write_to_is_not_the_storage(kind: str) -> None:
    roles = mounted({kind: {"readOnly": True, "path": "/x"}})
    for pod in (roles.pod("PS"), roles.pod("Worker")):
        del pod["volumes"][0], pod["containers"][0]["volumeMounts"][0]
    result = roles.result(script="every-task")
    assert key(result, "data", "at") == "/opt/files"
    assert key(result, "storage", "at") is None


# ---- git-sync ----


def synced(at: str, image: str = "registry.k8s.io/git-sync/git-sync:v4.0.0", **settings: Any) -> Roles:
    """Return a manifest whose code git-sync fetches below /work, and whose program is below `at`."""
    roles = Roles("W2", [])
    pod, container = roles.pod("Worker"), roles.container("Worker")
    env = [{"name": name, "value": value} for name, value in settings.items()]
    mounts = [{"name": "source", "mountPath": "/git"}]
    pod["initContainers"] = [{"name": "sync", "image": image, "env": env, "volumeMounts": mounts}]
    pod["volumes"].append({"name": "source", "emptyDir": {}})
    container["volumeMounts"].append({"name": "source", "mountPath": "/work"})
    container.update(command=["python", f"{at}/train.py"], workingDir=at)
    return roles


REPOSITORY = "https://github.com/a/models.git"


@pytest.mark.parametrize(
    ("at", "settings"),
    [
        ("/work/models", {"GIT_SYNC_REPO": REPOSITORY}),
        ("/work/main", {"GITSYNC_REPO": REPOSITORY, "GITSYNC_ROOT": "/git", "GITSYNC_LINK": "main"}),
        ("/work/src/main", {"GIT_SYNC_REPO": REPOSITORY, "GIT_SYNC_ROOT": "/git/src", "GIT_SYNC_DEST": "main"}),
    ],
)
def test_program_is_found_where_the_run_has_its_repository(at: str, settings: dict[str, str], tmp_path: Path) -> None:
    result = synced(at, **settings).result()
    assert (key(result, "command"), key(result, "workingDir")) == (["python", "/code/train.py"], "/code")
    assert key(result, "mounts") is None
    assert [each.key for each in result.questions] == [("code", "git", "commit")]
    assert refusals(answered(result), tmp_path) == []


def test_folder_of_the_repository_that_no_word_names_is_asked_for() -> None:
    result = synced("/opt", GIT_SYNC_REPO=REPOSITORY).result()
    assert ("code", "git", "folder") in {each.key for each in result.questions}


def test_token_of_git_sync_is_that_of_the_run() -> None:
    roles = synced("/work/models", GIT_SYNC_REPO=REPOSITORY)
    env = roles.pod("Worker")["initContainers"][0]["env"]
    token = {"name": "git", "key": "password"}
    env.append({"name": "GIT_SYNC_PASSWORD", "valueFrom": {"secretKeyRef": token}})
    assert key(roles.result(), "code", "git", "tokenSecret") == token
    env[-1] = {"name": "GIT_SYNC_PASSWORD", "value": "hunter2"}
    result = roles.result()
    assert ("code", "git", "tokenSecret") in {each.key for each in result.questions}
    assert "hunter2" not in result.text


def test_second_repository_is_refused() -> None:
    roles = synced("/work/models", GIT_SYNC_REPO=REPOSITORY)
    inits = roles.pod("Worker")["initContainers"]
    inits.append(json.loads(json.dumps(inits[0]).replace("models", "data")))
    with pytest.raises(UnreadableError, match="got a second one"):
        roles.result()


def test_variable_of_git_sync_without_a_name_is_refused() -> None:
    roles = synced("/work/models", GIT_SYNC_REPO=REPOSITORY)
    roles.pod("Worker")["initContainers"][0]["env"][0]["name"] = {"a": 1}
    with pytest.raises(UnreadableError, match="expected a string"):
        roles.result()


# ---- Volcano ----


@pytest.mark.parametrize(("memory", "size"), [("16Gi", "16Gi"), ("100G", "64Gi"), ("16gi", "64Gi")])
def test_shared_memory_is_no_larger_than_the_memory(memory: str, size: str) -> None:
    roles = Roles("W2", [])
    roles.container("Worker")["resources"] = {"limits": {"memory": memory}}
    roles.pod("Worker")["volumes"] += [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "64Gi"}}]
    roles.container("Worker")["volumeMounts"] += [{"name": "shm", "mountPath": "/dev/shm"}]
    assert key(roles.result(), "worker", "shm") == size


def test_file_that_the_chart_refuses_is_not_called_complete() -> None:
    roles = Roles("W2", [])
    roles.container("Worker")["resources"] = {"requests": {"memory": "8Gi"}, "limits": {"memory": "4Gi"}}
    first, *others = lines(roles.result())
    assert first.endswith("refused by the chart.")
    assert "\nRefused by the chart" in others


@pytest.mark.parametrize("version", ["kubeflow.org/v1", VOLCANO])
def test_queue_of_volcano_leaves_the_gang_to_its_scheduler(version: str, tmp_path: Path) -> None:
    manifest = build("W2", ["memory", "claim /a"], version)
    spec = manifest["spec"]
    spec.pop("schedulerName", None)
    (spec if version == VOLCANO else spec.setdefault("runPolicy", {}).setdefault("schedulingPolicy", {})).update(
        minAvailable=2, queue="team"
    )
    result = imported(json.dumps(manifest))
    assert key(result, "scheduling") == {"schedulerName": "volcano"}
    assert fates(result, "minAvailable")[""][0] == "dropped"
    assert refusals(answered(result), tmp_path) == []


@pytest.mark.parametrize(
    ("script", "name"),
    [
        ("python a.py --hosts=$VC_WORKER_HOSTS", "VC_WORKER_HOSTS"),
        ("if true; then cat /etc/volcano/worker.host; fi; python a.py", "/etc/volcano/worker.host"),
        ("python a.py --index=$VC_TASK_INDEX", ""),
    ],
)
def test_what_only_volcano_brings_is_asked_about(script: str, name: str) -> None:
    manifest = build("W2", ["memory", "claim /a"], VOLCANO)
    manifest["spec"]["tasks"][0]["template"]["spec"]["containers"][0]["command"] = ["sh", "-c", script]
    questions = [each.text for each in imported(json.dumps(manifest)).questions]
    assert questions == ([f"how does the program do without {name} of Volcano?"] if name else [])


@pytest.mark.parametrize(
    ("script", "name"),
    [
        ("dlrover-run --nnodes=2 a.py", "dlrover-run"),
        ("python -m dlrover.trainer.entry.local_entry", "dlrover.trainer.entry.local_entry"),
        ("torchrun --nnodes=$NODE_NUM a.py", "NODE_NUM"),
        ("python /dlrover/a.py", ""),
    ],
)
def test_what_only_dlrover_brings_is_asked_about(script: str, name: str) -> None:
    manifest = build("W2", ["memory", "claim /a"], ELASTIC)
    block = manifest["spec"]["replicaSpecs"]["worker"]
    block["template"]["spec"]["containers"][0]["command"] = ["sh", "-c", script]
    questions = [each.text for each in imported(json.dumps(manifest)).questions]
    assert questions == ([f"how does the program do without {name} of DLRover?"] if name else [])


@pytest.mark.parametrize(
    ("word", "host"),
    [
        ("--ps_hosts=run-1-ps-0:2222", "run-1-ps-0"),
        ("--hosts=a,run-1-worker-1.vision.svc:2222", "run-1-worker-1.vision.svc"),
        ("--out=/a/run-1-worker-0", ""),
        ("--name=run-1-worker-best", ""),
    ],
)
def test_host_name_of_a_task_is_asked_about(word: str, host: str) -> None:
    roles = Roles("P1 W2", [])
    for place in ("args", "env"):
        for role in ("PS", "Worker"):
            roles.container(role)[place] = [word] if place == "args" else [{"name": "HOSTS", "value": word}]
        questions = {each.key: each.text for each in roles.result(script="every-task").questions}
        text = f"how does the program do without {host} of the operator?"
        assert questions == ({("args" if place == "args" else "command",): text} if host else {})
        del roles.container("PS")[place], roles.container("Worker")[place]


@pytest.mark.parametrize(
    ("command", "is_asked"), [(["/run/a.sh", "x"], True), (["sh", "/run/a.sh"], False), (["/runner"], False)]
)
def test_file_of_a_mount_that_nothing_can_execute_is_asked_about(command: list[str], is_asked: bool) -> None:
    roles = Roles("W2", [])
    roles.pod("Worker")["volumes"] += [{"name": "run", "configMap": {"name": "scripts", "defaultMode": 0o755}}]
    roles.container("Worker")["volumeMounts"] += [{"name": "run", "mountPath": "/opt/run"}]
    roles.container("Worker")["command"] = [word.replace("/run/", "/opt/run/") for word in command]
    questions = [each.text for each in roles.result().questions]
    assert questions == (["which program runs the file /opt/run/a.sh?"] if is_asked else [])


def test_data_of_a_cache_is_a_question(tmp_path: Path) -> None:
    roles = Roles("W2", [], KUBEDL)
    roles.manifest["spec"]["cacheBackend"] = {"mountPath": "/corpus", "dataset": {"dataSources": []}}
    result = roles.result()
    assert [each.key for each in result.questions] == [("data", "claim")]
    assert key(result, "data", "at") == "/corpus"
    assert refusals(answered(result), tmp_path) == []


def test_plugin_of_another_framework_is_refused() -> None:
    manifest = build("C1 W2", ["memory", "claim /a"], VOLCANO)
    manifest["spec"]["plugins"]["pytorch"] = ["--master=chief"]
    with pytest.raises(UnreadableError, match="the plugin pytorch; expected a program of TensorFlow"):
        imported(json.dumps(manifest))


def test_pod_annotations_of_roles_that_differ_are_changes() -> None:
    roles = Roles("P1 W2", [])
    name = "cluster-autoscaler.kubernetes.io/safe-to-evict"
    roles.block("Worker")["template"]["metadata"]["annotations"] = {name: "false"}
    assert fates(roles.result(script="every-task"), name)["Worker"][0] == "changed"
    roles.block("PS")["template"]["metadata"]["annotations"] = {name: "true"}
    result = roles.result(script="every-task")
    assert key(result, "podAnnotations", name) == "false"
    assert fates(result, name)["PS"][0] in ("changed", "dropped")


# ---- Other operators ----


def test_failed_pods_of_dlrover_are_retried_as_often_as_before() -> None:
    manifest = build("P1 W2", ["memory", "claim /a"], ELASTIC)
    specs = manifest["spec"]["replicaSpecs"]
    specs["ps"]["restartCount"] = 3
    for block in specs.values():
        block["template"]["spec"]["restartPolicy"] = "Never"
    result = imported(json.dumps(manifest), script="every-task")
    assert key(result, "failure", "retriesPerTask") == 3
    assert fates(result, "restartCount")[""][:2] == ("changed", "failure.retriesPerTask")


@pytest.mark.parametrize("name", ["cacheBackend", "modelVersion", "cronPolicy", "envs", "optimizeMode"])
def test_field_of_another_operator_is_dropped_with_its_own_reason(name: str) -> None:
    roles = Roles("W2", [], KUBEDL)
    roles.manifest["spec"][name] = {"mountPath": "/data"}
    fate, _, why = fates(roles.result(), name)[""]
    assert fate == "dropped"
    assert UNKNOWN not in why


# ---- Secrets ----


def test_each_secret_in_the_arguments_has_a_variable_of_its_own() -> None:
    roles = Roles("W1", [])
    container = roles.container("Worker")
    container["env"] = [{"name": "SECRET", "value": "none"}]
    first, second = "AKIAIOSFODNN7EXAMPLE", "AKIAI44QH8DHBEXAMPLE"
    container["args"] = [f"{first}", f"x={second}", f"y={first}"]
    result = roles.result()
    args = key(result, "args")
    names = [re.findall(r"\$\((\w+)\)", word) for word in args]
    assert names == [["SECRET_2"], ["SECRET_3"], ["SECRET_2"]]
    assert [each["name"] for each in key(result, "env")] == ["SECRET", "SECRET_2", "SECRET_3"]
