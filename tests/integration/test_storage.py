"""What a storage can do to a run: full, read-only, half-written checkpoints, two chiefs."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.conftest import Recovered
from tests.integration.faults import MountedRun, ends_well, hanging, job, log_shows, resumes_training, starts, trains
from tests.integration.local_run import LocalRun, gone

pytestmark = pytest.mark.processes

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="mounts a file system of its own")


def test_damaged_and_incomplete_checkpoints_are_skipped(local_run: LocalRun) -> None:
    steps = 500
    local_run.write(job("OneDevice", steps, trainer="keepCheckpoints: 5", failure="{maxInPlaceRestarts: 0}"))
    local_run.start("--plain")
    trains(local_run, saved=100)
    local_run.kill("chief-0")
    checkpoints = local_run.run_dir / "checkpoints"
    newest, second, third = sorted(
        (int(path.stem.removeprefix("ckpt-")) for path in checkpoints.glob("*.index")), reverse=True
    )[:3]
    (checkpoints / f"ckpt-{newest}.index").unlink()
    data = checkpoints / f"ckpt-{second}.data-00000-of-00001"
    os.truncate(data, data.stat().st_size // 2)
    resumes_training(local_run, "chief-0", 1)
    assert starts(local_run, "chief-0")[1] == third
    log = local_run.log("chief-0")
    assert f"checkpoint {newest} is incomplete and is ignored" in log
    assert f"checkpoint {second} is damaged: restoring the previous one" in log
    ends_well(local_run, steps)


@needs_root
def test_training_continues_on_full_storage_and_saves_once_there_is_room(tmp_path: Path, recovered: Recovered) -> None:
    run = MountedRun(tmp_path)
    try:
        run.write(job("OneDevice", 20000))
        run.start("--plain")
        trains(run)
        filler = run.run_dir / "filler"
        fill(filler)
        log_shows(run, "chief-0", "training continues: the storage is full")
        assert not list((run.run_dir / "checkpoints").glob("*_temp*")), "what a failed save leaves is deleted"
        filler.unlink()
        began = time.monotonic()
        saved = run.log("chief-0").count("saved checkpoint")
        recovered("chief", "storage-full", log_shows(run, "chief-0", "saved checkpoint", saved + 1) - began)
        assert len(starts(run, "chief-0")) == 1, "training went on"
        stop(run)
    finally:
        run.close()


@needs_root
@pytest.mark.slow
def test_storage_that_stays_full_ends_the_run_with_75_without_loss(tmp_path: Path) -> None:
    run = MountedRun(tmp_path)
    try:
        run.write(job("OneDevice", 400, failure="{maxInPlaceRestarts: 1}", retries="0"))
        run.start("--plain")
        trains(run)
        fill(run.run_dir / "filler")
        saved = run.saved_step()
        code, out, err = run.finish()  # and with its process its storage is unreachable
        assert code == 75, f"{out}\n{err}"
        assert f"checkpoints/ckpt-{saved}" in out, "it went on from the last checkpoint that found room"
        assert "exit 75: the storage is full" in out
    finally:
        run.close()


def stop(run: LocalRun) -> None:
    """Ctrl-C."""
    assert run.process is not None
    run.process.send_signal(signal.SIGINT)
    assert run.finish()[0] == 130


def fill(path: Path) -> None:
    """Take all the room there is."""
    with pytest.raises(OSError, match="No space left"), path.open("wb", buffering=0) as file:
        while True:
            file.write(b"0" * 65536)


@needs_root
def test_read_only_run_directory_is_named(tmp_path: Path) -> None:
    run = MountedRun(tmp_path, options="ro")
    try:
        run.write(job("OneDevice", 100))
        code, out, err = run.run("--plain")
        assert code == 2, f"{out}\n{err}"
        assert "RUN_DIR: got " in out
        assert "runs/little', which cannot be written (Read-only file system)" in out
    finally:
        run.close()


def second_chief(run: LocalRun, pid: int) -> subprocess.Popen[str]:
    """Start the chief with process id `pid` a second time, as by mistake."""
    environ = Path(f"/proc/{pid}/environ").read_text().split("\0")
    command = Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
    env = dict(each.split("=", 1) for each in environ if each)
    log = run.state / "little-second-0.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        return subprocess.Popen(command, env=env, cwd=run.folder, text=True, stdout=file, stderr=file)


def test_second_chief_is_refused_and_a_dead_chief_is_replaced(local_run: LocalRun, recovered: Recovered) -> None:
    local_run.write(job("OneDevice", 20000))
    local_run.start("--plain")
    trains(local_run)
    second = second_chief(local_run, local_run.pid("chief-0"))
    assert second.wait(120) == 2, local_run.log("second-0")
    assert "another chief (" in local_run.log("second-0")
    assert local_run.status()["state"] == "running"
    local_run.kill("chief-0")
    began = time.monotonic()
    recovered("chief", "kill", resumes_training(local_run, "chief-0", 1) - began)
    stop(local_run)


@pytest.mark.slow
def test_hung_chief_leaves_the_run_to_its_replacement(local_run: LocalRun) -> None:
    local_run.write(job("OneDevice", 700, retries="0"))
    local_run.start("--plain")
    trains(local_run)
    with hanging(local_run, "chief-0") as pid:
        second = second_chief(local_run, pid)
        log_shows(local_run, "second-0", "taking over")
        log_shows(local_run, "second-0", "training from step")
    log_shows(local_run, "chief-0", "exit 75: another chief")
    assert second.wait(240) == 0, local_run.log("second-0")
    assert local_run.done()["step"] == 700
    assert gone(pid)
    local_run.finish()
