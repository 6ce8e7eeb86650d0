"""What each field of a manifest becomes."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.unit.tfd.importing.answers import answered, checked, imported, refusals
from tests.unit.tfd.importing.shapes import VOLCANO, build
from tfd.importing.environment import reserved
from tfd.importing.job_file import Result
from tfd.importing.manifest import UnreadableError
from tfd.jobfile import helm_yaml

HERE = Path(__file__).parent


def result_of(roles: str, uses: list[str], version: str = "kubeflow.org/v1", **options: Any) -> Result:
    return imported(json.dumps(build(roles, uses, version)), run="run-1", **options)


def changed_manifest(roles: str, uses: list[str], change: Any, role: str = "Worker", **options: Any) -> Result:
    """Import a manifest after `change(role block, pod, container)`."""
    manifest = build(roles, uses)
    block = manifest["spec"]["tfReplicaSpecs"][role]
    change(block, block["template"]["spec"], block["template"]["spec"]["containers"][0])
    return imported(json.dumps(manifest), **options)


def case(name: str, **options: Any) -> Result:
    [path] = HERE.glob(f"manifests/{name}-*.yaml")
    return imported(path.read_text(encoding="utf-8"), **options)


def key(result: Result, *names: Any) -> Any:
    return result.context.draft.get(*names)


def fate(result: Result, *end: Any) -> tuple[str, str]:
    """Return fate and reason of the field whose path ends with these names."""
    [line] = [line for line in result.context.ledger.lines if line.path[-len(end) :] == end]
    return line.fate, line.why


def notes(result: Result) -> str:
    return "\n".join(f"{line.key}: {line.why}" for line in result.context.ledger.lines if not line.path)


# ---- Roles ----


@pytest.mark.parametrize(
    ("roles", "script", "strategy", "expected"),
    [
        ("W1", "", "OneDevice", {}),
        ("M1", "", "OneDevice", {}),
        ("W1g4", "", "Mirrored", {"chief": {"gpus": 4}}),
        ("W2", "", "MultiWorkerMirrored", {"worker": {"replicas": 2}}),
        ("C1 W2", "", "MultiWorkerMirrored", {"worker": {"replicas": 3}}),
        ("C1 P2 W3", "every-task", "ParameterServer", {"ps": {"replicas": 2}, "worker": {"replicas": 3}}),
        ("P2 W3", "every-task", "ParameterServer", {"chief": {"replicas": 0}, "worker": {"replicas": 3}}),
        ("C1 P1", "every-task", "ParameterServer", {"chief": {"replicas": 0}, "worker": {"replicas": 1}}),
        ("P1 W2", "coordinator", "ParameterServer", {"worker": {"replicas": 2}}),
        ("W2 E1", "", "MultiWorkerMirrored", {"evaluator": {"replicas": 1}}),
    ],
)
def test_roles_become_a_strategy(roles: str, script: Any, strategy: str, expected: dict[str, Any]) -> None:
    result = result_of(roles, ["memory", "claim /a"], script=script)
    assert key(result, "strategy") == strategy
    for role, block in expected.items():
        assert {name: key(result, role, name) for name in block} == block
    if strategy != "ParameterServer" or script == "coordinator":
        assert key(result, "chief", "replicas") is None


def test_chief_of_a_coordinator_is_added_and_its_memory_asked_for() -> None:
    result = result_of("P1 W2", ["memory", "claim /a"], script="coordinator")
    assert [each.key for each in result.questions] == [("chief", "resources", "limits", "memory")]
    assert key(result, "args") == ["--", "train.py"]
    assert key(result, "command") is None


def test_evaluator_of_a_coordinator_is_refused() -> None:
    with pytest.raises(UnreadableError, match="expected no evaluator with --script coordinator"):
        result_of("P1 W2 E1", ["memory", "claim /a"], script="coordinator")


def test_role_without_replicas_is_dropped() -> None:
    result = result_of("C0 W2", ["memory", "claim /a"])
    assert key(result, "worker", "replicas") == 2
    assert fate(result, "Chief") == ("dropped", "it has 0 replicas, so no task uses it")


def test_gpus_of_parameter_servers_are_dropped() -> None:
    result = result_of("P1g1 W2g1", ["claim /a"], script="every-task", memory="4Gi")
    assert (key(result, "ps", "gpus"), key(result, "worker", "gpus")) == (None, 1)
    assert (
        fate(result, "PS", "template", "spec", "containers", 0, "resources", "limits", "nvidia.com/gpu")[0] == "dropped"
    )


# ---- Resources ----


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (
            {"limits": {"memory": "8Gi", "cpu": 4}},
            {"requests": {"memory": "8Gi", "cpu": 4}, "limits": {"memory": "8Gi", "cpu": 4}},
        ),
        ({"requests": {"memory": "8Gi"}}, {"requests": {"memory": "8Gi"}, "limits": {"memory": None}}),
        (
            {"requests": {"memory": "1Gi"}, "limits": {"memory": "8Gi"}},
            {"requests": {"memory": "1Gi"}, "limits": {"memory": "8Gi"}},
        ),
    ],
)
def test_resources_mean_what_kubernetes_read(
    resources: dict[str, Any], expected: dict[str, Any], tmp_path: Path
) -> None:
    result = changed_manifest("W2", ["claim /a"], lambda block, pod, container: container.update(resources=resources))
    assert key(result, "worker", "resources") == expected
    assert refusals(answered(result), tmp_path) == []


@pytest.mark.parametrize(
    ("name", "resource"),
    [
        ("alpha.kubernetes.io/nvidia-gpu", None),
        ("amd.com/gpu", "amd.com/gpu"),
        ("nvidia.com/mig-1g.5gb", "nvidia.com/mig-1g.5gb"),
    ],
)
def test_gpus_of_other_names_are_gpus(name: str, resource: str | None) -> None:
    limits = {name: 1, "memory": "4Gi"}
    result = changed_manifest("W2", [], lambda block, pod, each: each.update(resources={"limits": limits}))
    assert (key(result, "worker", "gpus"), key(result, "gpu", "resource")) == (1, resource)


def test_quantity_that_the_schema_refuses_is_asked_for() -> None:
    limits = {"memory": "16GiB", "hugepages-2Mi": "1Gi"}
    result = changed_manifest("W2", [], lambda block, pod, each: each.update(resources={"limits": limits}))
    assert ("worker", "resources", "limits", "memory") in {each.key for each in result.questions}
    assert '# got "16GiB"; expected a Kubernetes quantity above 0' in result.text
    assert fate(result, "hugepages-2Mi")[0] == "dropped"


# ---- Retries, ends and time ----


@pytest.mark.parametrize(
    ("policy", "retries", "per_task"),
    [("Never", 0, 0), (None, 0, 0), ("OnFailure", 3, 3), ("Always", 3, 3)],
)
def test_restart_policy_becomes_retries(policy: str | None, retries: int, per_task: int) -> None:
    manifest = build("C1 P1 W1", ["memory", "claim /a", "backoffLimit"])
    for block in manifest["spec"]["tfReplicaSpecs"].values():
        block["restartPolicy"] = policy
    result = imported(json.dumps(manifest), script="every-task")
    assert (key(result, "retries"), key(result, "failure", "retriesPerTask")) == (retries, per_task)


def test_restart_policy_exit_code_retries_codes_from_128_on() -> None:
    result = changed_manifest("W2", ["memory"], lambda block, pod, each: block.update(restartPolicy="ExitCode"))
    assert key(result, "failure", "permanentExitCodes") == list(range(1, 128))


@pytest.mark.parametrize(("events", "retries"), [(["PodEvicted"], 0), (["PodFailed"], 4), (["*"], 4)])
def test_volcano_restarts_by_its_policies(events: list[str], retries: int) -> None:
    manifest = build("W1", ["memory"], VOLCANO)
    manifest["spec"] |= {"maxRetry": 4, "policies": [{"events": events, "action": "RestartJob"}]}
    manifest["spec"]["tasks"][0]["template"]["spec"]["restartPolicy"] = "Never"
    assert key(imported(json.dumps(manifest)), "retries") == retries


def test_run_policy_becomes_deadline_state_and_gang() -> None:
    manifest = build("W2", ["memory", "claim /a"])
    policy = {"activeDeadlineSeconds": 60, "suspend": True, "cleanPodPolicy": "All"}
    manifest["spec"]["runPolicy"] = policy | {"schedulingPolicy": {"minAvailable": 2, "priorityClass": "high"}}
    result = imported(json.dumps(manifest))
    assert (key(result, "deadline"), key(result, "state")) == ("60s", "suspended")
    assert key(result, "scheduling") == {"gang": True, "priorityClassName": "high"}
    assert fate(result, "cleanPodPolicy")[0] == "dropped"


def test_dynamic_number_of_workers_is_dropped_with_the_key_of_a_task_class() -> None:
    manifest = build("W2", ["memory", "claim /a"])
    manifest["spec"]["enableDynamicWorker"] = True
    how, why = fate(imported(json.dumps(manifest)), "enableDynamicWorker")
    assert how == "dropped" and "worker.minReplicas" in why


def test_deadline_of_the_chart_is_written_out_and_reported() -> None:
    result = result_of("W1", ["memory"])
    assert key(result, "deadline") == "24h"
    assert "deadline: 24h: the manifest has no time limit" in notes(result)


# ---- Program ----


def test_program_stays_as_it_is(tmp_path: Path) -> None:
    result = case("05")
    assert key(result, "command") == ["python3", "train.py"]
    assert key(result, "storage") == {"claim": "species-work", "at": "/train"}
    assert {"name": "JOB_NAME", "value": "$(POD_NAME)"} in key(result, "env")
    assert refusals(answered(result), tmp_path, "species-1") == []


def test_entry_point_of_the_image_runs_without_a_command(tmp_path: Path) -> None:
    result = case("01", memory="4Gi")
    assert key(result, "command") == []
    assert result.questions == []
    assert refusals(answered(result), tmp_path) == []


def test_script_that_builds_tf_config_keeps_its_other_statements() -> None:
    result = case("11", script="every-task", memory="4Gi", storage="runs")
    assert key(result, "command") == ["sh", "-c", "python train.py"]
    assert key(result, "podAnnotations") == {"scheduling.volcano.sh/queue-name": "test"}
    assert key(result, "scheduling") == {"schedulerName": "volcano"}


def test_hosts_that_a_script_needs_come_from_tf_config() -> None:
    result = result_of("P2 W2", ["shell", "hosts in shell"], VOLCANO, script="every-task", storage="runs", memory="1Gi")
    [shell, option, script] = key(result, "command")
    assert "--job_name=$(TASK_TYPE) --task_index=${TASK_INDEX}" in script
    cluster = {"ps": ["run-ps-0.run:2222", "run-ps-1.run:2222"], "worker": ["run-worker-0.run:2222"]}
    environment = {
        "TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "ps", "index": 0}}),
        "PATH": "/usr/bin:/bin",
    }
    script = script.replace("python benchmarks.py", "echo")
    done = subprocess.run([shell, option, script], env=environment, capture_output=True, text=True, check=True)
    assert f"--ps_hosts={','.join(cluster['ps'])} --worker_hosts={cluster['worker'][0]}\n" in done.stdout


def test_words_that_differ_by_role_only_become_task_type() -> None:
    manifest = build("P1 W2", ["memory", "claim /a"])
    for name, block in manifest["spec"]["tfReplicaSpecs"].items():
        block["template"]["spec"]["containers"][0]["args"] = [f"--job_name={name.lower()}", "--steps=1"]
    result = imported(json.dumps(manifest), script="every-task")
    assert key(result, "args") == ["--job_name=$(TASK_TYPE)", "--steps=1"]


def test_programs_that_differ_are_shown_side_by_side() -> None:
    result = result_of("P1 W2", ["memory", "claim /a", "args per role"], script="every-task")
    [question] = result.questions
    assert question.key == ("command",)
    assert '# PS: [python, train.py, "--task=ps", "--rate=2"]' in result.text
    assert '# Worker: [python, train.py, "--task=worker", "--rate=6"]' in result.text


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("--log_dir=/pvc/logs", "--log_dir=$(RUN_DIR)/logs"),
        ("--output_dir=/pvc", "--output_dir=$(RUN_DIR)"),
        ("--job-dir=/pvc/a", "--job-dir=$(RUN_DIR)/a"),
        ("--pretrained_model_dir=/pvc/base", "--pretrained_model_dir=/pvc/base"),
        ("--train_dir=/pvc/train", "--train_dir=/pvc/train"),
        ("--data_dir=/pvc/data", "--data_dir=/pvc/data"),
        ("--output_dir=/pvc2/a", "--output_dir=/pvc2/a"),
        ("--output_dir=/other/pvc", "--output_dir=/other/pvc"),
    ],
)
def test_output_goes_to_the_run_directory_and_other_paths_stay(word: str, expected: str) -> None:
    def change(block: Any, pod: Any, container: Any) -> None:
        container["args"] = [word]

    result = changed_manifest("W2", ["memory", "claim /pvc"], change)
    assert key(result, "args") == [expected]
    assert key(result, "storage", "at") == "/pvc"


def test_output_option_and_path_may_be_two_words() -> None:
    result = changed_manifest(
        "W2",
        ["memory", "claim /pvc"],
        lambda block, pod, each: each.update(args=["--model_dir", "/pvc/m", "/pvc/data"]),
    )
    assert key(result, "args") == ["--model_dir", "$(RUN_DIR)/m", "/pvc/data"]


# ---- Volumes ----


def test_folder_of_a_claim_becomes_part_of_the_paths() -> None:
    result = case("09", storage="user-workspace")
    assert key(result, "storage") == {"claim": "user-workspace", "at": "/mnt"}
    assert key(result, "workingDir") == "/mnt/alice/alice/ctr"
    assert key(result, "mounts") == [{"at": "/archives", "claim": "user-archives", "folder": "alice"}]
    assert key(result, "worker", "shm") == "16G"
    assert key(result, "env") == [{"name": "TZ", "value": "Europe/Berlin"}]
    assert key(result, "scheduling") == {"schedulerName": "volcano", "place": "spread"}


def test_claim_at_tmp_moves_and_its_paths_follow() -> None:
    result = result_of("W2", ["memory", "claim /tmp", "path /tmp"])
    assert key(result, "storage") == {"claim": "team-results"}
    assert key(result, "args") == ["--log_dir=$(RUN_DIR)/logs", "--pipeline=/runs/pipeline.config"]


def test_path_that_no_word_names_is_reported_when_it_moves() -> None:
    result = result_of("W2", ["memory", "claim /tmp"])
    assert [each.key for each in result.questions] == [("storage", "at")]
    assert "storage.at: no word names /tmp" in notes(result)


def test_mount_inside_of_another_one_moves() -> None:
    uses = ["memory", "claim /work", "second claim /work/data", "third claim /work/x", "path /work/x"]
    result = result_of("W2", uses, storage="team-results")
    assert key(result, "storage") == {"claim": "team-results", "at": "/work"}
    assert key(result, "data", "claim") == "team-second"
    assert [each["at"] for each in key(result, "mounts")] == ["/mounts/x"]


def test_claim_named_data_is_read_only_data_and_the_other_one_is_storage() -> None:
    result = changed_manifest(
        "W2",
        ["memory", "claim /results", "second claim /data"],
        lambda block, pod, container: None,
    )
    assert key(result, "storage") == {"claim": "team-results", "at": "/results"}
    assert key(result, "data") == {"claim": "team-second"}


def test_only_claim_is_the_storage_even_if_it_is_named_data() -> None:
    result = result_of("W2", ["memory", "claim /data"])
    assert key(result, "storage") == {"claim": "team-results", "at": "/data"}
    assert key(result, "data") is None


def test_secret_files_become_a_mount_and_a_key_of_a_cloud_does_not() -> None:
    files = result_of("W2", ["memory", "claim /a", "secret files"])
    assert key(files, "mounts") == [{"at": "/opt/certificates", "secret": "kafka"}]
    cloud = result_of("W2", ["memory", "claim /a", "cloud key"])
    assert key(cloud, "mounts") is None
    assert ("serviceAccountName",) in {each.key for each in cloud.questions}


@pytest.mark.parametrize(
    ("uses", "storage"),
    [([], {"ephemeral": True}), (["bucket"], {"uri": "gs://bucket/models"})],
)
def test_run_without_a_volume_has_ephemeral_storage_or_its_bucket(uses: list[str], storage: dict[str, Any]) -> None:
    def change(block: Any, pod: Any, container: Any) -> None:
        container["args"] = ["--model_dir=gs://bucket/models"] if uses else []

    result = changed_manifest("W1", ["memory"], change)
    assert key(result, "storage") == storage
    assert key(result, "args") == (["--model_dir=$(RUN_DIR)"] if uses else None)


# ---- Environment, security and scheduling ----


def test_names_that_the_chart_sets_are_dropped() -> None:
    assert {"TF_CONFIG", "RUN_DIR", "TASK_INDEX", "TRAINER_GPUS"} <= reserved()
    result = result_of("P1 W2", ["memory", "claim /a", "own TF_CONFIG", "env"], script="every-task")
    assert key(result, "env") == [{"name": "EPOCHS", "value": "3"}]


def test_arguments_of_one_role_do_not_stay_for_all() -> None:
    manifest = build("C1 W2", ["memory"])
    roles = manifest["spec"]["tfReplicaSpecs"]
    roles["Chief"]["template"]["spec"]["containers"][0]["args"] = ["--export"]
    result = imported(json.dumps(manifest))
    assert [each.key for each in result.questions] == [("command",)]
    assert key(result, "args") is None
    assert fate(result, "args") == ("changed", "see the TODO of this key")


def test_resources_of_the_pod_are_those_of_its_one_container() -> None:
    def change(_: Any, pod: Any, container: Any) -> None:
        pod["resources"] = {"limits": {"cpu": "2", "memory": "8Gi"}}

    result = changed_manifest("W2", [], change)
    assert key(result, "worker", "resources", "limits") == {"cpu": "2", "memory": "8Gi"}
    assert not result.questions
    assert fate(changed_manifest("W2", ["memory"], change), "spec", "resources")[0] == "dropped"


def test_json_with_escapes_is_read() -> None:
    manifest = build("W2", ["memory"])
    words = ["\U0001f642 \u00e9 \t", "a/b", r"\ud83d\ude42"]
    manifest["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["containers"][0]["args"] = words
    assert key(imported(json.dumps(manifest).replace("/", r"\/")), "args") == words


@pytest.mark.parametrize("name", ["a\nimage: evil:1", "a\x00", "a\u2028b"])
def test_name_of_the_manifest_stays_in_its_comment(name: str) -> None:
    manifest = build("W2", ["memory"])
    manifest["metadata"]["name"] = name
    result = imported(json.dumps(manifest), run="run-1")
    assert helm_yaml.load(result.text).value == result.context.draft.values


def test_root_as_the_working_folder_is_a_question() -> None:
    def change(_: Any, pod: Any, container: Any) -> None:
        container["workingDir"] = "/"

    result = changed_manifest("W2", ["memory"], change)
    assert [each.key for each in result.questions] == [("workingDir",)]


@pytest.mark.parametrize("word", [{"--lr": 0.1}, ["--lr"], None, True, 12345678901234567890])
@pytest.mark.parametrize("place", ["args", "env"])
def test_word_that_is_no_string_is_refused(word: Any, place: str) -> None:
    def change(_: Any, pod: Any, container: Any) -> None:
        container[place] = [word] if place == "args" else [{"name": "A", "value": word or {}}]

    with pytest.raises(UnreadableError, match=r"expected a string\. Put the value in quotation marks"):
        changed_manifest("W2", ["memory"], change)


def test_number_in_the_arguments_is_reported_as_a_string() -> None:
    def change(_: Any, pod: Any, container: Any) -> None:
        container["args"] = ["--lr", 0.1]

    result = changed_manifest("W2", ["memory"], change)
    assert key(result, "args") == ["--lr", "0.1"]
    assert fate(result, "args") == ("changed", "a number is a string now, as Kubernetes requires")


@pytest.mark.parametrize("claim", ["results", "team-data"])
def test_second_mount_of_the_storage_stays_writable(claim: str) -> None:
    def change(_: Any, pod: Any, container: Any) -> None:
        pod["volumes"] = [{"name": "out", "persistentVolumeClaim": {"claimName": claim}}]
        mounts = {"/logs": "logs", "/ckpt": "run/ckpt", "/whole": ""}
        container["volumeMounts"] = [{"name": "out", "mountPath": at, "subPath": sub} for at, sub in mounts.items()]
        container["args"] = ["--a=/logs/x", "--b=/ckpt/y", "--log_dir=/ckpt", "--c=/whole/z"]

    result = changed_manifest("W2", ["memory"], change)
    assert key(result, "storage") == {"claim": claim, "at": "/logs"}
    assert key(result, "mounts") is None
    assert key(result, "data") is None
    assert key(result, "args") == [
        "--a=/logs/logs/x",
        "--b=/logs/run/ckpt/y",
        "--log_dir=$(RUN_DIR)/run/ckpt",
        "--c=/logs/z",
    ]
    assert not result.questions


def test_mount_of_the_storage_that_no_word_names_is_a_question() -> None:
    def change(_: Any, pod: Any, container: Any) -> None:
        pod["volumes"] = [{"name": "out", "persistentVolumeClaim": {"claimName": "results"}}]
        container["volumeMounts"] = [{"name": "out", "mountPath": "/logs"}, {"name": "out", "mountPath": "/ckpt"}]

    assert [each.key for each in changed_manifest("W2", ["memory"], change).questions] == [("storage", "at")]


def test_path_moves_once_and_with_the_longest_mount_that_contains_it() -> None:
    def change(_: Any, pod: Any, container: Any) -> None:
        claims = {"out": "results", "in": "corpus"}
        pod["volumes"] = [{"name": name, "persistentVolumeClaim": {"claimName": claims[name]}} for name in claims]
        mounts = [{"name": "out", "mountPath": "/mnt", "subPath": "a"}, {"name": "in", "mountPath": "/mnt/in"}]
        container["volumeMounts"] = mounts
        container["args"] = ["--a=/mnt/x", "--b=/mnt/in/y"]

    assert key(changed_manifest("W2", ["memory"], change), "args") == ["--a=/mnt/a/x", "--b=/data/y"]


@pytest.mark.parametrize(
    ("name", "value", "claims", "is_asked"),
    [
        ("DATA_DIR", "/nas/imagenet", {"/nas": "results"}, True),
        ("DATA_DIR", "/corpus/a", {"/nas": "results", "/corpus": "corpus"}, True),
        ("DATA_DIR", "/corpus/", {"/nas": "results", "/corpus": "corpus"}, False),
        ("RUN_DIR", "/nas/out", {"/nas": "results"}, False),
    ],
)
def test_path_that_the_chart_sets_differently_is_a_question(
    name: str, value: str, claims: dict[str, str], is_asked: bool
) -> None:
    def change(_: Any, pod: Any, container: Any) -> None:
        pod["volumes"] = [{"name": each, "persistentVolumeClaim": {"claimName": each}} for each in claims.values()]
        container["volumeMounts"] = [{"name": each, "mountPath": at} for at, each in claims.items()]
        container["env"] = [{"name": name, "value": value}]

    result = changed_manifest("W2", ["memory"], change)
    assert [each.key for each in result.questions] == ([("env", 0, "name")] if is_asked else [])
    assert key(result, "env", 0, "value") == (value if is_asked else None)


def test_variable_of_a_key_file_that_the_run_does_not_have_is_dropped_or_asked_about() -> None:
    def change(_: Any, pod: Any, container: Any) -> None:
        pod["volumes"] = [{"name": "key", "secret": {"secretName": "robot"}}]
        container["volumeMounts"] = [{"name": "key", "mountPath": "/secret"}]
        container["env"] = [{"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": "/secret/key.json"}]

    def name_it(*blocks: Any) -> None:
        change(*blocks)
        blocks[2]["args"] = ["--key=$(GOOGLE_APPLICATION_CREDENTIALS)"]

    result = changed_manifest("W2", ["memory"], change)
    assert key(result, "env") is None
    assert [each.key for each in result.questions] == [("serviceAccountName",)]
    named = changed_manifest("W2", ["memory"], name_it)
    assert [each.key for each in named.questions] == [("env", 0, "value"), ("serviceAccountName",)]


def test_literal_secret_never_reaches_the_file_or_the_report(tmp_path: Path) -> None:
    secret = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"

    def change(block: Any, pod: Any, container: Any) -> None:
        container["args"] = [f"--api_key={secret}"]

    result = changed_manifest("C1 P1 W2", ["memory", "claim /a", "literal secret"], change)
    assert secret not in result.text
    assert key(result, "args") is None or secret not in str(key(result, "args"))
    names = {each.key[-2:] for each in result.questions}
    assert ("secretKeyRef", "name") in names


def test_name_of_a_secret_and_a_short_word_stay_in_comments() -> None:
    def change(_: Any, pod: Any, container: Any) -> None:
        keys = {"driver": "secrets-store.csi.k8s.io", "volumeAttributes": {"secretProviderClass": "place"}}
        pod["volumes"] = [{"name": "a", "csi": keys}, {"name": "b", "csi": {"volumeAttributes": {"token": "p"}}}]
        container["volumeMounts"] = [{"name": "a", "mountPath": "/etc/a"}, {"name": "b", "mountPath": "/etc/b"}]

    assert "***" not in changed_manifest("W2", ["memory"], change).text


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/usr/local/nvidia", "the driver"),
        ("/home/kubernetes/bin/nvidia/lib", "the driver"),
        ("/dev/infiniband", "devices, sockets"),
        ("/var/run/docker.sock", "devices, sockets"),
        ("/usr/data", ""),
    ],
)
def test_files_of_a_node_that_no_claim_has_are_dropped(path: str, reason: str) -> None:
    def change(_: Any, pod: Any, container: Any) -> None:
        pod["volumes"] = [{"name": "host", "hostPath": {"path": path}}]
        container["volumeMounts"] = [{"name": "host", "mountPath": path}]

    result = changed_manifest("W2", ["memory"], change)
    assert [each.key for each in result.questions] == ([] if reason else [("storage", "claim")])
    assert reason in fate(result, "hostPath")[1]


def test_label_of_kueue_without_a_key_is_dropped(tmp_path: Path) -> None:
    manifest = build("W2", ["memory"])
    manifest["metadata"]["labels"] = {"kueue.x-k8s.io/max-exec-time-seconds": "3600"}
    result = imported(json.dumps(manifest))
    assert key(result, "labels") is None
    assert refusals(answered(result), tmp_path) == []


def test_secret_after_an_option_in_a_script_becomes_a_variable() -> None:
    def change(_: Any, pod: Any, container: Any) -> None:
        container |= {"command": ["sh", "-c"], "args": ["cd /x && python a.py --password hunter22 --steps 5"]}

    result = changed_manifest("W2", ["memory"], change)
    assert key(result, "args") == ["cd /x && python a.py --password $(PASSWORD) --steps 5"]
    assert "hunter22" not in result.text


@pytest.mark.parametrize("value", ["8Hq3kd92jfKd83jdkA93", 'quo"ted\\8Hq3kd92', "8Hq3kd92jfKd" * 6])
def test_secret_of_another_role_or_of_a_volume_never_reaches_a_comment(value: str) -> None:
    manifest = build("P1 W2", ["memory"])
    for role, block in manifest["spec"]["tfReplicaSpecs"].items():
        secret, pod = f"{value}{role}", block["template"]["spec"]
        driver = {"driver": "oss", "options": {"akSecret": secret, "url": "oss.example"}}
        pod["volumes"] = [{"name": "oss", "flexVolume": driver}]
        pod["containers"][0] |= {
            "command": ["python", "ps.py", f"--db_password={secret}"],
            "env": [{"name": "DB_PASSWORD", "value": secret}],
            "volumeMounts": [{"name": "oss", "mountPath": "/mnt"}],
        }
    text = imported(json.dumps(manifest)).text
    assert "ps.py" in text
    assert "***" in text
    assert "8Hq3kd92" not in text


def test_container_settings_that_restricted_pod_security_refuses_are_dropped() -> None:
    result = result_of("W2", ["memory", "claim /a", "privileged", "hostIPC"])
    for name in ("privileged", "hostIPC", "hostPID"):
        assert "restricted Pod Security" in fate(result, name)[1]


@pytest.mark.parametrize(("user", "expected"), [(0, None), (1000, 1000)])
def test_user_of_the_manifest_stays_unless_it_is_root(user: int, expected: int | None) -> None:
    result = changed_manifest("W2", [], lambda block, pod, each: pod.update(securityContext={"runAsUser": user}))
    assert key(result, "runAsUser") == expected


def test_moving_tag_is_pulled_as_before() -> None:
    for image, policy in (
        ("r.example.com/a:latest", "Always"),
        ("r.example.com/a", "Always"),
        ("r.example.com:5000/a:1", None),
    ):
        result = changed_manifest("W1", ["memory"], lambda block, pod, each, image=image: each.update(image=image))
        assert key(result, "imagePullPolicy") == policy


def test_image_of_a_role_is_its_own() -> None:
    result = result_of("P1 W2", ["memory", "claim /a", "image per role"], script="every-task")
    images = {key(result, "image"), key(result, "ps", "image"), key(result, "worker", "image")} - {None}
    assert images == {"registry.example.com/vision/ps:1", "registry.example.com/vision/worker:1"}


def test_labels_and_queues_go_to_their_keys() -> None:
    result = result_of("W2", ["memory", "claim /a", "labels", "Kueue label", "istio"])
    assert key(result, "labels") == {"project": "ctr"}
    assert key(result, "scheduling", "queue") == "q"


def test_node_affinity_of_one_value_is_a_selector_and_another_one_is_asked_for() -> None:
    assert key(result_of("W2", ["memory", "nodeAffinity"]), "worker", "nodeSelector") == {"gpu": "a100"}
    manifest = build("W2", ["memory", "nodeAffinity"])
    text = json.dumps(manifest).replace('["a100"]', '["a100", "h100"]')
    assert ("worker", "nodeSelector", "gpu") in {each.key for each in imported(text).questions}


def test_each_of_the_given_manifests_is_accepted_once_answered(tmp_path: Path) -> None:
    scripts = {"every-task": "a", "coordinator": "b", "": "c"}
    names = [(number, script) for number in ("01", "03", "05", "09", "11") for script in scripts]
    files = {f"run-{number}-{scripts[script]}": answered(case(number, script=script)) for number, script in names}
    assert {run: found for run, found in checked(files, tmp_path).items() if found} == {}


def test_code_below_root_needs_another_user() -> None:
    result = case("07", script="every-task", memory="4Gi")
    assert [each.key for each in result.questions] == [("runAsUser",)]
    assert key(result, "chief", "replicas") == 0
    assert key(result, "workingDir") == "/root"


def test_volumes_of_two_roles_at_one_path_are_asked_about() -> None:
    manifest = build("P1 W2", ["memory", "claim /a"])
    text = json.dumps(manifest).replace('"team-results"', '"team-second"', 1)
    result = imported(text, script="every-task", storage="team-results")
    assert key(result, "storage") == {"claim": "team-results", "at": "/a"}
    assert [each.key for each in result.questions] == [("mounts", 0, "at")]
