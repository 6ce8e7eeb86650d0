"""`tfd check` notes the defaults that a custom program may not expect, until the file decides them itself."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.chart.rendering import ACCEPTED, objects, of_kind
from tfd.cli import main
from tfd.jobfile.jobfile import JobFile
from tfd.jobfile.notes import DEFAULT_MEMORY

STORAGE = "storage: {claim: runs}\n"
OWN = f"{STORAGE}command: [python, train.py]\n"
SCRIPT = f"{STORAGE}args: [--, train.py]\n"
WORKERS = f"{OWN}strategy: MultiWorkerMirrored\n"
MEMORY, DEADLINE, USER, HOME = "chief.resources.limits.memory", "deadline", "runAsUser", "env"


def notes(folder: Path, text: str) -> list[str]:
    """Return the keys that `tfd check` notes for a file."""
    path = folder / "run.yaml"
    path.write_text(text)
    return [note.message.partition(": ")[0] for note in JobFile(path).notes()]


def tfd(*words: str) -> Result:
    return CliRunner().invoke(main, ["check", *words], catch_exceptions=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (STORAGE, []),
        (OWN, [MEMORY, DEADLINE, "retries", USER, HOME]),
        (SCRIPT, [MEMORY, DEADLINE, HOME]),
        (WORKERS, [MEMORY.replace("chief", "worker"), DEADLINE, "failure.retriesPerTask", USER, HOME]),
        (f"{STORAGE}args: [--epochs, '3']\n", []),
        (f"{OWN}state: archived\n", []),
    ],
)
def test_notes_are_about_custom_programs(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert notes(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("key", "text", "decided"),
    [
        (MEMORY, OWN, "chief: {resources: {limits: {memory: 4Gi}}}"),
        (MEMORY, OWN, "chief: {resources: {requests: {memory: 1Gi}}}"),
        (MEMORY, OWN, "chief: {resources: {limits: {memory: null}}}"),
        (MEMORY.replace("chief", "worker"), WORKERS, "worker: {resources: {limits: {memory: 4Gi}}}"),
        (DEADLINE, OWN, "deadline: 24h"),
        ("retries", OWN, "retries: 5"),
        ("retries", OWN, "failure: {permanentExitCodes: [1]}"),
        ("failure.retriesPerTask", WORKERS, "failure: {retriesPerTask: 0}"),
        (USER, OWN, "runAsUser: 65534"),
        (HOME, OWN, "env: [{name: KERAS_HOME, value: $(RUN_DIR)/keras}]"),
    ],
)
def test_a_file_that_decides_a_key_has_no_note_about_it(tmp_path: Path, key: str, text: str, decided: str) -> None:
    assert key in notes(tmp_path, text)
    assert key not in notes(tmp_path, f"{text}{decided}\n")


@pytest.mark.parametrize(
    "storage", ["{claim: runs}", "{create: {size: 1Gi}}", "{uri: gs://bucket/a}", "{ephemeral: true}"]
)
@pytest.mark.parametrize("command", ["[python, train.py]", "[]", "[/opt/bin/python, -m, trainer]"])
def test_end_that_nothing_records_is_noted(tmp_path: Path, storage: str, command: str) -> None:
    found = notes(tmp_path, f"storage: {storage}\ncommand: {command}\n")
    expected = {"[]": "command", "[python, train.py]": None if "c" in storage[1] else "storage.claim"}.get(command)
    assert [key for key in found if key in ("command", "storage.claim")] == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("image", "moves"),
    [
        ("reg.example.com:5000/team/train", True),
        ("train:latest", True),
        ("train:1.0", False),
        ("train:latest@sha256:" + 64 * "0", False),
        ("train@sha256:" + 64 * "0", False),
    ],
)
def test_image_that_moves_is_noted_unless_the_pull_policy_is_written(tmp_path: Path, image: str, moves: bool) -> None:
    for key in ("image: {}\n", "tensorboard: {{image: {}}}\n"):
        text = STORAGE + key.format(json.dumps(image))
        assert notes(tmp_path, text) == (["image" if key[0] == "i" else "tensorboard.image"] if moves else [])
        assert notes(tmp_path, f"{text}imagePullPolicy: IfNotPresent\n") == []


def test_image_of_a_tensorboard_that_is_off_is_not_noted(tmp_path: Path) -> None:
    assert notes(tmp_path, f"{STORAGE}tensorboard: {{enabled: false, image: board}}\n") == []


def test_noted_memory_is_that_of_the_chart() -> None:
    [chief] = of_kind(objects({"storage": {"claim": "runs"}}), "Job")
    [container] = chief["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"memory": DEFAULT_MEMORY}


def test_retries_in_a_note_are_those_of_the_chart(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(OWN)
    [note] = [each for each in JobFile(path).notes() if each.message.startswith("retries: ")]
    [chief] = of_kind(objects({"storage": {"claim": "runs"}}), "Job")
    assert f"up to {chief['spec']['backoffLimit']} times" in note.message


def test_note_points_at_its_block_else_at_the_program(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(f"{OWN}chief: {{gpus: 0}}\n")
    lines = {note.message.partition(": ")[0]: note.line for note in JobFile(path).notes()}
    assert lines == {MEMORY: 3, DEADLINE: 2, "retries": 2, USER: 2, HOME: 2}


def test_notes_refuse_nothing_and_follow_the_problems(tmp_path: Path) -> None:
    own, wrong = tmp_path / "own.yaml", tmp_path / "wrong.yaml"
    own.write_text(f"{OWN}deadline: 1h\n")
    done = tfd(str(own))
    assert (done.exit_code, done.stderr) == (0, "1 checked, 0 refused\n")
    assert done.stdout.startswith(f"{own}:2:1: note: {MEMORY}: ")
    wrong.write_text(f"{OWN}retries: -1\n")
    both = tfd(str(tmp_path))
    assert (both.exit_code, both.stderr) == (1, "2 checked, 1 refused\n")
    assert both.stdout.endswith(done.stdout)
    assert both.stdout.removesuffix(done.stdout).startswith(f"{wrong}:3:1: retries: got -1; ")
    assert both.stdout.count(": note: ") == done.stdout.count(": note: ")


def test_json_says_what_is_a_note(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(f"{SCRIPT}deadline: 1h\n")
    found = json.loads(tfd("--json", str(path)).stdout)
    assert [(each["level"], each["line"]) for each in found] == [("note", 2), ("note", 2)]
    path.write_text("storage: {}\n")
    assert [each["level"] for each in json.loads(tfd("--json", str(path)).stdout)] == ["refused"]


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_notes_of_any_accepted_file_are_one_line_each(path: Path) -> None:
    for note in JobFile(path).notes():
        assert note.message.count("\n") == 0
        assert len(str(note).removeprefix(str(path))) < 250
