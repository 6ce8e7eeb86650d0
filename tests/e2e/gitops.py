"""A git repository, the Argo CD of `make cluster`, and teams whose job files are committed there."""

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


@dataclass
class GitOps:
    """Teams under Argo CD."""

    kube: Kube
    repository: Repository
    folder: Path
    teams: list[Team] = field(default_factory=list)

    def install(self, *teams: Team, **values: Any) -> None:
        """Apply argocd/ for the teams, as its README says; it looks for commits every second."""
        self.teams = list(teams)
        file = self.folder / "teams.json"
        names: dict[str, Object] = {team.name: {} for team in teams}
        file.write_text(json.dumps({"repository": self.repository.url, "teams": names, "pollSeconds": 1} | values))
        argocd.teams("--values", file)
        # So that a session that is killed leaves nothing, also of namespaces that only argocd/ has made.
        self.kube.kubectl("label", "--overwrite", "namespace", *names, f"{LABEL}=yes")

    def values(self, strategy: str = "OneDevice", steps: int = 100, **more: Any) -> Object:
        """A small job file's content."""
        images = {"chartVersion": chart_version(), "image": self.kube.images["trainer"]}
        return images | job(strategy, steps, **more)

    def commit(self, files: dict[str, Object | str | None]) -> float:
        """Commit files to main, as a merge does; return when. Values are written as JSON, which is YAML."""
        texts = {name: json.dumps(each, indent=1) if isinstance(each, dict) else each for name, each in files.items()}
        return self.repository.push(", ".join(files), texts)

    def merge(self, team: Team, run: str, values: Object | str | None) -> float:
        """Commit one job file to main, None to delete it; return when."""
        return self.commit({f"jobs/{team.name}/{run}.yaml": values})

    def application(self, team: Team, run: str) -> Object:
        """The Application of a run; empty if there is none."""
        words = ("-n", NAMESPACE, "get", "application", f"{team.name}-{run}", "--ignore-not-found", "-o", "json")
        return dict(json.loads(self.kube.kubectl(*words) or "{}"))

    def names(self, team: Team) -> list[str]:
        """The names of a team's Applications."""
        found = self.kube.get("-n", NAMESPACE, "applications", "-l", f"tf-distributed.github.io/team={team.name}")
        return sorted(str(item["metadata"]["name"]) for item in found["items"])

    def wait(self, team: Team, run: str, what: str, probe: Callable[[Object], Any], seconds: float = 240) -> Object:
        """Wait until the Application of a run is as `probe` wants it, and return it."""

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
        raise AssertionError(f"gave up after {seconds:g} s: {run} to be {what}\n{seen}\n{sets}\n{team.story()}")

    def healthy(self, team: Team, run: str, state: str = "Healthy") -> Object:
        """Wait until an Application is synced and in a state of health."""

        def probe(application: Object) -> bool:
            return (health(application), synced(application)) == (state, "Synced")

        return self.wait(team, run, state, probe)

    def seen_commit(self, team: Team) -> None:
        """Wait until Argo CD has surely seen what main is now: it makes an Application of a file that comes last."""
        name = f"z{self.repository.git('rev-parse', 'HEAD')[:12]}"
        self.merge(team, name, self.values(state="suspended"))
        self.healthy(team, name, "Suspended")

    def look(self, team: Team, run: str, how: str = "normal") -> Object:
        """Let Argo CD compare a run with git now, as a webhook does; return the Application when it has."""
        key = "argocd.argoproj.io/refresh"
        words = ("annotate", "application", f"{team.name}-{run}", f"{key}={how}", "--overwrite")
        self.kube.kubectl("-n", NAMESPACE, *words)
        return self.wait(team, run, "looked at", lambda each: key not in each["metadata"].get("annotations", {}))

    @contextmanager
    def watching(self, team: Team, run: str) -> Iterator[list[str]]:
        """Keep every state of health that the Application of a run goes through."""
        history: list[str] = []
        template = 'jsonpath={.status.health.status}{"\\n"}'
        file = self.folder / f"health-{run}"
        words = ["get", "application", f"{team.name}-{run}", "-n", NAMESPACE, "--watch", "-o", template]
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
        """Take the teams from Argo CD; what runs in their namespaces is theirs to end."""
        forget(self.kube, [team.name for team in self.teams])


def forget(kube: Kube, teams: list[str]) -> None:
    """Delete what Argo CD has of some teams, without touching their runs. One call for each kind: there may be many."""
    argocd = ("-n", NAMESPACE)
    if not teams:
        return
    sets = [f"runs-{team}" for team in teams]
    kube.kubectl(*argocd, "delete", "applicationset", *sets, "--cascade=orphan", "--ignore-not-found")
    selector = f"tf-distributed.github.io/team in ({','.join(teams)})"
    kube.kubectl(*argocd, "delete", "applicationsets", "-l", selector, "--cascade=orphan")
    while names := with_finalizers(kube, selector):
        try:
            no_finalizer = json.dumps({"metadata": {"finalizers": None}})
            kube.kubectl(*argocd, "patch", "applications", *names, "--type=merge", "-p", no_finalizer)
        except CommandError as error:
            if "not found" not in str(error):  # one that Argo CD was about to delete is gone by now
                raise
    # All in one request: kubectl would delete hundreds one by one.
    path = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/applications?labelSelector={quote(selector)}"
    kube.kubectl("delete", "--raw", path)
    kube.kubectl(*argocd, "delete", "appproject", *teams, "--ignore-not-found")


def with_finalizers(kube: Kube, selector: str) -> list[str]:
    """The names of the Applications with which what they have made would be deleted."""
    found = kube.get("-n", NAMESPACE, "applications", "-l", selector)["items"]
    return [str(item["metadata"]["name"]) for item in found if item["metadata"].get("finalizers")]


def sweep(kube: Kube) -> None:
    """Delete what scenarios that were killed have left in Argo CD."""
    projects = [str(item["metadata"]["name"]) for item in kube.get("-n", NAMESPACE, "appprojects")["items"]]
    forget(kube, [name for name in projects if name.startswith(PREFIX)])


def health(application: Object) -> str:
    return str(application.get("status", {}).get("health", {}).get("status", ""))


def synced(application: Object) -> str:
    return str(application.get("status", {}).get("sync", {}).get("status", ""))


def errors(application: Object) -> str:
    """All that Argo CD says is wrong with an Application."""
    conditions = application.get("status", {}).get("conditions", [])
    operation = application.get("status", {}).get("operationState", {})
    said = [f"{each['type']}: {each['message']}" for each in conditions]
    return "\n".join([*said, str(operation.get("message", ""))])


def at(stamp: str) -> float:
    """Seconds since 1970 of a Kubernetes time stamp."""
    return datetime.fromisoformat(stamp).timestamp()
