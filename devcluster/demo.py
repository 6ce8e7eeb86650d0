"""The whole loop in one terminal: a job file on a branch, the review, the merge, the run and its end.

Usage: python -m devcluster.demo      (`make gitops-demo` starts the cluster first)

Everything runs on this machine: the git repository is a folder, and `make cluster` provides the cluster with Argo CD.
"""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.syntax import Syntax
from rich.table import Table

from devcluster import argocd, images, storage
from devcluster.kube import kubectl
from devcluster.paths import CHECKOUT, state
from devcluster.repository import Repository, chart_version
from devcluster.shell import DevclusterError, run

TEAM = "demo"
EXAMPLE = CHECKOUT / "jobs" / "examples" / "digits-parameter-server.yaml"
EVERY = 1.0
STOPPED = 130
console = Console()


def chapter(number: int, what: str, why: str) -> None:
    """Print the heading of a chapter."""
    console.print(f"\n[bold]{number}. {escape(what)}[/bold]\n[dim]{escape(why)}[/dim]\n")


def prepare(clone: Path) -> Repository:
    """Return the repository of the demo, which Argo CD watches for one team."""
    repository = Repository(argocd.repository("demo"), clone)
    repository.start()
    values = (
        f"repository={repository.url}",
        f"teams.{TEAM}.quota.pods=50",
        r"quota.requests\.nvidia\.com/gpu=8",
        "pollSeconds=2",
    )
    argocd.teams(*(word for value in values for word in ("--set", value)))
    storage.claim(TEAM, "runs")
    return repository


def job_file() -> str:
    """Return the example job file with the images of this cluster."""
    names = images.publish()
    text = EXAMPLE.read_text()
    lines = [
        f"chartVersion: {chart_version()}" if line.startswith("chartVersion:") else line for line in text.splitlines()
    ]
    return "\n".join([*lines, f"image: {names['trainer']}", f"tensorboard: {{image: {names['tensorboard']}}}", ""])


def free_name(repository: Repository) -> str:
    """Return the name of a run that the repository does not contain."""
    number = 1
    while (repository.clone / "jobs" / TEAM / f"digits-{number}.yaml").exists():
        number += 1
    return f"digits-{number}"


def review(repository: Repository, branch: str) -> None:
    """Show the effect of merging a branch."""
    if importlib.util.find_spec("tfd.review"):
        words = [sys.executable, "-m", "tfd", "review", "--base", "main", "--head", branch]
        subprocess.run([*words, "--repo", str(repository.clone)], check=False)
    else:
        console.print(
            Syntax(repository.git("diff", f"main...{branch}"), "diff", background_color="default", word_wrap=True)
        )


def application(name: str) -> dict[str, Any]:
    """Return the Application of a run, or an empty mapping while none exists."""
    found = kubectl("get", "application", f"{TEAM}-{name}", "-n", argocd.NAMESPACE, "--ignore-not-found", "-o", "json")
    return dict(json.loads(found or "{}"))


def tfd(*words: str) -> list[str]:
    """Return the command line that runs `tfd` on this cluster."""
    return ["env", f"KUBECONFIG={state() / 'kubeconfig'}", f"PATH={state() / 'bin'}:{os.environ['PATH']}",
            sys.executable, "-m", "tfd", *words]  # fmt: skip


def poll(name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the Application and the status of the run once per interval."""
    while True:
        found = application(name)
        try:
            now = json.loads(run(tfd("status", f"{TEAM}/{name}", "--json")))
        except DevclusterError:  # The cluster does not contain the run yet.
            now = {}
        yield found, now
        time.sleep(EVERY)


def table(seconds: float, found: dict[str, Any], now: dict[str, Any]) -> Table:
    """Return the table that is shown while the run lasts."""
    status = found.get("status", {})
    shown = Table.grid(padding=(0, 3))
    shown.add_row("since the merge", f"{seconds:.0f} s")
    shown.add_row("Argo CD: Application", found["metadata"]["name"] if found else "not created yet")
    synced, health = (str(status.get(key, {}).get("status", "")) for key in ("sync", "health"))
    shown.add_row("Argo CD: sync status", synced)
    # Argo CD reports Healthy before anything is applied, so health is shown only once the Application is Synced.
    shown.add_row("Argo CD: health", health if synced == "Synced" else "")
    progress = now.get("progress") or {}
    step = f", step {progress['step']} of {progress.get('steps')}" if progress.get("step") else ""
    shown.add_row("tfd status", f"{now.get('state', '')}{step}")
    tasks = (f"{task} {each['state']}" for task, each in now.get("tasks", {}).items())
    shown.add_row("", escape(", ".join(tasks)))
    for condition in status.get("conditions", []):
        shown.add_row("Argo CD: condition", escape(condition["message"][:300]))
    return shown


def follow(name: str) -> str:
    """Show a run until it has ended; return the health of its Application."""
    merged = time.monotonic()
    with Live(console=console, auto_refresh=False) as live:
        for found, now in poll(name):
            live.update(table(time.monotonic() - merged, found, now), refresh=True)
            health = str(found.get("status", {}).get("health", {}).get("status", ""))
            if health == "Degraded" or (health == "Healthy" and now.get("state") == "done"):
                break
    return health


def loop(clone: Path) -> int:
    """Play the demo; return the exit code."""
    console.print("[bold]A values file committed to git is a training run.[/bold]")
    repository = prepare(clone)
    name = free_name(repository)
    path, branch = f"jobs/{TEAM}/{name}.yaml", f"start-{name}"
    chapter(
        1, f"A job file on a branch: {path}", "You write only this file. Its folder is the team, its name is the run."
    )
    repository.git("switch", "--quiet", "--create", branch)
    repository.commit({path: job_file()}, f"Start {name}")
    console.print(Syntax((clone / path).read_text(), "yaml", background_color="default", word_wrap=True))
    chapter(2, "The review", "On GitHub, the review is a comment on the pull request.")
    review(repository, branch)
    chapter(3, "The merge", "git merge and git push. From here on, nobody runs a command on the cluster.")
    repository.git("switch", "--quiet", "main")
    console.print(repository.git("merge", "--no-ff", "-m", f"Merge {branch}", branch))
    repository.push()
    chapter(
        4, "The run", "Argo CD detects the commit, renders the chart with the job file and applies the Kubernetes Jobs."
    )
    health = follow(name)
    chapter(5, "The end", "Every pod has ended. The trained model is in the storage of the team.")
    subprocess.run(tfd("status", f"{TEAM}/{name}"), check=False)
    console.print(f"\nTo suspend, resume or archive the run, commit a change to {path} in a clone of {repository.url}.")
    show = ["tensorboard", f"{TEAM}/{name}"]
    if sys.stdout.isatty():
        console.print("TensorBoard runs until you press Ctrl-C:")
        with contextlib.suppress(KeyboardInterrupt):  # The demo is complete at this point.
            subprocess.run(tfd(*show), check=False)
    else:
        console.print(f"TensorBoard: KUBECONFIG={state() / 'kubeconfig'} tfd {' '.join(show)}")
    return 0 if health == "Healthy" else 1


def main() -> None:
    """Play the demo in a temporary clone."""
    with tempfile.TemporaryDirectory(prefix="tfd-demo-") as folder:
        try:
            sys.exit(loop(Path(folder) / "clone"))
        except KeyboardInterrupt:
            console.print("\nStopped. A run that was merged continues. Stop the cluster with `make cluster-down`.")
            sys.exit(STOPPED)
        except DevclusterError as error:
            console.print(escape(str(error)), style="red")
            sys.exit(1)


if __name__ == "__main__":
    main()
