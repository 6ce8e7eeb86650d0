"""The reference pages list what the code defines, and nothing else."""

import json
import re

import pytest

from tests.conventions.repository import ROOT, tracked

REFERENCE = ROOT / "docs" / "reference"
INTERNAL = {"TRAINER_RESTART_STATE"}


def sources(folder: str) -> str:
    """Return the text of all Python files and templates of a folder."""
    names = [name for name in tracked() if name.startswith(folder) and name.endswith((".py", ".tpl", ".yaml"))]
    return "\n".join((ROOT / name).read_text(encoding="utf-8") for name in names)


def first_cells(page: str) -> str:
    """Return the first column of all tables of a page."""
    lines = (REFERENCE / page).read_text(encoding="utf-8").splitlines()
    return "\n".join(line.split("|")[1] for line in lines if line.startswith("| `"))


def test_environment_page_lists_the_variables_that_the_trainer_reads() -> None:
    read = set(re.findall(r'"(TRAINER_[A-Z_]+|RUN_DIR|DATA_DIR|TF_CONFIG)"', sources("trainer/")))
    page = first_cells("environment.md")
    listed = set(re.findall(r"`(TRAINER_[A-Z_]+|RUN_DIR|DATA_DIR|TF_CONFIG)`", page))
    assert {"TF_CONFIG", "RUN_DIR"} <= read
    assert listed == read - INTERNAL


def test_environment_page_lists_the_variables_that_the_chart_sets() -> None:
    text = sources("charts/tf-distributed/templates/_pod.tpl")
    assert set(re.findall(r"- name: ([A-Z_]+)$", text, flags=re.M)) <= set(
        re.findall(r"`([A-Z_]+)`", first_cells("environment.md"))
    )


def test_labels_page_lists_the_names_below_the_prefix_of_the_project() -> None:
    used = set(re.findall(r'"tf-distributed\.prefix" \. \}\}/(\w+):', sources("charts/tf-distributed/templates/")))
    used |= set(re.findall(r'"argocd\.prefix" [.$] \}\}/(\w+):', sources("argocd/templates/")))
    used |= set(re.findall(r'\{PREFIX\}/(\w+)"', sources("argocd/files/")))
    assert used == set(re.findall(r"`tf-distributed\.github\.io/(\w+)`", first_cells("labels.md")))


def test_labels_page_lists_the_annotations_that_a_job_file_may_set() -> None:
    schema = json.loads((ROOT / "charts/tf-distributed/values.schema.json").read_text(encoding="utf-8"))
    allowed = [re.compile(pattern) for pattern in schema["properties"]["podAnnotations"]["patternProperties"]]
    names = re.findall(r"`([\w./-]+)`", first_cells("labels.md"))
    listed = [name for name in names if any(pattern.search(name) for pattern in allowed)]
    assert [pattern.pattern for pattern in allowed if not any(map(pattern.search, listed))] == []
    alternatives = sum(len(pattern.pattern.split("|")) for pattern in allowed)
    assert len(set(listed)) == alternatives


def keys(path: str, begin: str, end: str) -> set[str]:
    """Return the keys of the dictionary that stands between two texts of a file."""
    _, found, rest = (ROOT / path).read_text(encoding="utf-8").partition(begin)
    assert found
    return set(re.findall(r'"(\w+)": ', rest.partition(end)[0]))


FILES = {
    "run.json": {"run", "hash", "identity", *keys("trainer/storage/run_dir.py", "**self._record.raw,", "}, indent")},
    "status.json": {"updated", *keys("trainer/storage/status.py", "_fields: dict[str, Any] = {", "\n        }")},
    "evaluation.json": keys("trainer/storage/evaluation_record.py", "content = {", "}"),
    "DONE": {"run", "hash", *keys("trainer/roles/context.py", "write_done(\n", "\n            }")},
    "lease.json": keys("trainer/storage/lease.py", "content = {", "}"),
    "members.json": keys("trainer/peers/members.py", "            {\n", "\n            }"),
}


@pytest.mark.parametrize("name", FILES)
def test_run_directory_page_lists_the_fields_of_each_file(name: str) -> None:
    page = (REFERENCE / "run-directory.md").read_text(encoding="utf-8")
    section = page.partition(f"## {name}\n")[2].partition("\n## ")[0]
    first = "".join(line.split("|")[1] for line in section.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`(\w+)`", first)) == FILES[name]


def test_run_directory_page_lists_the_tags_of_tensorboard() -> None:
    section = (REFERENCE / "run-directory.md").read_text(encoding="utf-8").partition("## TensorBoard tags\n")[2]
    [train] = [line for line in section.splitlines() if line.startswith("| `logs/train`")]
    written = set(re.findall(r'tf\.summary\.scalar\("(\w+)"', sources("trainer/engine/")))
    assert "loss" in written
    assert set(re.findall(r"`(\w+)`", train)) == written


def test_notes_page_lists_the_key_of_every_note() -> None:
    source = (ROOT / "tfd" / "jobfile" / "notes.py").read_text(encoding="utf-8")
    keys = {".".join(re.findall(r'"(\w+)"', found)) for found in re.findall(r"Note\(\(([^()]*)\)", source)}
    keys |= {"retries", "failure.retriesPerTask", "image", "tensorboard.image"}
    listed = set(re.findall(r"`([\w.]+)`", first_cells("notes.md")))
    assert "deadline" in keys
    assert {key.removeprefix("ROLE.") for key in listed} == keys


def test_metrics_page_lists_every_metric() -> None:
    source = (ROOT / "trainer" / "engine" / "metrics.py").read_text(encoding="utf-8")
    made = set(re.findall(r'\{PREFIX\}(\w+)"', source)) | set(re.findall(r'_gauge\("(\w+)"', source))
    made |= set(re.findall(r'^    "\w+": \("(\w+)", ', source, flags=re.M))
    names = made - {"run", "restarts", "worker_changes"} | {"run_info", "restarts_total", "worker_changes_total"}
    page = (ROOT / "docs" / "platform" / "metrics.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `tf_distributed_(\w+)`", page, flags=re.M)
    assert "step" in names
    assert sorted(listed) == sorted(names)
