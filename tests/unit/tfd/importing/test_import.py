"""`tfd import`: the job file, the questions, the three lists and the exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.grammar import GRAMMAR
from tests.unit.tfd.importing.answers import imported
from tests.unit.tfd.importing.shapes import build
from tfd.cli import main
from tfd.importing.draft import TODO
from tfd.importing.manifest import UnreadableError
from tfd.jobfile import helm, helm_yaml
from tfd.jobfile.helm import HelmError
from tfd.jobfile.jobfile import JobFile

COMPLETE = build("W1", ["memory"])


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(manifest: Any, *options: str, name: str = "-") -> Result:
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    return CliRunner().invoke(main, ["import", name, *options], input=text, catch_exceptions=False)


def lines_of(result: Any, fate: str) -> str:
    """Return all lines of one list as text."""
    lines = [line for line in result.context.ledger.lines if line.fate == fate]
    return "\n".join(f"{'.'.join(map(str, line.path))} -> {line.key}: {line.why}" for line in lines)


def refused(manifest: Any, **options: Any) -> str:
    """Return the message that refuses a manifest."""
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    with pytest.raises(UnreadableError) as error:
        imported(text, **options)
    assert GRAMMAR.fullmatch(str(error.value)), error.value
    return str(error.value)


def container(manifest: dict[str, Any], role: str = "Worker") -> dict[str, Any]:
    found: dict[str, Any] = manifest["spec"]["tfReplicaSpecs"][role]["template"]["spec"]["containers"][0]
    return found


def values(result: Any) -> dict[str, Any]:
    return dict(result.context.draft.values)


# ---- The file and the exit codes ----


def test_complete_import_writes_the_file_of_the_team_and_exits_with_0() -> None:
    done = run(COMPLETE)
    path = Path("jobs/vision/run-1.yaml")
    assert (done.exit_code, done.stdout.splitlines()[0]) == (0, f"{path}: written, complete.")
    assert JobFile(path).problems() == []
    assert [each.name for each in path.parent.iterdir()] == ["run-1.yaml"]


def test_import_with_a_todo_writes_the_file_and_exits_with_1() -> None:
    done = run(build("W1", []))
    assert done.exit_code == 1
    assert "\nTODO\n  chief.resources.limits.memory: how much memory does a chief need?\n" in done.stdout
    assert TODO in Path("jobs/vision/run-1.yaml").read_text()


def test_existing_file_is_replaced_with_force_only() -> None:
    path = Path("jobs/vision/run-1.yaml")
    path.parent.mkdir(parents=True)
    path.write_text("mine\n")
    done = run(COMPLETE)
    assert (done.exit_code, path.read_text()) == (2, "mine\n")
    assert "jobs/vision/run-1.yaml: got an existing file; expected a new file. " in done.stderr
    assert run(COMPLETE, "--force").exit_code == 0
    assert JobFile(path).problems() == []


def test_job_file_that_cannot_be_written_is_refused() -> None:
    Path("jobs").mkdir()
    Path("jobs/vision").write_text("a file\n")
    done = run(COMPLETE)
    assert done.exit_code == 2
    assert done.stderr.startswith("jobs/vision/run-1.yaml: got File exists; expected a file to write. ")
    assert Path("jobs/vision").read_text() == "a file\n"


def test_output_names_the_file_or_stdout() -> None:
    done = run(COMPLETE, "--output", "-")
    assert done.exit_code == 0
    assert helm_yaml.load(done.stdout).value["strategy"] == "OneDevice"
    assert "The same\n" in done.stderr
    assert run(COMPLETE, "--output", "speech/b.yaml").exit_code == 0
    assert Path("speech/b.yaml").is_file()
    assert not Path("jobs").exists()


def test_json_report_has_the_questions_and_the_three_lists() -> None:
    report = json.loads(run(build("W2", []), "--json").stdout)
    assert report["source"] == {"apiVersion": "kubeflow.org/v1", "kind": "TFJob", "name": "run-1"}
    assert [each["key"] for each in report["todo"]] == ["worker.resources.limits.memory"]
    assert all(
        {"field", "key", "why", "noise"} == each.keys()
        for fate in ("same", "changed", "dropped")
        for each in report[fate]
    )


def test_missing_team_and_generated_or_long_names_are_asked_for() -> None:
    manifest = build("W1", ["memory", "generateName"])
    assert (
        'metadata.generateName: got "run-1-"; expected a name: one job file is one run. Name the run with --run.'
        in run(manifest).stderr
    )
    del manifest["metadata"]["namespace"]
    assert "metadata.namespace: got nothing; expected the team of the run" in run(manifest, "--run", "a").stderr
    assert run(manifest, "--run", "a", "--team", "speech").exit_code == 0
    assert Path("jobs/speech/a.yaml").is_file()
    manifest["metadata"]["name"] = 41 * "a"
    assert "metadata.name: got " in run(manifest, "--team", "speech").stderr


def test_team_never_leaves_the_folder_of_the_jobs() -> None:
    done = run(COMPLETE, "--team", "../..")
    assert done.exit_code == 2
    assert 'team: got "../.."; expected lower-case letters, digits and -. ' in done.stderr


# ---- What is read ----


@pytest.mark.parametrize(
    ("version", "uses"),
    [
        ("tensorflow.org/v1alpha1", ["list of roles", "memory"]),
        ("kubeflow.org/v1alpha1", ["list of roles", "memory"]),
        ("kubeflow.org/v1alpha2", ["memory"]),
        ("kubeflow.org/v1beta1", ["memory"]),
        ("kubeflow.org/v1beta2", ["memory"]),
        ("kubeflow.org/v1", ["memory"]),
        ("training.kubedl.io/v1alpha1", ["memory"]),
        ("batch.volcano.sh/v1alpha1", ["memory"]),
    ],
)
def test_each_version_is_read(version: str, uses: list[str]) -> None:
    result = imported(json.dumps(build("M1 P1 W2", uses, version)), script="every-task")
    assert values(result)["strategy"] == "ParameterServer"
    assert (values(result)["ps"]["replicas"], values(result)["worker"]["replicas"]) == (1, 2)


def test_list_and_documents_need_the_name_of_one_job() -> None:
    other = COMPLETE | {"metadata": {"name": "run-2", "namespace": "vision"}}
    several = {"kind": "List", "apiVersion": "v1", "items": [{"kind": "Service"}, COMPLETE, other]}
    documents = f"{json.dumps(COMPLETE)}\n---\nkind: Service\n---\n{json.dumps(other)}\n"
    for text in (json.dumps(several), documents):
        assert "got 2 jobs; expected one job. Name it with --select: run-1, run-2." in refused(text)
        done = run(text, "--select", "run-2", "--json")
        assert json.loads(done.stdout)["source"]["name"] == "run-2"
        Path("jobs/vision/run-2.yaml").unlink()
        assert "got 0 jobs; expected the name of one job: run-1, run-2." in run(text, "--select", "run-3").stderr


def test_only_job_among_other_objects_is_found() -> None:
    text = f"kind: Service\napiVersion: v1\n---\n{json.dumps(COMPLETE)}\n"
    assert imported(text).is_complete


@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_json_of_any_indentation_is_read(indent: Any) -> None:
    assert imported(json.dumps(COMPLETE, indent=indent)).is_complete


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "kind: got nothing; expected one TFJob, Job of Volcano or ElasticJob. "),
        ("a: b\n", "kind: got nothing; "),
        ("kind: Job\napiVersion: batch/v1\n", 'kind: got "batch/v1 Job"; '),
        ("a: [\n", "file: got invalid YAML "),
        ("x" * 70_000, "file: got 70,000 bytes; expected at most 65,536 bytes. "),
        (f"a: {'[' * 60}{']' * 60}", "file: got more than 50 levels; "),
        ("- {{ .Values.x }}\n", "file: got the placeholder {{ .Values.x }}; expected a manifest with its values. "),
        ("{%- if x %}\nkind: TFJob\n", "file: got the placeholder {%- if x %}; "),
        ('local k = import "k.libsonnet";\n{ kind: "TFJob" }\n', "file: got jsonnet (local k =); "),
        (
            "kind: Experiment\nspec:\n  template: |\n    kind: TFJob\n    name: {{.Trial}}\n",
            "file: got the placeholder {{.Trial}}; ",
        ),
        ('{"nbformat": 4, "cells": []}', "file: got a notebook; "),
        ("kind: TFJob\napiVersion: kubeflow.org/v1\nspec: 7\n", "spec: got 7; expected a mapping. "),
        (
            "kind: TFJob\napiVersion: kubeflow.org/v1\n",
            "spec.tfReplicaSpecs: got nothing; expected at least one role. ",
        ),
    ],
)
def test_other_text_is_refused_by_name(text: str, message: str) -> None:
    assert refused(text).startswith(message)


def test_text_that_is_not_utf_8_is_refused() -> None:
    Path("a.yaml").write_bytes(b"kind: \xff\n")
    done = CliRunner().invoke(main, ["import", "a.yaml"], catch_exceptions=False)
    assert done.exit_code == 2
    assert done.stderr.startswith("a.yaml:1:1: file: got invalid UTF-8 ")


@pytest.mark.parametrize(
    ("path", "value", "placeholder"),
    [
        (("metadata", "name"), "$JOB_NAME", "$JOB_NAME"),
        (("metadata", "namespace"), "${NAMESPACE}", "${NAMESPACE}"),
        (("image",), "registry.example.com/${IMAGE}:1", "${IMAGE}"),
        (("args",), ["--rate=${trialParameters.learningRate}"], "${trialParameters.learningRate}"),
        (("args",), ["--rate={{inputs.parameters.rate}}"], "{{inputs.parameters.rate}}"),
        (("command",), ["sh", "-c", "python a.py --rate=${trialParameters.rate}"], "${trialParameters.rate}"),
        (("env",), [{"name": "A", "value": "%(name)s"}], "%(name)s"),
    ],
)
def test_placeholder_is_refused_with_its_place(path: tuple[str, ...], value: Any, placeholder: str) -> None:
    manifest = build("W1", ["memory"])
    block = container(manifest) if len(path) == 1 else manifest["metadata"]
    block[path[-1]] = value
    message = refused(manifest, run="a")
    assert f"got the placeholder {placeholder}; expected a manifest with its values. " in message
    place = message.partition(": ")[0]
    assert place.endswith(".".join(path)) or f".containers[0].{path[-1]}" in place


@pytest.mark.parametrize(
    "start",
    [
        ["bash", "-c"],
        ["bash", "-euxo", "pipefail", "-c"],
        ["/bin/bash", "-l", "-x", "+e", "-c"],
        ["/usr/bin/env", "bash", "-c"],
        ["tini", "--", "/bin/sh", "-ec"],
    ],
)
def test_variables_of_a_shell_and_of_kubernetes_are_not_placeholders(start: list[str]) -> None:
    manifest = build("W1", ["memory", "env"])
    container(manifest)["command"] = [*start, "N=${EPOCHS:-3}; python a.py --n=$N --all=${x[@]} $(EPOCHS)"]
    assert imported(json.dumps(manifest)).is_complete


def test_arguments_of_a_script_in_a_file_have_no_variables() -> None:
    manifest = build("W1", ["memory"])
    container(manifest)["command"] = ["bash", "train.sh", "-c", "$RATE"]
    assert "got the placeholder $RATE; " in refused(manifest, run="a")


def test_refusal_names_the_line_of_the_manifest() -> None:
    head = "apiVersion: kubeflow.org/v1\nkind: TFJob\nmetadata: {name: a, namespace: b}\n"
    manifest = f"{head}spec:\n  tfReplicaSpecs:\n    Driver: {{}}\n"
    done = run(manifest)
    assert done.exit_code == 2
    assert done.stderr.startswith('stdin:6:5: spec.tfReplicaSpecs.Driver: got the role "Driver"; expected a role that ')


# ---- What cannot be imported ----


@pytest.mark.parametrize(
    ("use", "message"),
    [
        ("sidecar", 'got the sidecar "proxy"; expected one container per task. '),
        ("TPU", "got the annotation tf-version.cloud-tpus.google.com; expected no TPU. "),
        ("second network", "got the annotation k8s.v1.cni.cncf.io/networks; expected no second network. "),
        ("hostAliases", "expected no hostAliases. "),
        ("claim per task", "got a claim per task; expected one claim for all tasks. "),
    ],
)
def test_manifest_with_another_meaning_is_refused_by_name(use: str, message: str) -> None:
    assert message in refused(build("W2", [use]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resources": {"limits": {"google.com/tpu": 8}}}, "got the resource google.com/tpu; expected no TPU. "),
        (
            {"volumeMounts": [{"name": "x", "mountPath": "/x"}]},
            'name: got "x"; expected the name of a volume of the pod. ',
        ),
        ({"env": "A=1"}, 'env: got "A=1"; expected a list. '),
        ({"resources": {"limits": {"nvidia.com/gpu": "1.5"}}}, 'got "1.5"; expected a whole number of GPUs. '),
    ],
)
def test_wrong_value_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    manifest = build("W2", [])
    container(manifest).update(change)
    assert message in refused(manifest)


def test_init_container_other_than_git_sync_is_refused() -> None:
    manifest = build("W2", [])
    pod = manifest["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]
    pod["initContainers"] = [{"name": "download", "image": "busybox:1"}]
    assert 'got the init container "download"; expected no init container but git-sync. ' in refused(manifest)


def test_roles_that_make_no_run_are_refused() -> None:
    assert "expected a chief or a worker" in refused(build("P2", []))
    assert "expected one block of the role chief" in refused(build("M1 C1 W1", []))
    assert "replicas: got 2; expected 1 chief. " in refused(build("C2 W1", []))


# ---- The questions: each TODO is refused by the schema ----

ASKS: list[tuple[str, list[str], str]] = [
    ("W2", [], "worker.resources.limits.memory"),
    ("C1 P1 W2", ["memory"], "command"),
    ("C1 P1 W2", ["memory", "no command"], "command"),
    ("C1 P1 W2", ["memory"], "storage.claim"),
    ("W2", ["memory", "hostPath"], "storage.claim"),
    ("W2", ["memory", "claim /a", "second claim /b"], "storage.claim"),
    ("W2", ["memory", "claim /a", "emptyDir"], "mounts.0.scratch"),
    ("W2", ["claim /a", "shared memory"], "worker.shm"),
    ("W2", ["memory", "claim /a", "cloud key"], "serviceAccountName"),
    ("W2", ["memory", "claim /a", "s3"], "network.egress"),
    ("W2", ["memory", "claim /a", "git-sync"], "code.git.commit"),
    ("W2", ["memory", "claim /a", "code below root"], "runAsUser"),
    ("W2", ["memory", "claim /a", "literal secret"], "env.0.valueFrom.secretKeyRef.name"),
    ("C1 P1 W2", ["memory", "claim /a", "args per role"], "command"),
]


@pytest.mark.parametrize(("roles", "uses", "key"), ASKS, ids=[f"{key}-{'-'.join(uses)}" for _, uses, key in ASKS])
def test_todo_is_refused_at_its_key(roles: str, uses: list[str], key: str, tmp_path: Path) -> None:
    result = imported(json.dumps(build(roles, uses)))
    [question] = [each for each in result.questions if ".".join(map(str, each.key)) == key]
    assert question.text.endswith("?")
    path = tmp_path / "vision" / "run-1.yaml"
    path.parent.mkdir()
    path.write_text(result.text)
    refusals = [problem for problem in JobFile(path).problems() if problem.key == question.key]
    assert [f'got "{TODO}{question.text[:20]}' in problem.message for problem in refusals] == [True]
    with pytest.raises(HelmError):  # Argo CD renders the file with Helm
        helm.template("run-1", "vision", path)
    comment = result.text.splitlines()[refusals[0].line - 2].strip()
    assert comment.startswith("# ")


def test_options_answer_the_questions() -> None:
    text = json.dumps(build("C1 P1 W2", ["claim /a", "second claim /b"]))
    result = imported(text, script="every-task", memory="4Gi", storage="team-second")
    assert result.questions == []
    assert values(result)["storage"] == {"claim": "team-second", "at": "/b"}
    assert values(result)["mounts"] == [{"at": "/a", "claim": "team-results"}]
    assert values(result)["ps"]["resources"]["limits"] == {"memory": "4Gi"}
