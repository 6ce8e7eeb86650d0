"""The reference pages list what the code defines, and nothing else."""

import json
import re

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
    assert used == set(re.findall(r"`tf-distributed\.github\.io/(\w+)`", first_cells("labels.md")))


def test_labels_page_lists_the_annotations_that_a_job_file_may_set() -> None:
    schema = json.loads((ROOT / "charts/tf-distributed/values.schema.json").read_text(encoding="utf-8"))
    allowed = [re.compile(pattern) for pattern in schema["properties"]["podAnnotations"]["patternProperties"]]
    names = re.findall(r"`([\w./-]+)`", first_cells("labels.md"))
    listed = [name for name in names if any(pattern.search(name) for pattern in allowed)]
    assert [pattern.pattern for pattern in allowed if not any(map(pattern.search, listed))] == []
    alternatives = sum(len(pattern.pattern.split("|")) for pattern in allowed)
    assert len(set(listed)) == alternatives


def test_run_directory_page_lists_the_fields_of_status_json() -> None:
    source = (ROOT / "trainer" / "storage" / "status.py").read_text(encoding="utf-8")
    [fields] = re.findall(r"_fields: dict\[str, Any\] = \{(.*?)\n        \}", source, flags=re.S)
    page = (REFERENCE / "run-directory.md").read_text(encoding="utf-8")
    section = page.partition("## status.json")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)`", section, flags=re.M)) == {*re.findall(r'"(\w+)": ', fields), "updated"}


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
