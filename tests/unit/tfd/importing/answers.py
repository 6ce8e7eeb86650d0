"""Answers to the questions of an import, as a user would give them."""

import copy
import re
from pathlib import Path
from typing import Any

from tfd.importing.context import Answers
from tfd.importing.job_file import Result, import_manifest
from tfd.importing.yaml_text import yaml_text
from tfd.jobfile.jobfile import JobFile, check
from tfd.text import dotted

# The first pattern that matches the key of a question has its answer.
ANSWERS: list[tuple[str, Any]] = [
    (r"command", ["python", "train.py"]),
    (r"args", ["--", "train.py"]),
    (r"image", "registry.example.com/vision/trainer:1"),
    (r".*\.memory", "4Gi"),
    (r".*\.claim", "team-results"),
    (r".*\.scratch", "10Gi"),
    (r"storage\.at", "/work/results"),
    (r"data\.at", "/work/data"),
    (r"mounts\[0\]\.at", "/work/first"),
    (r"mounts\[1\]\.at", "/work/second"),
    (r"\w+\.shm", "1Gi"),
    (r"env\[\d+\]\.valueFrom\.secretKeyRef\.name", "team-secret"),
    (r"env\[\d+\]\.valueFrom", {"configMapKeyRef": {"name": "team-settings", "key": "value"}}),
    (r"env\[\d+\]\.name", "FROM_SECRET"),
    (r"network\.egress", [{"to": "anywhere", "ports": [443]}]),
    (r"serviceAccountName", "trainer"),
    (r"code\.git\.commit", 40 * "a"),
    (r"code\.git\.repository", "https://github.com/a/b"),
    (r"\w+\.nodeSelector\..*", "a100"),
    (r"worker\.replicas", 2),
    (r"gpu\.resource", "nvidia.com/gpu"),
]


def imported(text: str, **options: Any) -> Result:
    """Import a manifest without writing its file."""
    return import_manifest(text, Answers(**options), output="-")


def answer(key: str) -> Any:
    """Return the answer to the question of a key.

    Raises:
        LookupError: a user cannot answer it.

    """
    for pattern, value in ANSWERS:
        if re.fullmatch(pattern, key):
            return value
    raise LookupError(key)


def answered(result: Result) -> dict[str, Any]:
    """Return the values of the job file with an answer to each question."""
    values = copy.deepcopy(result.context.draft.values)
    for question in result.questions:
        block: Any = values
        for name in question.key[:-1]:
            block = block[name]
        block[question.key[-1]] = answer(dotted(question.key))
    return values


def checked(files: dict[str, dict[str, Any]], folder: Path) -> dict[str, list[str]]:
    """Return what `tfd check` prints about each of these runs, given their values."""
    paths = {run: folder / "vision" / f"{run}.yaml" for run in files}
    for run, path in paths.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml_text(files[run], {}), encoding="utf-8")
    problems = check([JobFile(path) for path in paths.values()])
    return {run: [each.message for each in problems if each.path == path] for run, path in paths.items()}


def refusals(values: dict[str, Any], folder: Path, run: str = "run-1") -> list[str]:
    """Return what `tfd check` prints about a job file with these values."""
    return checked({run: values}, folder)[run]
