"""Check the end of a run whose tasks have changed, and that no two groups were active at the same time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.soak.changes import Changes
from tests.soak.observer import Observer
from tests.soak.tasks import RETRIED, Tasks

_SAVED = re.compile(r"saved checkpoint (\d+) in ")
_GROUP = re.compile(r"starting with \d+ of \d+ workers: (.*)")
_STEP = re.compile(r"step \d+/\d+ loss")
_RESUMED_SECONDS = 5.0
"""Seconds in which a leader that hung notices that it has lost the lease: two renewals and a busy machine."""
_SAME_SAVE_SECONDS = 60.0
_ACCURACY = 0.02
"""The difference in accuracy that the order of the data may cause: 7 of 359 images."""


@dataclass(frozen=True, slots=True)
class Log:
    """What one process of a task has logged."""

    task: str
    pid: int
    lines: list[tuple[float, str]]
    """(time, message) of each line."""


def problems(tasks: Tasks, changes: Changes, observer: Observer, reference: float) -> list[str]:
    """Return the differences from a run that nobody disturbed, whose accuracy is `reference`."""
    return [*_result(tasks, changes, reference), *disorder(tasks, observer)]


def disorder(tasks: Tasks, observer: Observer) -> list[str]:
    """Return what must not happen in any run: final exit codes, two writers, two groups, and what is left behind."""
    logs = [Log(process.task, process.pid, process.lines()) for process in tasks.processes]
    return [
        *_ends(tasks),
        *writers(logs, observer),
        *groups(logs, tasks.resumed),
        *_rest(tasks),
    ]


def _ends(tasks: Tasks) -> Iterator[str]:
    for process in tasks.processes:
        if process.popen.returncode not in (0, *RETRIED):
            yield f"exit code {process.popen.returncode} of {process.task}, see {process.log}"


def _result(tasks: Tasks, changes: Changes, reference: float) -> Iterator[str]:
    done = tasks.done()
    if not done:
        yield "no DONE"
        return
    # A worker that is lost may have finished its step, which another one repeats.
    lost = [change for change in changes.made if change.kind != "join" and change.task in tasks.workers]
    spare = len(lost) if tasks.strategy == "ParameterServer" else 0
    if not tasks.steps <= done["step"] <= tasks.steps + spare:
        yield f"step {done['step']}; expected {tasks.steps} and at most {spare} more"
    if done["metrics"]["accuracy"] < reference - _ACCURACY:
        yield f"accuracy {done['metrics']['accuracy']:.4f}; an undisturbed run has {reference:.4f}"


def writers(logs: Iterable[Log], observer: Observer) -> Iterator[str]:
    """Yield the checkpoints whose writer did not hold the lease."""
    for log in logs:
        for when, message in log.lines:
            if found := _SAVED.match(message):
                step = int(found[1])
                written = [each for each in observer.saves.get(step, ()) if abs(each - when) < _SAME_SAVE_SECONDS]
                nearest = min(written, key=lambda each: abs(each - when), default=None)
                if nearest is not None and not observer.held(log.pid, nearest):
                    yield f"{log.task} (process {log.pid}) wrote checkpoint {step} without the lease"


@dataclass(slots=True)
class _Session:
    """The steps of one process in one group."""

    task: str
    group: str
    times: list[float] = field(default_factory=list)


def groups(logs: Iterable[Log], resumed: Iterable[tuple[float, int]]) -> Iterator[str]:
    """Yield the pairs of groups that took steps at the same time."""
    sessions: list[_Session] = []
    for log in logs:
        woken = [when for when, pid in resumed if pid == log.pid]
        current: _Session | None = None
        for when, message in log.lines:
            if found := _GROUP.match(message):
                current = _Session(log.task, found[1])
                sessions.append(current)
            elif current and _STEP.match(message) and not _just_resumed(when, woken):
                current.times.append(when)
    active = [each for each in sessions if each.times]
    for number, one in enumerate(active):
        for other in active[number + 1 :]:
            if one.group != other.group and max(one.times[0], other.times[0]) < min(one.times[-1], other.times[-1]):
                yield f"two groups at the same time: {one.task} in ({one.group}), {other.task} in ({other.group})"


def _just_resumed(when: float, woken: Iterable[float]) -> bool:
    return any(0 <= when - each <= _RESUMED_SECONDS for each in woken)


def _rest(tasks: Tasks) -> Iterator[str]:
    """Yield what the run has left behind."""
    mark = f"RUN_DIR={tasks.run_dir}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            variables = path.read_bytes().split(b"\0")
            state = path.with_name("stat").read_text().rpartition(")")[2].split()[0]
        except OSError:  # it has just ended
            continue
        if mark in variables and state != "Z":
            yield f"process {path.parent.name} still runs"
    for path in tasks.run_dir.rglob("*"):
        if "_temp" in path.name or path.name.endswith(".tmp"):
            yield f"{path.relative_to(tasks.run_dir)} is left"
    if (tasks.run_dir / "lease.json").read_text().strip():
        yield "the lease is held"
    killed = sum(process.popen.returncode < 0 for process in tasks.processes)
    # Python caches there the functions that TensorFlow writes.
    left = [path.name for path in tasks.temporary.iterdir() if path.is_dir() and path.name != "__pycache__"]
    if len(left) > killed:  # a kill during a save leaves a folder, which is deleted with the pod
        yield f"temporary folders are left: {len(left)} after {killed} kills, such as {left[0]}"
