"""Starts the processes of a run, restarts them by the rules of their Kubernetes Jobs, and ends them."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from tfd.kubernetes import leader
from tfd.local.pods import Pod
from tfd.local.processes import Process

POLL_SECONDS = 0.1
# Time in which tasks exit by themselves once the run has ended. Those that are left receive SIGTERM.
LEAVE_SECONDS = 30.0
FAILED_LEAVE_SECONDS = 5.0
_PR_SET_PDEATHSIG = 1


class State(Enum):
    """What a task is doing."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass
class Task:
    """One task and its state so far."""

    process: Process
    state: State = State.WAITING
    attempts: int = 0
    exit_code: int | None = None
    """Of the newest attempt that has ended; 128 + N when signal N ended it."""
    ended: float | None = None
    """Monotonic seconds."""
    start_at: float = 0.0
    container: int = 0
    """Index of the pod's container that runs."""
    popen: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Short name for people: ``worker-0``."""
        return self.pod.task

    @property
    def pod(self) -> Pod:
        """The pod of the task."""
        return self.process.pod

    @property
    def role(self) -> str:
        """Role of the task."""
        return self.pod.role

    @property
    def over(self) -> bool:
        """True when no further attempt comes."""
        return self.state in (State.SUCCEEDED, State.FAILED)


class Supervisor:
    """The Job controller and the kubelet of one run on one machine."""

    def __init__(self, processes: Sequence[Process], state_file: Path, report: Callable[[str, str], None]) -> None:
        """Prepare a run.

        Args:
            processes: one per task.
            state_file: tasks.json, rewritten at every change: pids and states for tools and tests.
            report: called with (task name, event) when a task starts or ends.

        """
        self.tasks = [Task(process) for process in processes]
        self.failed: Task | None = None
        """The task that ended the run, if one did."""
        self.stopping: float | None = None
        """When the tasks received SIGTERM (monotonic seconds)."""
        self._state_file, self._report = state_file, report
        self._started = time.monotonic()
        self._ended: float | None = None

    @property
    def cause(self) -> Task | None:
        """The task whose log has the reason of the failure: the chief if it failed, else the first task that failed."""
        if self.failed is None:
            return None
        final = [task for task in self.tasks if task.exit_code in task.pod.permanent_exit_codes]
        return next((task for task in final if task.role == "chief"), self.failed)

    @property
    def over(self) -> bool:
        """True when no task will run again."""
        return all(task.over for task in self.tasks)

    def step(self) -> None:
        """Start, collect, restart and end the tasks that are due. Call it every POLL_SECONDS."""
        changed = False
        for task in self.tasks:
            if task.state is State.RUNNING:
                changed |= self._collect(task)
            elif task.state is State.WAITING and time.monotonic() >= task.start_at:
                if self.stopping is None and self.failed is None:
                    self._start(task)
                else:
                    task.state = State.FAILED
                changed = True
        self._end_when_due()
        if changed:
            self.write_state()

    def stop(self) -> None:
        """Send SIGTERM to every task; `step` kills it after its grace period."""
        if self.stopping is None:
            self.stopping = time.monotonic()
            self._signal_all(signal.SIGTERM)

    def kill(self) -> None:
        """Kill every task and wait for its end."""
        self._signal_all(signal.SIGKILL)
        for task in self.tasks:
            if task.popen is not None and task.state is State.RUNNING:
                task.popen.wait()
                self._collect(task, final=True)

    def write_state(self) -> None:
        """Write tasks.json atomically."""
        tasks = {
            task.name: {
                "pid": task.popen.pid if task.popen and task.state is State.RUNNING else None,
                "state": task.state.value,
                "attempts": task.attempts,
                "exitCode": task.exit_code,
            }
            for task in self.tasks
        }
        temporary = self._state_file.with_suffix(".tmp")
        temporary.write_text(json.dumps({"supervisor": os.getpid(), "tasks": tasks}, indent=1))
        temporary.replace(self._state_file)

    def _start(self, task: Task) -> None:
        process = task.process
        for path in process.scratch:
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
        process.termination_log.unlink(missing_ok=True)
        task.attempts += 1
        task.container = 0
        self._start_container(task)

    def _start_container(self, task: Task) -> None:
        process = task.process
        container = process.containers[task.container]
        try:
            with process.log.open("ab") as log:
                task.popen = subprocess.Popen(
                    container.command,
                    env=dict(container.env),
                    cwd=container.folder or None,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C reaches tfd only, which then signals the tasks
                    preexec_fn=_before_start(),  # noqa: PLW1509 - this process has one thread
                )
        except OSError as error:  # a container runtime reports 127 and 126
            code = 127 if isinstance(error, FileNotFoundError) else 126
            with process.log.open("a") as log_text:
                log_text.write(f"{error.filename or container.command[0]}: {error.strerror}\n")
            self._ended_with(task, code, final=False)
            return
        task.state = State.RUNNING
        what = "started" if task.container == len(process.containers) - 1 else "init container started"
        self._report(task.name, what if task.attempts == 1 else f"{what} (attempt {task.attempts})")

    def _collect(self, task: Task, *, final: bool = False) -> bool:
        """Record the end of a running task, and return whether it has ended."""
        code = task.popen.poll() if task.popen else None
        if code is None:
            return False
        if code == 0 and not final and self.stopping is None and task.container + 1 < len(task.process.containers):
            task.container += 1
            self._start_container(task)
            return True
        self._ended_with(task, 128 - code if code < 0 else code, final=final)
        return True

    def _ended_with(self, task: Task, code: int, *, final: bool) -> None:
        task.exit_code, task.ended = code, time.monotonic()
        self._signal(task, signal.SIGKILL)  # children of the command, as when a container ends
        pod = task.pod
        if code == 0:
            task.state = State.SUCCEEDED
            self._report(task.name, "exited with 0")
        elif final or self.stopping is not None or self.failed is not None:
            task.state = State.FAILED
            self._report(task.name, f"exited with {code}")
        elif code in pod.permanent_exit_codes or task.attempts > pod.retries:
            task.state = State.FAILED
            is_final = code in pod.permanent_exit_codes
            if is_final or not self._others_continue(task):
                self.failed = self.failed or task
            why = "not retried" if is_final else f"attempt {task.attempts} was the last"
            self._report(task.name, f"exited with {code}: {why}")
        else:
            pause = min(2.0 ** (task.attempts - 1), 30.0)
            task.state, task.start_at = State.WAITING, task.ended + pause
            self._report(
                task.name, f"exited with {code}: restarts in {pause:.0f} s (retry {task.attempts} of {pod.retries})"
            )

    def _end_when_due(self) -> None:
        now = time.monotonic()
        if self._ended is None and (self.failed is not None or self._leaders_done()):
            self._ended = now
        if self._ended is not None and self.stopping is None:
            patience = FAILED_LEAVE_SECONDS if self.failed else LEAVE_SECONDS
            if now - self._ended > patience and any(self._must_leave(task) for task in self.tasks):
                self.stop()
        for task in self.tasks:
            pod = task.pod
            if task.state is not State.RUNNING or task.popen is None:
                continue
            if self.stopping is not None and now - self.stopping > pod.grace_period:
                self._signal(task, signal.SIGKILL)
            if self.stopping is None and now - self._started > pod.deadline:
                self._report(task.name, f"the deadline of {pod.deadline} s is over")
                self.failed = self.failed or task
                self.stop()

    def _must_leave(self, task: Task) -> bool:
        """Return whether the task ends with the run; the evaluator may still evaluate the last checkpoint."""
        return task.state is State.RUNNING and (self.failed is not None or task.role != "evaluator")

    def _others_continue(self, task: Task) -> bool:
        """Return whether the run continues without a task that has no retries left."""
        others = [each for each in self.tasks if each.role == task.role and each is not task]
        return task.pod.is_expendable and any(each.state is not State.FAILED for each in others)

    def _leaders_done(self) -> bool:
        """Return whether the Job of the leader is complete: the chief has succeeded, or enough workers have."""
        leading = leader({task.role for task in self.tasks})
        leaders = [task for task in self.tasks if task.role == leading]
        return sum(task.state is State.SUCCEEDED for task in leaders) >= leaders[0].pod.successes

    def _signal_all(self, number: signal.Signals) -> None:
        for task in self.tasks:
            if task.state is State.RUNNING:
                self._signal(task, number)

    @staticmethod
    def _signal(task: Task, number: signal.Signals) -> None:
        """Signal a task: SIGTERM reaches only its first process, as from the kubelet, and SIGKILL its children too."""
        if task.popen is not None:
            send = os.killpg if number is signal.SIGKILL else os.kill
            with contextlib.suppress(ProcessLookupError):
                send(task.popen.pid, number)


def _before_start() -> Callable[[], None] | None:
    """Return what a task does before it starts: nothing where only Linux has the call."""
    return _die_with_parent if sys.platform == "linux" else None


def _die_with_parent() -> None:
    """Have the kernel stop the task if tfd is killed, so that no training continues unseen."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
