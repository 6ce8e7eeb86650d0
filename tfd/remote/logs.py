"""The log of one task, over all its attempts."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable

import click

from tfd.remote.kubectl import ClusterError, Kubectl, NotFoundError
from tfd.remote.progress import leading_task
from tfd.remote.snapshot import Objects, has_begun, look, newest
from tfd.remote.tasks import State, tasks
from tfd.text import plain, refusal

_POLL = 2.0
_OVER = (State.DONE, State.FAILED)


def show(kubectl: Kubectl, run: str, wanted: str | None, follow: bool, report: Callable[[str], None]) -> None:
    """Print the log of a task's newest pod; `follow` waits for the pod and continues with its replacements.

    Raises:
        NotFoundError: there is no such run, no such task, or nothing to print.
        ClusterError: the cluster did not answer.

    """
    printed: set[str] = set()
    reported = ""
    while True:
        objects = look(kubectl, run)
        name = task_name(objects, wanted or leading_task(kubectl, objects))
        task = next(each for each in tasks(objects, name.rpartition("-")[0]) if each.name == name)
        pod = newest(objects.pods.get(name, []))
        if pod is not None and has_begun(pod) and pod["metadata"]["name"] not in printed:
            printed.add(pod["metadata"]["name"])
            _print(kubectl, pod["metadata"]["name"], follow)
        elif task.state in _OVER or not follow:
            if not printed:
                raise NotFoundError(
                    f"{name} of {run} has no log: {task.state.value}: {task.why or 'its pod is deleted'}"
                )
            return
        else:
            words = f"{name} {task.state.value}{f': {task.why}' if task.why else ''}"
            if words != reported:
                report(words)
            reported = words
            time.sleep(_POLL)
        if printed and not follow:
            return


def task_name(objects: Objects, name: str) -> str:
    """Return the full name of a task: `worker` is `worker-0`.

    Raises:
        NotFoundError: the run has no such task.

    """
    known = [task for role in objects.identity["replicas"] for task in objects.tasks(role)]
    full = next((task for task in (name, f"{name}-0") if task in known), None)
    if full is None:
        listed = f"{', '.join(known[:8])}{' ...' if len(known) > 8 else ''}" or "none"  # noqa: PLR2004
        raise NotFoundError(refusal("task", json.dumps(name), f"one of {listed}", f"Name a task of {objects.run}."))
    return full


def _print(kubectl: Kubectl, pod: str, follow: bool) -> None:
    command = kubectl.command("logs", pod, *(["--follow"] if follow else []))
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", errors="replace") as process:
        for line in process.stdout or ():
            click.echo(plain(line), nl=False)
    if process.returncode != 0:
        raise ClusterError(f"kubectl logs {pod} exited with {process.returncode}")
