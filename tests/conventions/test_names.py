"""No renamed key, label, class, exit code or module is in use under its old name."""

import re

import pytest

from tests.conventions.repository import ROOT, tracked

# Old name of a key or option -> its new name. A line with both names documents the renaming.
RENAMED = {
    r"resumeFrom\b": "warmStartFrom",
    r"--resume\b": "--warm-start",
    r"storage\.path\b": "storage.uri",
    r"\bdata\.path\b": "data.uri",
    r"restartsInPlace\b": "maxInPlaceRestarts",
    r"\b(?:TRAINER_)?RESTARTS_IN_PLACE\b": "TRAINER_MAX_IN_PLACE_RESTARTS",
    r"\bLOST_PEER\b": "RETRYABLE",
    r'"?x-class"?: *"?(?:frozen|control|note)\b': "immutable, mutable or metadata",
    r"\btf-distributed/(?:pod|hash|owner|description|team)\b(?!/)": "tf-distributed.github.io/",
    r"python3? -m cluster\b": "-m devcluster",
}
# Old modules of each package; all of them have another name or another package now.
TRAINER = "agreement app barrier cluster config context devices drain ending evaluation evaluator exits farewell guard"
TRAINER += " inplace lease liveness logs loop memory profiling progress report rundir script server steppers stop"
TRAINER += " strategies threads train types verdict waiting"
TFD = "helm helmyaml new schema"
LOCAL = "machine"
REMOTE = "cli cli_logs cli_status cli_tensorboard objects show"
REVIEW = (
    "actions applications as_json card charts command earlier findings fleet folds git ink jobs judge keys markdown"
)
REVIEW += " mends policy quantities renderer rendering review rules secrets verdict"
MODULES = {"trainer": TRAINER, "tfd": TFD, "tfd.local": LOCAL, "tfd.remote": REMOTE, "tfd.review": REVIEW}
ALLOWED = (
    "CHANGELOG.md",  # has the table of renamed names
    "tests/job_files/rejected/",  # the chart refuses an old key
    "tests/conventions/test_names.py",
)


def old_modules() -> dict[str, str]:
    """Return a pattern for the old modules of each package, as a path or as a dotted name of an import."""
    found = {}
    for package, names in MODULES.items():
        path, dotted, either = package.replace(".", "/"), re.escape(package), names.replace(" ", "|")
        imported = rf"(?:from|import|-m) {dotted}\.(?:{either})\b(?!\.)|from {dotted} import (?:{either})\b"
        found[rf"(?<![\w/])(?:{path}/(?:{either})\.py\b|{imported})"] = f"a module of {package}"
    found[r"(?<![\w/])cluster/\w+\.py\b|\b(?:from|import) cluster\b"] = "devcluster"
    return found


PATTERNS = RENAMED | old_modules()


def uses(pattern: str, new: str) -> list[str]:
    """Return FILE:LINE: TEXT of each line that uses an old name without its new one."""
    found = []
    for name in tracked():
        if name.startswith(ALLOWED):
            continue
        text = (ROOT / name).read_text(encoding="utf-8", errors="replace")
        if re.search(pattern, text):
            lines = enumerate(text.splitlines(), 1)
            found += [
                f"{name}:{n}: {line.strip()}" for n, line in lines if re.search(pattern, line) and new not in line
            ]
    return found


@pytest.mark.parametrize(("pattern", "new"), PATTERNS.items(), ids=PATTERNS.values())
def test_old_name_is_not_in_use(pattern: str, new: str) -> None:
    assert uses(pattern, new) == []


@pytest.mark.parametrize(
    ("line", "new"),
    [
        ("trainer: {steps: 1}\\nresumeFrom: other", "warmStartFrom"),
        ("python -m cluster up", "-m devcluster"),
        ("from trainer.guard import Guard", "a module of trainer"),
        ("See trainer/loop.py.", "a module of trainer"),
        ("from tfd.review import card", "a module of tfd.review"),
        ("cluster/space.py", "devcluster"),
    ],
)
def test_old_name_is_found(line: str, new: str) -> None:
    assert [pattern for pattern, name in PATTERNS.items() if name == new and re.search(pattern, line)]
