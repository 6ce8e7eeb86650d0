"""A git repository, the Argo CD of `make cluster`, and teams that commit job files to the repository."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from devcluster import argocd
from devcluster.paths import state
from devcluster.repository import Repository, chart_version
from tests.e2e.kube import CommandError, Kube, Object
from tests.e2e.team import LABEL, POLL, Team, job

NAMESPACE = "argocd"
PREFIX = "e2e-"
QUOTA: Object = {"quota": {"requests.nvidia.com/gpu": 64}}


@dataclass
class GitOps:
    """A repository that Argo CD watches, and its teams."""

    kube: Kube
    repository: Repository
    folder: Path
    teams: list[Team] = field(default_factory=list)

    @property
    def settings(self) -> Path:
        """The values of argocd/."""
        return self.folder / "teams.json"

    def install(self, *teams: Team, force: bool = False, **values: Any) -> None:
        """Apply argocd/ for the teams, as argocd/README.md describes; the sets poll for commits every second.

        Args:
            teams: The teams that get a namespace.
            force: Whether to overwrite fields that somebody else changed.
            values: More values of argocd/.

        """
        self.teams = list(teams)
        names: dict[str, Object] = {team.name: {} for team in teams}
        self.settings.write_text(
            json.dumps({"repository": self.repository.url, "teams": names, "pollSeconds": 1} | QUOTA | values)
        )
        argocd.teams("--values", self.settings, force=force)
        # The label lets the next session delete namespaces that argocd/ created for a killed session.
        self.kube.kubectl("label", "--overwrite", "namespace", *names, f"{LABEL}=yes")

    def values(self, strategy: str = "OneDevice", steps: int = 100, **more: Any) -> Object:
        """Return the content of a small job file."""
        images = {"chartVersion": chart_version(), "image": self.kube.images["trainer"]}
        return images | job(strategy, steps, **more)

    def commit(self, files: dict[str, Object | str | None]) -> float:
        """Commit files to main, like a merge; return the time. Mappings are written as JSON, which is valid YAML."""
        texts = {name: json.dumps(each, indent=1) if isinstance(each, dict) else each for name, each in files.items()}
        return self.repository.push(", ".join(files), texts)

    def merge(self, team: Team, run: str, values: Object | str | None) -> float:
        """Commit one job file to main, or delete the file if `values` is None; return the time."""
        return self.commit({f"jobs/{team.name}/{run}.yaml": values})

    def application(self, team: Team, run: str) -> Object:
        """Return the Application of a run, or an empty mapping if none exists."""
        words = ("-n", NAMESPACE, "get", "application", f"{team.name}-{run}", "--ignore-not-found", "-o", "json")
        return dict(json.loads(self.kube.kubectl(*words) or "{}"))

    def names(self, team: Team) -> list[str]:
        """Return the names of the Applications of a team."""
        found = self.kube.get("-n", NAMESPACE, "applications", "-l", f"tf-distributed.github.io/team={team.name}")
        return sorted(str(item["metadata"]["name"]) for item in found["items"])

    def wait(self, team: Team, run: str, what: str, probe: Callable[[Object], Any], seconds: float = 240) -> Object:
        """Wait until `probe` accepts the Application of a run, and return the Application."""

        def found() -> Object | None:
            application = self.application(team, run)
            return application if application and probe(application) else None

        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if application := found():
                return application
            time.sleep(POLL)
        seen = json.dumps(self.application(team, run).get("status", {}), indent=1)
        sets = self.kube.kubectl("-n", NAMESPACE, "get", "applicationset", f"runs-{team.name}", "-o", "yaml")
        raise AssertionError(f"Timed out after {seconds:g} s: {run} to be {what}\n{seen}\n{sets}\n{team.report()}")

    def healthy(self, team: Team, run: str, state: str = "Healthy") -> Object:
        """Wait until an Application is Synced and has the given health."""

        def probe(application: Object) -> bool:
            return (health(application), synced(application)) == (state, "Synced")

        return self.wait(team, run, state, probe)

    def wait_for_poll(self, team: Team) -> None:
        """Wait until Argo CD has processed HEAD of main: commit one more file and wait for its Application."""
        name = f"z{self.repository.git('rev-parse', 'HEAD')[:12]}"
        self.merge(team, name, self.values(state="suspended"))
        self.healthy(team, name, "Suspended")

    def refresh(self, team: Team, run: str, how: str = "normal") -> Object:
        """Make Argo CD compare a run with git, like a webhook; return the Application after the comparison."""
        key = "argocd.argoproj.io/refresh"
        words = ("annotate", "application", f"{team.name}-{run}", f"{key}={how}", "--overwrite")
        self.kube.kubectl("-n", NAMESPACE, *words)
        return self.wait(team, run, "refreshed", lambda each: key not in each["metadata"].get("annotations", {}))

    @contextmanager
    def watching(self, team: Team, run: str) -> Iterator[list[str]]:
        """Record every health status of the Application of a run."""
        history: list[str] = []
        template = 'jsonpath={.status.health.status}{"\\n"}'
        file = self.folder / f"health-{run}"
        # With a selector, the command also waits for an Application that does not exist yet.
        only = f"--field-selector=metadata.name={team.name}-{run}"
        words = ["get", "application", only, "-n", NAMESPACE, "--watch", "-o", template]
        with file.open("w") as output:
            kubectl = str(state() / "bin" / "kubectl")
            process = subprocess.Popen([kubectl, *words], stdout=output, env=os.environ | self.kube.env)
            try:
                yield history
            finally:
                process.terminate()
                process.wait()
                for line in file.read_text().split():
                    if not history or history[-1] != line:
                        history.append(line)

    def remove(self) -> None:
        """Remove the teams from Argo CD; the fixtures of the teams delete their namespaces."""
        forget(self.kube, [team.name for team in self.teams])


def forget(kube: Kube, teams: list[str]) -> None:
    """Delete the Argo CD objects of some teams but not their runs, with one call for each kind."""
    argocd = ("-n", NAMESPACE)
    if not teams:
        return
    sets = [f"{kind}-{team}" for kind in ("runs", "workbenches") for team in teams]
    kube.kubectl(*argocd, "delete", "applicationset", *sets, "--cascade=orphan", "--ignore-not-found")
    selector = f"tf-distributed.github.io/team in ({','.join(teams)})"
    kube.kubectl(*argocd, "delete", "applicationsets", "-l", selector, "--cascade=orphan")
    while names := with_finalizers(kube, selector):
        try:
            no_finalizer = json.dumps({"metadata": {"finalizers": None}})
            kube.kubectl(*argocd, "patch", "applications", *names, "--type=merge", "-p", no_finalizer)
        except CommandError as error:
            if "not found" not in str(error):  # Argo CD may delete an Application at the same time.
                raise
    # One request, because kubectl would delete hundreds of Applications one by one.
    path = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/applications?labelSelector={quote(selector)}"
    kube.kubectl("delete", "--raw", path)
    kube.kubectl(*argocd, "delete", "appproject", *teams, "--ignore-not-found")


def with_finalizers(kube: Kube, selector: str) -> list[str]:
    """Return the names of the Applications whose deletion would delete their resources."""
    found = kube.get("-n", NAMESPACE, "applications", "-l", selector)["items"]
    return [str(item["metadata"]["name"]) for item in found if item["metadata"].get("finalizers")]


def sweep(kube: Kube) -> None:
    """Delete the Argo CD objects of killed sessions."""
    projects = [str(item["metadata"]["name"]) for item in kube.get("-n", NAMESPACE, "appprojects")["items"]]
    forget(kube, [name for name in projects if name.startswith(PREFIX)])


def health(application: Object) -> str:
    return str(application.get("status", {}).get("health", {}).get("status", ""))


def synced(application: Object) -> str:
    return str(application.get("status", {}).get("sync", {}).get("status", ""))


def errors(application: Object) -> str:
    """Return every error message of an Application."""
    conditions = application.get("status", {}).get("conditions", [])
    operation = application.get("status", {}).get("operationState", {})
    messages = [f"{each['type']}: {each['message']}" for each in conditions]
    return "\n".join([*messages, str(operation.get("message", ""))])


def at(stamp: str) -> float:
    """Return a Kubernetes time stamp as seconds since 1970."""
    return datetime.fromisoformat(stamp).timestamp()
