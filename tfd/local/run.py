"""`tfd run`: from a job file to a finished run on this machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from tfd.jobfile import helm
from tfd.jobfile.jobfile import JobFile
from tfd.local import network
from tfd.local.pods import Pod, PodError, read_pods
from tfd.local.processes import Layout, cluster_addresses, place
from tfd.local.progress import LogTail, read_json
from tfd.local.supervisor import POLL_SECONDS, Supervisor, Task
from tfd.local.view import View
from tfd.text import plain

INTERRUPTED = 130
KILL_AT = 2  # so many interrupts


class RunError(Exception):
    """The run can't be started; the message says what to do."""


@dataclass(frozen=True)
class Result:
    """How a run ended."""

    run: str
    exit_code: int
    """0, the exit code of the task that failed, or INTERRUPTED."""
    seconds: float
    tasks: tuple[Task, ...]
    failed: Task | None
    last_lines: tuple[str, ...]
    """The end of the failed task's log."""
    run_dir: Path | None
    state_dir: Path
    done: dict[str, Any]
    """The content of DONE; empty for a run that did not finish or keeps none."""
    already_done: bool
    """DONE was there before this call."""


@dataclass(frozen=True)
class Plan:
    """A run that is ready to start."""

    job: JobFile
    layout: Layout
    pods: list[Pod]

    @property
    def needs_network(self) -> bool:
        """Whether a task needs more of the network than the other tasks: a bucket, or code from a git server."""
        containers = [container for pod in self.pods for container in pod.containers]
        return any(value.startswith(("gs://", "https://")) for each in containers for value in each.env.values())


def plan(job: JobFile, root: Path) -> Plan:
    """Render `job`, whose shared storage `root` stands for.

    Args:
        job: a job file without problems.
        root: stands for the run's shared storage.

    Raises:
        RunError, PodError, HelmError: it can't run here; the message says why.

    """
    pods = read_pods(helm.render(job.run, job.team, job.path), _from_shell)
    if not pods:
        raise RunError(f"{job.path}: renders no Job: a board (strategy: None) or an archived run trains nothing")
    if any(pod.suspended for pod in pods):
        raise RunError(f'{job.path}: state: got "suspended": its Jobs start no pod; set active to run it')
    return Plan(job, Layout(root.absolute(), job.run), pods)


@contextlib.contextmanager
def only_one(layout: Layout) -> Iterator[None]:
    """Hold the run for this process: two at once would train into one directory.

    Raises:
        RunError: another `tfd run` of this run is going on.

    """
    layout.state.mkdir(parents=True, exist_ok=True)
    with (layout.state / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise RunError(
                f"{layout.run} is running here already (pid {lock.read().strip()}): wait or stop it"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def execute(ready: Plan, view: View) -> Result:
    """Run all tasks to their end, showing them in `view`. Ctrl-C or SIGTERM stops them with a checkpoint."""
    started = time.monotonic()
    addresses = network.loopback_addresses(cluster_addresses(ready.pods))
    processes = place(ready.pods, ready.layout, addresses)
    tails = [LogTail(process) for process in processes]
    for tail in tails:
        tail.skip_to_end()
    run_dir = processes[0].run_dir
    already_done = run_dir is not None and (run_dir / "DONE").exists()
    followed = {tail.process.pod.task: tail for tail in tails}

    def show_log(name: str) -> None:
        for line in followed[name].new_lines():
            view.line(name, line)

    def say(name: str, event: str) -> None:
        show_log(name)  # a task's last words come before its end
        view.event(name, event)

    def show() -> None:
        for name in followed:
            show_log(name)
        view.update(supervisor.tasks, tails, read_json(run_dir and run_dir / "status.json"))

    supervisor = Supervisor(processes, ready.layout.state / "tasks.json", say)
    with view:
        _supervise(supervisor, show, view)
    failed = supervisor.cause
    return Result(
        run=ready.job.run,
        exit_code=_exit_code(supervisor),
        seconds=time.monotonic() - started,
        tasks=tuple(supervisor.tasks),
        failed=failed,
        last_lines=tuple(_log_end(failed.process.log)) if failed else (),
        run_dir=run_dir,
        state_dir=ready.layout.state,
        done=read_json(run_dir and run_dir / "DONE"),
        already_done=already_done,
    )


def _supervise(supervisor: Supervisor, show: Callable[[], None], view: View) -> None:
    """Step until every task has ended; the first interrupt stops the run, the second kills it."""
    with _interrupts() as interrupts:
        try:
            while not supervisor.over and len(interrupts) < KILL_AT:
                if interrupts and supervisor.stopping is None:
                    supervisor.stop()
                    view.event("tfd", "stopping: the tasks save a checkpoint; once more kills them")
                supervisor.step()
                show()
                time.sleep(POLL_SECONDS)
        finally:
            supervisor.kill()
            supervisor.write_state()


def _exit_code(supervisor: Supervisor) -> int:
    if supervisor.cause is not None:
        return supervisor.cause.exit_code or 1
    if supervisor.stopping is not None and any(task.exit_code != 0 for task in supervisor.tasks):
        return INTERRUPTED
    return 0


@contextlib.contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM instead of dying of them; the list grows by each that comes."""
    received: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        received.append(number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _from_shell(variable: str, name: str, key: str) -> str:
    if variable in os.environ:
        return os.environ[variable]
    raise PodError(f"{variable} comes from {name}/{key} in the cluster: export {variable}=... to run here")


def delete(layout: Layout) -> None:
    """Delete what an earlier run of this name left, but only what a trainer of this run has made.

    Raises:
        RunError: the directory holds something else.

    """
    run_dir = layout.root / layout.run
    if run_dir.exists() and read_json(run_dir / "run.json").get("run") != layout.run and any(run_dir.iterdir()):
        raise RunError(f"{run_dir} was not made by a run called {layout.run}: delete it yourself, or use --dir")
    shutil.rmtree(run_dir, ignore_errors=True)
    for path in layout.state.glob("*"):
        if path.name != "lock":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _log_end(log: Path, lines: int = 15) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return [plain(line) for line in log.read_text(errors="replace").splitlines()[-lines:]]
    return []
