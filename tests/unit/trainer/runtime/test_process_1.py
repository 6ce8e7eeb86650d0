"""A task in a container is not process 1, which the kernel protects from SIGKILL."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests import containers

BEGIN = """
import os, signal, sys, time
from trainer.runtime.process_1 import leave_process_1
leave_process_1()
"""
KILLED = """
if os.fork() == 0:
    os.kill(os.getppid(), signal.SIGKILL)
time.sleep(120)
"""
PASSES_ON = """
received = []
signal.signal(signal.SIGTERM, lambda *_: received.append("SIGTERM"))
os.kill(1, signal.SIGTERM)
while not received:
    time.sleep(0.01)
print(os.getpid() != 1, received)
sys.exit(75)
"""
ORPHAN = """
reader, writer = os.pipe()
if os.fork() == 0:
    if (orphan := os.fork()):
        os.write(writer, str(orphan).encode())
    os._exit(0)
os.wait()
orphan = os.read(reader, 100).decode()
while os.path.exists(f"/proc/{orphan}"):
    time.sleep(0.01)
print("reaped")
"""
SCRIPT_ENDS = "import os; print(os.getpid() != 1); raise SystemExit(9)"
SCRIPT_RECEIVES_SIGTERM = """
import os, signal, time
os.kill(1, signal.SIGTERM)
time.sleep(120)
"""


def test_task_that_another_process_kills_ends_its_container() -> None:
    assert containers.python("-c", BEGIN + KILLED).returncode == 137


def test_signals_of_the_kubelet_reach_the_task_and_its_exit_code_is_that_of_the_container() -> None:
    done = containers.python("-c", BEGIN + PASSES_ON)
    assert (done.returncode, done.stdout, done.stderr) == (75, "True ['SIGTERM']\n", "")


def test_orphans_are_reaped() -> None:
    done = containers.python("-c", BEGIN + ORPHAN)
    assert (done.returncode, done.stdout, done.stderr) == (0, "reaped\n", "")


def test_other_process_stays_as_it_is() -> None:
    program = f"import os\nbefore = os.getpid()\n{BEGIN}\nprint(os.getpid() == before)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("True\n", "")


def trainer(folder: Path, record: dict[str, Any], script: str) -> subprocess.CompletedProcess[str]:
    """Run `script` as a custom script of the trainer, in a container."""
    record["identity"]["strategy"] = "OneDevice"
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "script.py").write_text(script)
    return containers.python(
        "-m", "trainer", "--", str(folder / "script.py"),
        TRAINER_RECORD=str(folder / "run.json"),
        RUN_DIR=str(folder / record["run"]),
        TRAINER_TERMINATION_LOG=str(folder / "log"),
        TRAINER_GRACE_PERIOD="1",
    )  # fmt: skip


def test_trainer_in_a_container_reports_as_anywhere_else(tmp_path: Path, raw: dict[str, Any]) -> None:
    done = trainer(tmp_path, raw, SCRIPT_ENDS)
    assert (done.returncode, done.stdout) == (9, "True\n")
    assert json.loads((tmp_path / "log").read_text())["exitCode"] == 9


def test_trainer_in_a_container_ends_by_sigterm(tmp_path: Path, raw: dict[str, Any]) -> None:
    done = trainer(tmp_path, raw, SCRIPT_RECEIVES_SIGTERM)
    assert done.returncode == 143, done.stderr
    assert json.loads((tmp_path / "log").read_text())["exitCode"] == 143
