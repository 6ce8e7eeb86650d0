"""`tfd run`: from a job file to a finished run on this machine."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from tfd import records
from tfd.jobfile.jobfile import JobFile
from tfd.local import network
from tfd.local.pods import Mount, Pod, read_pods
from tfd.local.processes import Layout, absent, cluster_addresses, place
from tfd.local.progress import LogTail
from tfd.local.supervisor import POLL_SECONDS, Supervisor, Task
from tfd.local.view import View
from tfd.text import plain, refusal, shown

INTERRUPTED = 130
STOPPING = "Stopping: saving a checkpoint. Press Ctrl-C again to kill all tasks."
KILL_AT = 2
"""Number of interrupts that kills the tasks."""
METRICS_PORT = "TRAINER_METRICS_PORT"
"""The variable with which the trainer serves metrics."""
_WORDS = {"persistentVolumeClaim": "the claim", "secret": "the Secret", "configMap": "the ConfigMap"}


class RunError(Exception):
    """The run cannot start; the message names the reason and the fix."""


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
    """Whether the DONE marker existed before this call."""


@dataclass(frozen=True)
class Plan:
    """A run that is ready to start."""

    job: JobFile
    layout: Layout
    pods: list[Pod]
    metrics: bool = False
    """Whether the leader serves metrics."""

    def done(self, run_dir: Path | None) -> dict[str, Any]:
        """Return the content of the DONE marker; empty if this run with this identity is not done.

        The marker of another run or of another identity does not end this run.
        """
        found = records.read(run_dir and run_dir / "DONE")
        [text] = [each["data"]["run.json"] for each in self.job.objects if "run.json" in each.get("data", {})]
        record = json.loads(text)
        return found if all(found.get(name) == record[name] for name in ("run", "hash")) else {}

    @property
    def needs_network(self) -> bool:
        """Whether a run needs more of the network than its tasks: readers of metrics, a bucket or a git server."""
        containers = [container for pod in self.pods for container in pod.containers]
        return self.metrics or any(
            value.startswith(("gs://", "https://")) for each in containers for value in each.env.values()
        )


def run(job: JobFile, root: Path, view: View, *, fresh: bool, isolate: bool | None, metrics: bool = False) -> Result:
    """Run a job file on this machine, from its check to its end.

    Args:
        job: the job file.
        root: folder that stands for the run's shared storage.
        view: shows the run.
        fresh: delete the results of an earlier run of this name first.
        isolate: whether the run gets its own network namespace; None: where that is possible.
        metrics: whether the leader serves the metrics that the job file asks for.

    Raises:
        RunError, HelmError: it cannot run here; the message names the reason and the fix.

    """
    if problems := job.problems():
        raise RunError("\n".join(map(str, problems)))
    ready = plan(job, root, metrics=metrics)
    with only_one(ready.layout):
        if fresh:
            delete(ready.layout)
        _isolate(isolate, ready.needs_network, view)
        return execute(ready, view)


def plan(job: JobFile, root: Path, *, metrics: bool = False) -> Plan:
    """Return a run that is ready to start. Takes the arguments of `run` and raises its errors."""
    pods = read_pods(job.objects, _from_shell)
    if metrics and not any(METRICS_PORT in pod.env for pod in pods):
        fix = "Set metrics.enabled: true in the job file, or remove --metrics."
        raise RunError(refusal("--metrics", "a job file without metrics", "metrics.enabled: true", fix))
    if not metrics:
        pods = [without_metrics(pod) for pod in pods]
    if not pods:
        fix = "Set state: active, and a strategy that trains."
        raise RunError(refusal(str(job.path), "no Kubernetes Job", "an active run that trains", fix))
    if any(pod.suspended for pod in pods):
        message = refusal("state", shown("suspended"), shown("active"), "Set state: active to run it here.")
        raise RunError(f"{job.path}: {message}")
    if not all(pod.containers[-1].command for pod in pods):
        fix = "Set command to the entry point of the image, which `docker image inspect` shows."
        raise RunError(refusal("command", "[]", "a program, because this machine has no image", fix))
    if any(pod.needs_trainer for pod in pods):
        require_trainer()
    for folder in (pod.containers[-1].folder for pod in pods if not pod.mounts_folder):
        if folder and not Path(folder).is_dir():
            fix = "Create the folder, or link it to that of your code."
            raise RunError(refusal("workingDir", shown(folder), "a folder of this machine", fix))
    layout = Layout(root.absolute(), job.run)
    if missing := absent(pods, layout):
        raise RunError("\n".join(_missing(path, mount) for path, mount in missing.items()))
    return Plan(job, layout, pods, metrics)


def require_trainer() -> None:
    """Raise `RunError` if TensorFlow, which the trainer needs, is not installed."""
    if importlib.util.find_spec("tensorflow") is None:
        fix = "Install tf-distributed[trainer] in the environment of tfd."
        raise RunError(refusal("TensorFlow", "no package", "an installed package", fix))


def without_metrics(pod: Pod) -> Pod:
    """Return a pod that serves no metrics, because other runs of this machine may use the same port."""
    *init, task = pod.containers
    env = {name: value for name, value in task.env.items() if name != METRICS_PORT}
    return replace(pod, containers=(*init, replace(task, env=env)))


def _missing(path: Path, mount: Mount) -> str:
    rule = f"the files that the cluster keeps in {_WORDS[mount.kind]} {mount.name}"
    fix = "Create this folder with the files, or a link to a folder that has them."
    return refusal(mount.path, f"no folder {path}", rule, fix)


def _isolate(wanted: bool | None, needs_network: bool, view: View) -> None:
    """Give the run its own network namespace if possible, else show why it has none."""
    if wanted is False or (wanted is None and needs_network):
        why = "--no-isolate" if wanted is False else "the run needs it for metrics, gs:// or https://"
    else:
        error = network.isolate()
        if error is None:
            return
        if wanted:
            rule = "a machine that allows network namespaces"
            raise RunError(refusal("--isolate", shown(error), rule, "Set --no-isolate."))
        why = f"no network namespace here: {error}"
    view.event("tfd", f"TensorFlow's ports are open to the network during this run ({why})")


@contextlib.contextmanager
def only_one(layout: Layout) -> Iterator[None]:
    """Lock the run for this process, so that no two processes train into one directory.

    Raises:
        RunError: another `tfd run` of this run is active.

    """
    layout.state.mkdir(parents=True, exist_ok=True)
    with (layout.state / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            got = f"a second tfd run, the first is process {lock.read().strip()}"
            message = refusal(
                str(layout.root / layout.run), got, "one tfd run at a time", "Wait for the first or stop it."
            )
            raise RunError(message) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def execute(ready: Plan, view: View) -> Result:
    """Run all tasks to their end and show them in `view`. Ctrl-C or SIGTERM stops them with a checkpoint."""
    started = time.monotonic()
    addresses = network.loopback_addresses(cluster_addresses(ready.pods))
    processes = place(ready.pods, ready.layout, addresses)
    tails = [LogTail(process) for process in processes]
    for tail in tails:
        tail.skip_to_end()
    run_dir = processes[0].run_dir
    already_done = bool(ready.done(run_dir))
    followed = {process.pod.task: tail for process, tail in zip(processes, tails, strict=True)}

    def show_log(name: str) -> None:
        for line in followed[name].new_lines():
            view.line(name, line)

    def report(name: str, event: str) -> None:
        show_log(name)  # the last lines of a task come before the message about its end
        view.event(name, event)

    def show() -> None:
        for name in followed:
            show_log(name)
        view.update(supervisor.tasks, tails, records.read(run_dir and run_dir / "status.json"))

    supervisor = Supervisor(processes, ready.layout.state / "tasks.json", report)
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
        done=ready.done(run_dir),
        already_done=already_done,
    )


def _supervise(supervisor: Supervisor, show: Callable[[], None], view: View) -> None:
    """Step until every task has ended; the first interrupt stops the run, the second kills it."""
    with _interrupts() as interrupts:
        try:
            while not supervisor.over and len(interrupts) < KILL_AT:
                if interrupts and supervisor.stopping is None:
                    supervisor.stop()
                    view.event("tfd", STOPPING)
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
    """Collect SIGINT and SIGTERM in a list, so that they do not end this process."""
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
    rule = f"the value that the cluster keeps in {name}/{key}"
    raise RunError(refusal(variable, "nothing", rule, f"Set it in this shell: export {variable}=VALUE."))


def delete(layout: Layout) -> None:
    """Delete the results of an earlier run of this name, and nothing else.

    Raises:
        RunError: the run directory contains something else.

    """
    run_dir = layout.root / layout.run
    # The trainer writes run.json, and a custom program leaves only DONE.
    owners = {records.read(run_dir / name).get("run") for name in ("run.json", "DONE")}
    if run_dir.exists() and layout.run not in owners and any(run_dir.iterdir()):
        fix = "Delete it yourself, or set --dir."
        raise RunError(refusal(str(run_dir), "files of something else", f"the run directory of {layout.run}", fix))
    shutil.rmtree(run_dir, ignore_errors=True)
    for path in layout.state.glob("*"):
        if path.name != "lock":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _log_end(log: Path, lines: int = 15) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return [plain(line) for line in log.read_text(errors="replace").splitlines()[-lines:]]
    return []
