"""Every fact that a review reports about a run comes from Helm's rendering or from the schema."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.chart.keys import CHANGES, LEAVES
from tests.chart.rendering import ACCEPTED, EXAMPLES, Values, objects, record, rendered
from tests.chart.test_classes import immutable
from tests.unit.review.cases import NEW, OLD
from tests.unit.review.repositories import DIGEST, RUN, Case, build, changed, commit, review_of
from tfd.assets import CHART
from tfd.jobfile import helm_yaml
from tfd.jobfile.helm_yaml import Key
from tfd.jobfile.jobfile import JobFile, Problem
from tfd.jobfile.schema import class_of, defaults, merged
from tfd.local.pods import read_pods
from tfd.quantities import quantity
from tfd.review.analysis import fixes, fleet
from tfd.review.analysis.findings import Suggestion
from tfd.review.analysis.history import History
from tfd.review.analysis.key_changes import UNSET, KeyChange, changed_keys
from tfd.review.analysis.run_rights import rights_of
from tfd.review.analysis.secrets import find_secrets
from tfd.review.sources import job_files
from tfd.review.sources.charts import Charts
from tfd.review.sources.git import Entry, GitError, Repository
from tfd.review.sources.job_files import CommittedJobFile, job_of, read_tree
from tfd.review.sources.quantities import ratio
from tfd.review.sources.renderer import Renderer
from tfd.review.sources.rendering import Rendering

JOBS = [*EXAMPLES, *ACCEPTED]


def job(text: str, path: str = NEW) -> CommittedJobFile:
    return job_of(Entry(path, "100644", f"blob of {path}", len(text)), text.encode())


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.stem)
def test_request_is_the_sum_of_all_pods(path: Path) -> None:
    rendering = Rendering(rendered(path))
    pods = read_pods(rendering.objects, lambda *_: "")
    assert rendering.request.gpus == sum(pod.gpus for pod in pods)
    assert sum(role.tasks for role in rendering.roles) == len(pods)
    assert rendering.request.gpu_hours == pytest.approx(sum(pod.gpus * pod.deadline / 3600 for pod in pods))
    assert rendering.hours == max((pod.deadline / 3600 for pod in pods), default=0)
    assert rendering.immutable == immutable(rendering.objects)
    if pods:
        first = {pod.task: pod.env["TF_CONFIG"] for pod in pods if pod.index == 0}
        assert dict(rendering.tf_config()) == first
        assert rendering.record == record(rendering.objects)


def test_request_counts_requests_limits_and_tensorboard() -> None:
    memory = {"resources": {"limits": {"memory": "2Gi"}}}
    request = Rendering(
        rendered({"storage": {"claim": "runs"}, "strategy": "MultiWorkerMirrored", "worker": {"gpus": 2} | memory})
    ).request
    # Two workers of 1 CPU and 2Gi, and a TensorBoard of 100m and 256Mi.
    assert (request.gpus, request.cpus, request.memory, request.gpu_hours) == (4, 2.1, 2 * 2 * 2**30 + 256 * 2**20, 96)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2", 2),
        ("500m", 0.5),
        ("1.5Gi", 1.5 * 2**30),
        ("3k", 3000),
        ("2G", 2e9),
        ("1Pi", 2**50),
        ("1E", 1e18),
        ("1e3", 1000),
        ("1e-07", 1e-7),
        ("5n", 5e-9),
        (f"1{400 * '0'}", 2.0**63),
    ],
)
def test_quantity_is_read_as_a_number(text: str, number: float) -> None:
    assert quantity(text) == number


@pytest.mark.parametrize(
    ("base", "merged", "shown"),
    [(1, 3, "x 3"), (0.1, 0.03, "x 0.3"), (0, 1, ""), (True, 1, ""), ("a", 2, ""), (2, UNSET, "")],
)
def test_ratio_needs_two_numbers(base: object, merged: object, shown: str) -> None:
    assert ratio(base, merged) == shown


@pytest.mark.parametrize("key", LEAVES)
def test_every_key_has_the_class_of_the_schema_and_a_change_policy(key: str) -> None:
    parts = tuple(part for name in key.split(".") for part in ([name[:-2], 0] if name.endswith("[]") else [name]))
    assert class_of(parts) == LEAVES[key]["x-class"]
    assert KeyChange(parts, class_of(parts), 1, 2).policy


def test_class_of_a_free_name_is_the_class_of_its_map() -> None:
    assert class_of(("trainer", "hyperparameters", "learning_rate")) == "identity"
    assert class_of(("labels", "a")) == "metadata"
    assert class_of(("worker", "resources", "requests", "cpu")) == "immutable"


def test_only_keys_with_another_effective_value_are_reported() -> None:
    base, merged = {"storage": {"claim": "a"}, "retries": 5}, {"storage": {"claim": "a"}, "trainer": {"jitCompile": 1}}
    assert changed_keys(base, base | {"deadline": "24h"}, CHART, CHART) == []
    assert [(c.key, c.base, c.merged) for c in changed_keys(base, merged, CHART, CHART)] == [
        (("trainer", "jitCompile"), False, 1)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "env: [{name: WANDB_API_KEY, value: abc}]",
        "env: [{name: DB_PASSWORD, value: x}]",
        "env: [{name: github_token, value: x}]",
        "env: [{name: AWS_SECRET_ACCESS_KEY, value: x}]",
        f"env: [{{name: A, value: AKIA{16 * 'Q'}}}]",
        f"args: [--key=ghp_{36 * 'a'}]",
        "description: 'https://ada:hunter2@git.example.com/x'",
        "command: [sh, -c, 'curl -H \"Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln\"']",
        "trainer: {hyperparameters: {key: 9fK2mQ7xVb3TzR8wLp5YcN1d}}",
        "code: {files: {a.py: 'KEY = \"9fK2mQ7xVb3TzR8wLp5YcN1dHs6G\"'}}",
        "code: {files: {key.pem: '-----BEGIN PRIVATE KEY-----'}}",
        "code: {files: {key.pem: '-----BEGIN ENCRYPTED PRIVATE KEY-----'}}",
        f"args: [--token=hf_{30 * 'a'}]",
        f"args: [github_pat_{40 * 'a'}]",
        f"args: [glpat-{20 * 'a'}]",
        f"args: [AIza{35 * 'a'}]",
        "args: [xoxb-1234567890-abcdef]",
        f"args: [sk_live_{24 * 'a'}]",
        f"args: ['SG.{22 * 'a'}.{43 * 'b'}']",
    ],
)
def test_value_that_looks_like_a_secret_is_found(text: str) -> None:
    assert list(find_secrets(helm_yaml.load(text).value))


@pytest.mark.parametrize(
    "text",
    [
        "env: [{name: TOKENIZERS_PARALLELISM, value: 'false'}]",
        "env: [{name: KEY_PREFIX, value: a}, {name: MAX_TOKENS, value: '512'}]",
        "env: [{name: API_KEY, valueFrom: {secretKeyRef: {name: a, key: b}}}]",
        "env: [{name: API_KEY, value: ''}]",
        f"image: registry.example.com/x@{DIGEST}",
        f"code: {{git: {{repository: 'https://git.example.com/a', commit: {40 * 'a'}}}}}",
        "data: {uri: gs://bucket-of-a-team/a-very-long-folder-name/of-images-2026-01}",
        "trainer: {task: 'package.with_a_long_name.module2:ClassWithALongName'}",
        "args: [--experiment=baseline-with-a-longer-warmup-and-0.1-dropout]",
    ],
)
def test_value_that_is_not_a_secret_is_ignored(text: str) -> None:
    assert list(find_secrets(helm_yaml.load(text).value)) == []


@pytest.mark.parametrize(
    "secret", [f"ghp_{36 * 'a'}", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", f"glpat-{20 * 'a'}"]
)
def test_whole_token_is_reported_so_that_all_of_it_is_hidden(secret: str) -> None:
    assert [each.text for each in find_secrets({"args": [f"--token {secret} --steps 3"]})] == [secret]


def test_allowlist_comment_does_not_hide_a_secret() -> None:
    """detect-secrets skips such lines, but the author of a pull request could write one."""
    assert list(find_secrets({"description": f"ghp_{36 * 'a'}  # pragma: allowlist secret"}))


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.stem)
def test_examples_contain_no_secret(path: Path) -> None:
    assert list(find_secrets(helm_yaml.load(path.read_text()).value)) == []


def test_team_gpus_count_active_runs_with_one_rendering_per_topology(tmp_path: Path) -> None:
    four, none = RUN, changed(RUN, ("gpus: 1", "gpus: 0"))
    other_kind = "resources: {limits: {amd.com/gpu: 3}, requests: {amd.com/gpu: 3}}"
    files: dict[str, str | None] = {
        "jobs/vision/a.yaml": four,
        "jobs/vision/b.yaml": changed(four, ("20000", "30000")),
        "jobs/vision/c.yaml": f"{four}state: suspended\n",
        "jobs/vision/d.yaml": none,
        "jobs/vision/e.yaml": changed(none, ("resources: {limits: {memory: 2Gi}}, gpus: 0", other_kind)),
        "jobs/speech/f.yaml": four,
    }
    repository = build(tmp_path / "r", Case({}, files))
    base = repository.commit("main")
    renderer = Renderer(Charts(repository, base, tmp_path / "charts"), tmp_path / "jobs")
    runs = [run for run in read_tree(repository, base).jobs.values() if run.team == "vision"]
    totals = fleet.Totals(renderer)
    total = totals.of(runs)
    assert total.gpus == 4 + 4 + 4 * 3
    # Chief, 2 ps, 4 workers and evaluator of 4 active runs, and TensorBoard of 5.
    assert total.pods == 4 * 8 + 5
    assert len(totals.examples(runs)) == 4
    assert [run.path for run in runs if renderer.knows(run)] == [run.path for run in totals.examples(runs)]


@pytest.mark.parametrize("key", CHANGES)
def test_runs_of_one_topology_request_the_same(key: str) -> None:
    """A key that changes what a run requests is part of its topology."""
    before, after = CHANGES[key].jobs(key)
    topologies = [fleet.topology_of(merged(defaults(CHART), values)) for values in (before, after)]
    if topologies[0] == topologies[1]:
        first, second = (replace(Rendering(rendered(each)).running, gpu_hours=0) for each in (before, after))
        assert first == second


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.stem)
def test_output_directory_is_where_the_tasks_write(path: Path) -> None:
    """The review names the directory without rendering; Helm renders the same."""
    run = job(path.read_text(), f"jobs/vision/{path.stem}.yaml")
    rights = rights_of(Rendering(rendered(path)), run.values)
    writes = {each.value for each in (*rights.claims, *rights.new_claims) if each.where != "reads"}
    places = {f"claim {name} of {run.name}" for name in writes}
    places |= {f"{each.value}/{run.run}" for each in rights.buckets if each.where == "RUN_DIR"}
    directory = fleet.output_directory(run)
    # An archived run writes nothing.
    assert run.state == "archived" or places == ({directory} if directory else set())


@pytest.mark.parametrize("use", ["data: {claim: big-storage}", "mounts: [{at: /earlier, claim: big-storage}]"])
def test_new_claim_that_a_merged_run_uses_already_is_refused(use: str, tmp_path: Path) -> None:
    new = changed(RUN, ("{claim: runs}", "{create: {size: 1Gi}}"))
    found = review_of(tmp_path / "r", Case({"jobs/vision/big.yaml": new}, {OLD: f"{RUN}{use}\n"}))
    assert "storage.create: got the new claim big-storage, which jobs/vision/digits-41.yaml already uses; " in "".join(
        f"{finding.message}" for finding in found.all_findings
    )


SMALL: Values = {"storage": {"claim": "runs"}, "strategy": "ParameterServer"}
PAIRS = {key: change.jobs(key) for key, change in CHANGES.items() if key != "ps.gpus"} | {
    "replicas written out": (SMALL, SMALL | {"worker": {"replicas": 2}}),
    "other replicas": (SMALL, SMALL | {"worker": {"replicas": 3}}),
    "both written out": (SMALL | {"ps": {"replicas": 1}}, SMALL | {"ps": {"replicas": 2}}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PAIRS)
def test_same_identity_is_found_exactly_when_the_hashes_are_equal(
    name: str, repository: Repository, tmp_path: Path
) -> None:
    """Most pairs are compared without Helm; the result must be the same."""
    renderer = Renderer(Charts(repository, repository.commit("main"), tmp_path / "charts"), tmp_path / "jobs")
    old, new = (job_of(Entry(path, "100644", f"{n}", 0), json.dumps(values).encode())
                for n, (path, values) in enumerate(zip((OLD, NEW), PAIRS[name], strict=True)))  # fmt: skip
    same = record(objects(PAIRS[name][0]))["hash"] == record(objects(PAIRS[name][1]))["hash"]
    assert list(History(renderer, [old], None, []).same_identity(new)) == ([old] if same else [])


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return build(tmp_path / "r", Case({}))


def test_nearest_run_is_the_parent_else_the_most_similar_else_the_newest(
    repository: Repository, tmp_path: Path
) -> None:
    renderer = Renderer(Charts(repository, repository.commit("main"), tmp_path / "charts"), tmp_path / "jobs")

    def job_with(run: str, **values: Any) -> CommittedJobFile:
        return job(json.dumps(helm_yaml.load(RUN).value | values), f"jobs/vision/{run}.yaml")

    def nearest(*others: CommittedJobFile, **values: Any) -> str:
        found = History(renderer, list(others), None, []).nearest(job_with("new", **values))
        return found.run if found else ""

    far, near = job_with("far", strategy="MultiWorkerMirrored", ps={}), job_with("near", warmStartFrom="x")
    assert nearest() == ""
    assert nearest(far, near) == "near"
    assert nearest(far, near, warmStartFrom="far") == "far"
    assert nearest(job_with("run-9"), job_with("run-10"), job_with("run-2")) == "run-10"
    assert nearest(job(RUN, "jobs/speech/a.yaml")) == ""


@pytest.mark.parametrize(
    ("line", "key", "replacement", "fixed"),
    [
        ("  step: 5  # five", ("trainer", "step"), ("trainer", "steps"), "  steps: 5  # five"),
        ("resumeFrom: a", ("resumeFrom",), ("warmStartFrom",), "warmStartFrom: a"),
        ("worker: {replica: 5}", ("worker", "replica"), ("worker", "replicas"), "worker: {replicas: 5}"),
        ("steps: 5", ("steps",), ("trainer", "steps"), None),
        ("'step': 5", ("trainer", "step"), ("trainer", "steps"), None),
        ('chartVersion: "1"  # a', ("chartVersion",), None, "chartVersion: 2.0.0  # a"),
        ("chartVersion: a  # chartVersion: b", ("chartVersion",), None, "chartVersion: 2.0.0  # chartVersion: b"),
        ("chartVersion: [1]", ("chartVersion",), None, None),
        ("deadline: 5", ("deadline",), None, None),
    ],
)
def test_one_line_fixes_a_misspelled_key_or_version(line: str, key: Key, replacement: Key, fixed: str | None) -> None:
    column = len(line) - len(line.lstrip()) + 1 if "{" not in line else line.index("{") + 2
    problem = Problem(Path(NEW), 2, column, "any text", key, replacement)
    found = fixes.suggestion(job(f"# a\n{line}\n"), problem, "2.0.0")
    assert found == (Suggestion(2, fixed) if fixed else None)


def test_unknown_keys_carry_their_replacement(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    renamed = "resumeFrom: a"  # warmStartFrom
    file.write_text(f"storage: {{claim: runs}}\ntrainer: {{step: 5}}\n{renamed}\nsteps: 5\ncolor: red\n")
    found = {problem.key: problem.replacement for problem in JobFile(file).problems()}
    assert found == {
        ("trainer", "step"): ("trainer", "steps"),
        ("resumeFrom",): ("warmStartFrom",),
        ("steps",): ("trainer", "steps"),
        ("color",): None,
    }


def test_empty_file_gets_no_suggestion() -> None:
    assert fixes.suggestion(job(""), Problem(Path(NEW), 1, 1, "any text", ("chartVersion",)), "2.0.0") is None


def test_job_files_that_are_too_large_together_are_not_read(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_files, "MOST_BYTES", 10)
    assert read_tree(repository, repository.commit("main")).jobs == {}
    commit(repository.folder, {"jobs/vision/a.yaml": RUN})
    with pytest.raises(GitError, match="bytes of job files; expected at most 10 bytes"):
        read_tree(repository, repository.commit("main"))


@pytest.mark.parametrize(
    ("run", "taken", "name"),
    [("a", [], "a-2"), ("a-1", [], "a-2"), ("a-9", ["a-10"], "a-11"), ("a-b", [], "a-b-2"), ("a2", ["a2-2"], "a2-3")],
)
def test_copy_gets_the_next_unused_name(run: str, taken: list[str], name: str) -> None:
    assert fixes.next_name(run, taken) == name
