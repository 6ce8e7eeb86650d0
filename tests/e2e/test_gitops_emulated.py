"""What the review says that Argo CD would have, and what Argo CD has."""

import json
import re
import sys
import time
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devcluster.paths import CHECKOUT
from tests.e2e.gitops import NAMESPACE, PREFIX, GitOps
from tests.e2e.kube import Object, command
from tests.e2e.team import POLL, Team
from tests.unit.review.cases import CASES
from tests.unit.review.malformed_files import FILES
from tests.unit.review.repositories import Files, commit
from tfd.review.analysis.secrets import find_secrets
from tfd.review.output.redaction import Redactor

REFRESH = "argocd.argoproj.io/application-set-refresh"
FAR = 24 * 3600  # no set looks for commits by itself: each look is asked for
PATIENCE = 200
UNREAD = ("the file cannot be read", "the file is not a mapping")


@dataclass(frozen=True)
class Change:
    """All pull requests of the corpus as one, each in teams of its own, so that two commits are enough."""

    base: Files
    head: Files

    @property
    def teams(self) -> list[str]:
        """The folders that are teams."""
        folders = {path.split("/")[1] for path in [*self.base, *self.head] if path.count("/") > 1}
        return sorted(name for name in folders if re.fullmatch(f"{PREFIX}[-a-z0-9]+", name))


def corpus(token: str) -> Change:
    """Return the job files of every case before and after its merge, and files that are no job files."""
    base: Files = {"review.yaml": (CHECKOUT / "review.yaml").read_text()}
    head: Files = {}
    for number, case in enumerate(CASES.values()):
        teams = f"jobs/{PREFIX}{token}{number}-"

        def renamed(files: Files, teams: str = teams) -> Files:
            mine = {path: text for path, text in files.items() if path.startswith("jobs/")}
            return {re.sub("^jobs/(?=.*/)(?!examples/)", teams, path): text for path, text in mine.items()}

        before = renamed(case.before) | renamed(case.base) | renamed(case.meanwhile)
        base |= {path: text for path, text in before.items() if text is not None}
        head |= renamed(case.head)
    for number, (name, (data, _)) in enumerate(FILES.items()):
        head[f"jobs/{PREFIX}{token}x{number}/{name}.yaml"] = data.decode(errors="surrogateescape")
    return Change(base, head)


@dataclass
class Sets:
    """The ApplicationSets of all teams of the corpus."""

    gitops: GitOps

    def look(self, stamp: str) -> None:
        """Ask each set to look for commits now. Argo CD takes the annotation away once a set has done what it found."""
        names = [f"runs-{team.name}" for team in self.gitops.teams]
        self.gitops.kube.kubectl(
            "-n", NAMESPACE, "annotate", "--overwrite", "applicationset", *names, f"{REFRESH}={stamp}"
        )

    def wait(self, stopped: set[str], either: AbstractSet[str] = frozenset()) -> dict[str, str]:
        """Wait until each set has looked, those of `stopped` with an error, those of `either` with or without; return
        the errors of `stopped` by team."""
        end = time.monotonic() + PATIENCE
        while True:
            items = self.gitops.kube.get("-n", NAMESPACE, "applicationsets")["items"]
            sets = {item["metadata"]["name"].removeprefix("runs-"): item for item in items}
            mine = {team.name: sets[team.name] for team in self.gitops.teams}
            errors = {team: error(item) for team, item in mine.items()}
            looked = {team for team in mine if REFRESH not in mine[team]["metadata"].get("annotations", {})}
            failed = {team for team in mine if errors[team]}
            waiting = mine.keys() - (looked - stopped) - (failed & (stopped | either))
            if not waiting:
                return {team: errors[team] for team in stopped}
            told = {team: errors[team] for team in waiting}
            assert time.monotonic() < end, f"gave up after {PATIENCE} s: sets that should have (not) stopped: {told}"
            time.sleep(POLL)

    def applications(self) -> dict[str, Object]:
        """What there is of all teams, by name, as the review tells it."""
        found = self.gitops.kube.get("-n", NAMESPACE, "applications")["items"]
        names = {team.name for team in self.gitops.teams}
        mine = [item for item in found if item["spec"]["project"] in names]
        # A set that deletes one is done with it; what it has to clean up is for another component.
        return {item["metadata"]["name"]: essence(item) for item in mine if "deletionTimestamp" not in item["metadata"]}


def error(item: Object) -> str:
    """What an ApplicationSet says has gone wrong; empty if nothing has."""
    conditions = item.get("status", {}).get("conditions", [])
    return " ".join(
        each["message"] for each in conditions if (each["type"], each["status"]) == ("ErrorOccurred", "True")
    )


def essence(application: Object) -> Object:
    """The part of a real Application that the review tells. Its values are one string."""
    spec = application["spec"]
    source = spec["source"]
    helm = source["helm"]
    values = json.loads(helm["values"])
    made = {
        "name": application["metadata"]["name"],
        "project": spec["project"],
        "source": {
            "targetRevision": source["targetRevision"],
            "path": source["path"],
            "helm": {"releaseName": helm["releaseName"], "values": values},
        },
        "destination": {"namespace": spec["destination"]["namespace"]},
        "syncPolicy": {"automated": spec["syncPolicy"]["automated"]},
    }
    # The review shows nobody what looks like a secret.
    return dict(Redactor(tuple(secret.text for secret in find_secrets(values))).json(made))


def as_floats(value: Any) -> Any:
    """Numbers as Argo CD has them: the digits that it writes for a huge one are not those that Python writes."""
    return json.loads(json.dumps(value), parse_int=float)


def by_name(told: Object) -> Any:
    return as_floats({each["name"]: each for each in told["applications"]})


def review(folder: Path, base: str) -> Object:
    words = ["review", "--base", base, "--head", "HEAD", "--format", "json", "--repo", str(folder)]
    return dict(json.loads(command([sys.executable, "-m", "tfd", *words], exits=(0, 1))))


def test_the_review_tells_the_applications_that_there_are(gitops: GitOps, token: str, tmp_path: Path) -> None:
    """Every pull request of the review's tests, and many files that are no job files, are merged: the Applications
    that `tfd review` tells are those that Argo CD has, with the same revision, values, project and namespace; the sets
    that it says are stopped have an error, and of their teams nothing has come or gone."""
    change = corpus(token)
    # argocd/ refuses teams of which one's runs could have the names of another's: these are brought in one by one.
    teams = [Team(gitops.kube, name, tmp_path) for name in change.teams]
    late = [team for team in teams if any(team.name.startswith(f"{name}-") for name in change.teams)]
    for some in ([team for team in teams if team not in late], late):
        gitops.install(*some, pollSeconds=FAR)
    gitops.teams = teams
    # Nothing of this may run: no destination is allowed.
    nowhere = ["patch", "appproject", *change.teams, "--type=merge", "-p", '{"spec": {"destinations": []}}']
    gitops.kube.kubectl("-n", NAMESPACE, *nowhere)
    # And there is nothing to delete with an Application: without a finalizer hundreds are gone in a moment.
    keep = ["patch", "applicationset", *(f"runs-{name}" for name in change.teams), "--type=merge"]
    gitops.kube.kubectl("-n", NAMESPACE, *keep, "-p", '{"spec": {"syncPolicy": {"preserveResourcesOnDeletion": true}}}')
    sets = Sets(gitops)
    clone = gitops.repository.clone

    commit(clone, change.base)
    gitops.repository.push()
    base = gitops.repository.git("rev-parse", "HEAD")
    sets.look("base")
    before_told = review(clone, base)
    unsure = {stop["team"] for stop in before_told["blockedTeams"]}
    sets.wait(set(), either=unsure)  # one holds a link to a job file, which the review does not follow
    before = sets.applications()
    assert by_name(before_told) == as_floats(
        {name: each for name, each in before.items() if each["project"] not in unsure}
    )

    commit(clone, change.head)
    gitops.repository.push()
    told = review(clone, base)
    stopped = {stop["team"] for stop in told["blockedTeams"]}
    assert len(told["applications"]) > 500
    assert len(stopped) > 10
    sets.look("head")
    errors = sets.wait(stopped)
    after = sets.applications()
    stay = {name for name, each in after.items() if each["project"] in stopped}
    assert by_name(told) == as_floats({name: each for name, each in after.items() if name not in stay})
    assert stay == {name for name, each in before.items() if each["project"] in stopped}
    assert not set(told["applicationsDeleted"]) & after.keys()
    # Where the apiserver refuses an Application, its message is all that there is.
    unread = {stop["team"]: stop["path"] for stop in told["blockedTeams"] if stop["why"] in UNREAD}
    assert len(unread) > 10
    for team, path in unread.items():
        assert str(Path(path).parent) in errors[team]
    gitops.kube.kubectl("delete", "namespace", *change.teams, "--wait=false")
