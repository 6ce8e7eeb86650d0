"""The guard before a custom program: each rule of guard.sh, with real processes under each shell of this machine."""

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests import containers
from tests.chart.rendering import CHART
from tfd import records
from trainer.storage import records as trainer_records

GUARD = CHART / "files" / "guard.sh"
RUN, HASH = "little", "sha256:" + 64 * "a"
DONE = {"run": RUN, "hash": HASH}
SHELLS = {"dash": ["dash"], "bash": ["bash", "--posix"], "busybox": ["busybox", "sh"]}
PATIENCE = 30.0
# The nobody of every Linux; root could write everywhere.
NOBODY = 65534


@dataclass
class Guarded:
    """One task of a run whose storage is a folder."""

    folder: Path
    shell: list[str]
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    @property
    def run_dir(self) -> Path:
        return self.folder / "runs" / RUN

    @property
    def marker(self) -> Path:
        return self.run_dir / "DONE"

    def file(self, name: str) -> Path:
        """A file that a program writes, outside the run directory."""
        return self.folder / name

    def write_done(self, text: str = json.dumps(DONE)) -> None:
        self.run_dir.mkdir(parents=True, exist_ok=True)
        self.marker.write_text(text)

    def start(
        self, mode: str, *command: str, index: int = 0, grace: int = 20, prefix: tuple[str, ...] = (), **options: Any
    ) -> subprocess.Popen[str]:
        config = self.folder / "etc"
        if not config.exists():
            config.mkdir()
            (config / "done.json").write_text(json.dumps(DONE))
            shutil.copy(GUARD, config)
            self.run_dir.parent.mkdir(exist_ok=True)
        env = {"PATH": os.environ["PATH"], "RUN_DIR": str(self.run_dir), "TASK_INDEX": str(index)}
        env |= {"TRAINER_GRACE_PERIOD": str(grace), "FOLDER": str(self.folder)} | options.pop("env", {})
        # A shell cannot catch signals that it ignores from its start, as in the background of another shell.
        signals = ("/usr/bin/env", "--default-signal=HUP,INT,QUIT")
        self.process = subprocess.Popen(
            [*signals, *prefix, *self.shell, str(config / "guard.sh"), mode, *command],
            env=env, cwd=self.folder, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True, **options,
        )  # fmt: skip
        return self.process

    def end(self) -> tuple[int, str]:
        """Wait for the end: exit code as a kubelet sees it, and output."""
        assert self.process is not None
        # Not until the end of the pipe, which a process that the program has left behind may hold.
        code = self.process.wait(PATIENCE)
        output = self.close()
        return 128 - code if code < 0 else code, output

    def run(self, mode: str, *command: str, **options: Any) -> tuple[int, str]:
        self.start(mode, *command, **options)
        return self.end()

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"{what} did not happen"
            time.sleep(0.02)

    def close(self) -> str:
        """End what is left, as the end of process 1 ends a container, and return the output."""
        if self.process is None:
            return ""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        output, _ = self.process.communicate()
        self.process = None
        return output


# The quick checks take one shell.
@pytest.fixture(params=[pytest.param(name, marks=[] if name == "dash" else pytest.mark.slow) for name in SHELLS])
def task(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Guarded]:
    shell = SHELLS[request.param]
    if shutil.which(shell[0]) is None:
        pytest.skip(f"no {shell[0]} here")
    guarded = Guarded(tmp_path, shell)
    yield guarded
    guarded.close()


def handles_sigterm(code: int) -> tuple[str, ...]:
    """A program that creates a file when it runs, and another one in its SIGTERM handler, which exits with `code`."""
    text = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(os.environ["FOLDER"])
def handle(*_):
    (folder / "handled").touch()
    os._exit(int(sys.argv[1]))
signal.signal(signal.SIGTERM, handle)
(folder / "running").touch()
time.sleep(600)
"""
    return sys.executable, "-c", text, str(code)


IGNORES_SIGTERM = ("sh", "-c", "trap '' TERM; : > running; while :; do sleep 0.1; done")


def test_success_of_the_leader_is_recorded_for_every_reader(task: Guarded) -> None:
    code, output = task.run("lead", "sh", "-c", "echo works")
    assert (code, output) == (0, "works\n")
    assert records.read(task.marker) == DONE
    assert trainer_records.read(str(task.marker), trainer_records.DONE) == DONE
    assert [each.name for each in task.run_dir.iterdir()] == ["DONE"]


@pytest.mark.parametrize("mode", ["lead", "follow", "peer"])
@pytest.mark.parametrize("indent", [None, 2], ids=["guard", "trainer"])
def test_task_of_a_run_that_is_done_starts_nothing(task: Guarded, mode: str, indent: int | None) -> None:
    task.write_done(json.dumps(DONE | {"step": 3, "metrics": {}}, indent=indent))
    code, output = task.run(mode, "sh", "-c", "echo started")
    assert (code, output) == (0, f"guard: the run was done already, see {task.marker}\n")


FOREIGN = {
    "another run": json.dumps(DONE | {"run": "littles"}),
    "another identity": json.dumps(DONE | {"hash": "sha256:" + 64 * "b"}),
    "no JSON": "done",
    "nothing": "",
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_done_of_something_else_counts_as_absent_and_is_replaced(task: Guarded, kind: str) -> None:
    task.write_done(FOREIGN[kind])
    code, output = task.run("lead", "sh", "-c", "echo started")
    assert (code, output) == (0, "started\n")
    assert records.read(task.marker) == DONE


@pytest.mark.parametrize("kind", ["link", "link to a folder", "folder", "pipe"])
def test_done_that_is_no_file_counts_as_absent_and_is_replaced(task: Guarded, kind: str) -> None:
    other = task.file("other")
    task.run_dir.mkdir(parents=True)
    if kind == "link":
        other.write_text(json.dumps(DONE))
    elif "folder" in kind:
        (task.marker if kind == "folder" else other).mkdir()
    else:
        os.mkfifo(task.marker)
    if "link" in kind:
        task.marker.symlink_to(other)
    code, output = task.run("lead", "sh", "-c", "echo started")
    assert (code, output) == (0, "started\n")
    assert not task.marker.is_symlink()
    assert records.read(task.marker) == DONE
    assert not other.is_dir() or not list(other.iterdir())


def test_link_in_place_of_the_temporary_file_is_never_followed(task: Guarded) -> None:
    other = task.file("other")
    other.write_text("of another run")
    task.run_dir.mkdir(parents=True)
    (task.run_dir / ".DONE.1").symlink_to(other)
    assert task.run("lead", "true")[0] == 0
    assert records.read(task.marker) == DONE
    assert other.read_text() == "of another run"


def test_done_that_the_program_wrote_itself_stays(task: Guarded) -> None:
    own = json.dumps(DONE | {"step": 7, "metrics": {"accuracy": 0.5}}, indent=2)
    task.file("own").write_text(own)
    assert task.run("lead", "sh", "-c", 'mkdir "$RUN_DIR" && cp own "$RUN_DIR/DONE"')[0] == 0
    assert task.marker.read_text() == own


@pytest.mark.parametrize("code", [1, 3, 75, 255])
def test_failure_of_the_leader_keeps_its_code_and_writes_nothing(task: Guarded, code: int) -> None:
    assert task.run("lead", "sh", "-c", f"exit {code}") == (code, "")
    assert not task.run_dir.exists()


def test_program_that_is_killed_or_missing_has_the_codes_of_a_container(task: Guarded) -> None:
    assert task.run("lead", "sh", "-c", "kill -9 $$")[0] == 137
    code, output = task.run("lead", "no-such-program")
    assert code == 127
    assert "no-such-program" in output
    task.file("text").write_text("no program")
    assert task.run("lead", "./text")[0] == 126
    assert not task.marker.exists()


def test_program_has_its_arguments_unchanged(task: Guarded) -> None:
    words = ["a b", "", "*", "$HOME", "line\nline", "--", "-n", "'\"\\"]
    code, output = task.run("lead", sys.executable, "-c", "import sys; print(sys.argv[1:])", *words)
    assert (code, output) == (0, f"{words}\n")


@pytest.mark.parametrize("name", ["is_done", "stop", "echo"])
def test_program_with_the_name_of_a_function_or_a_builtin_is_started(task: Guarded, name: str) -> None:
    if task.shell[0] == "busybox" and name == "echo":
        pytest.skip("a busybox may prefer its own tools to those of the PATH")
    program = task.file("bin") / name
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nprintf 'the program\\n'\n")
    program.chmod(0o755)
    code, output = task.run("lead", name, env={"PATH": f"{program.parent}:{os.environ['PATH']}"})
    assert (code, output) == (0, "the program\n")


@pytest.mark.parametrize("mode", ["lead", "follow", "peer"])
@pytest.mark.parametrize(("own", "seen"), [(5, 5), (143, 143), (0, 143)])
def test_task_that_received_sigterm_has_not_finished(task: Guarded, mode: str, own: int, seen: int) -> None:
    process = task.start(mode, *handles_sigterm(own))
    task.wait_for(task.file("running").exists, "the start")
    process.send_signal(signal.SIGTERM)
    assert task.end() == (seen, "")
    assert task.file("handled").exists()
    assert not task.marker.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGHUP])
def test_other_stop_signals_of_an_image_reach_the_program_as_sigterm(task: Guarded, number: signal.Signals) -> None:
    process = task.start("lead", *handles_sigterm(143))
    task.wait_for(task.file("running").exists, "the start")
    process.send_signal(number)
    assert task.end()[0] == 143
    assert task.file("handled").exists()


def test_exit_code_is_that_of_a_program_that_ends_at_once_after_a_signal(task: Guarded) -> None:
    # In bash, this function delays the guard after each signal until the program has ended.
    slow = {"BASH_FUNC_kill%%": '() { builtin kill "$@" && sleep 0.5; }'}
    process = task.start("lead", *handles_sigterm(5), env=slow)
    task.wait_for(task.file("running").exists, "the start")
    process.send_signal(signal.SIGHUP)
    assert task.end()[0] == 5


def test_follower_ends_with_the_run_and_its_sigterm_handler_runs(task: Guarded) -> None:
    task.start("lead:follow", *handles_sigterm(7), index=1)
    task.wait_for(task.file("running").exists, "the start")
    task.write_done()
    assert task.end() == (0, "guard: the run is done: ending the program with SIGTERM\n")
    assert task.file("handled").exists()


def test_follower_that_ignores_sigterm_is_killed_after_the_grace_period(task: Guarded) -> None:
    task.start("follow", *IGNORES_SIGTERM, grace=1)
    task.wait_for(task.file("running").exists, "the start")
    task.write_done()
    assert task.end()[0] == 0


@pytest.mark.parametrize("by", ["DONE", "SIGTERM"])
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_program_of_a_shell_without_exec_runs_its_sigterm_handler(task: Guarded, by: str, shell: str) -> None:
    words = handles_sigterm(0)
    process = task.start("follow", shell, "-c", '"$@"\necho after', "script", *words)
    task.wait_for(task.file("running").exists, "the start")
    task.write_done() if by == "DONE" else process.send_signal(signal.SIGTERM)
    code, output = task.end()
    assert code == (0 if by == "DONE" else 143)
    assert "after" not in output
    assert task.file("handled").exists()


@pytest.mark.parametrize("mode", ["follow", "peer"])
def test_task_that_the_end_of_the_leader_fails_ends_with_0(task: Guarded, mode: str) -> None:
    task.start(mode, "sh", "-c", ": > failing; exit 1")
    task.wait_for(task.file("failing").exists, "the failure")
    task.write_done()
    assert task.end()[0] == 0


@pytest.mark.parametrize("mode", ["follow", "peer"])
@pytest.mark.parametrize("code", [0, 1])
def test_task_that_ends_before_the_run_keeps_its_code(task: Guarded, mode: str, code: int) -> None:
    assert task.run(mode, "sh", "-c", f"exit {code}") == (code, "")
    assert not task.marker.exists()


def test_peer_is_ended_by_no_marker(task: Guarded) -> None:
    task.start("lead:peer", "sh", "-c", ": > running; sleep 2; echo finished", index=1)
    task.wait_for(task.file("running").exists, "the start")
    task.write_done()
    assert task.end() == (0, "finished\n")


@pytest.mark.parametrize("index", [0, 1])
def test_only_the_first_task_of_a_leading_role_leads(task: Guarded, index: int) -> None:
    assert task.run("lead:follow", "true", index=index)[0] == 0
    assert task.marker.exists() == (index == 0)


def test_leader_waits_for_storage_that_fails_for_a_moment(task: Guarded) -> None:
    script = ': > "$RUN_DIR"; (sleep 1.5; rm "$RUN_DIR") &'
    assert task.run("lead", "sh", "-c", script)[0] == 0
    assert records.read(task.marker) == DONE


@pytest.mark.slow
def test_leader_whose_success_cannot_be_recorded_exits_with_75_and_words(task: Guarded) -> None:
    code, output = task.run("lead", "sh", "-c", ': > "$RUN_DIR"')
    assert code == 75
    assert f"guard: {task.marker}: got a failed write; expected writable storage. " in output


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start a process of another user")
def test_leader_starts_nothing_without_the_right_to_record_its_end(task: Guarded, tmp_path: Path) -> None:
    folders = itertools.takewhile(lambda each: each != Path(tempfile.gettempdir()), (tmp_path, *tmp_path.parents))
    for folder in folders:
        folder.chmod(0o755)
    code, output = task.run("lead", "sh", "-c", "echo started", user=NOBODY, group=NOBODY, extra_groups=[])
    assert code == 2
    assert f"guard: RUN_DIR: got {task.run_dir}, which cannot be written; expected a writable directory" in output
    assert "started" not in output
    assert task.run("follow", "true", user=NOBODY, group=NOBODY, extra_groups=[])[0] == 0


@pytest.mark.parametrize("tool", ["mkdir", "mv", "sleep"])
def test_image_without_a_tool_is_refused_by_name(task: Guarded, tool: str) -> None:
    programs = task.file("bin")
    programs.mkdir()
    for name in {"mkdir", "mv", "sleep"} - {tool}:
        (programs / name).symlink_to(str(shutil.which(name)))
    [first, *rest] = task.shell
    task.shell = [str(shutil.which(first)), *rest]
    if first == "busybox":
        pytest.skip("the tools of busybox are in its shell")
    code, output = task.run("lead", "/bin/true", env={"PATH": str(programs)})
    assert code == 127
    assert f"guard: image: got no {tool}; expected sh, mkdir, mv and sleep. " in output


@pytest.mark.parametrize("by", ["DONE", "SIGTERM"])
def test_guard_is_process_1_of_a_container(task: Guarded, by: str) -> None:
    """Process 1 has no default signal handlers, reaps what others leave, and ends all by its end."""
    words = containers.namespaces()
    orphans = 'for n in 1 2 3; do (sleep 0.1 & ); done; setsid sh -c ": > away; sleep 600" & "$@"; echo after'
    process = task.start("follow", "sh", "-c", orphans, "script", *handles_sigterm(0), prefix=words)
    task.wait_for(lambda: task.file("running").exists() and task.file("away").exists(), "the start")
    if by == "DONE":
        task.write_done()
    else:
        [inside] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(inside), signal.SIGTERM)
    code, output = task.end()
    assert code == (0 if by == "DONE" else 143), output
    assert task.file("handled").exists()
