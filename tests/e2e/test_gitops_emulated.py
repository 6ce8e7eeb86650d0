"""The Applications that the review predicts, compared with those of Argo CD."""

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
FAR = 24 * 3600  # No set polls for commits: the test requests each poll.
PATIENCE = 200
UNREAD = ("the file cannot be read", "the file is not a mapping")
# Argo CD would read other files than the review, or none. test_gitops_checkout.py shows the difference.
OTHER_CHECKOUT = "checkout-"
# The apiserver refuses one Application for its name. Argo CD still creates the others, but deletes none. The review
# refuses such a file always, and for simplicity predicts no change for its team.
REFUSED_NAMES = ("hostile-invisible-letters",)


@dataclass(frozen=True)
class Change:
    """All pull requests of the corpus as one, each with separate teams, so that two commits are enough."""

    base: Files
    head: Files

    @property
    def teams(self) -> list[str]:
        """Return the folders that are teams."""
        folders = {path.split("/")[1] for path in [*self.base, *self.head] if path.count("/") > 1}
        return sorted(name for name in folders if re.fullmatch(f"{PREFIX}[-a-z0-9]+", name))


def corpus(token: str) -> Change:
    """Return the job files of every case before and after its merge, and malformed files."""
    base: Files = {"review.yaml": (CHECKOUT / "review.yaml").read_text()}
    head: Files = {}
    for number, (name, case) in enumerate(CASES.items()):
        if name.startswith(OTHER_CHECKOUT) or name in REFUSED_NAMES:
            continue
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

    def poll(self, stamp: str) -> None:
        """Make each set poll for commits. Argo CD removes the annotation after it has processed a set."""
        names = [f"runs-{team.name}" for team in self.gitops.teams]
        self.gitops.kube.kubectl(
            "-n", NAMESPACE, "annotate", "--overwrite", "applicationset", *names, f"{REFRESH}={stamp}"
        )

    def wait(self, stopped: set[str], either: AbstractSet[str] = frozenset()) -> dict[str, str]:
        """Wait until each set has polled: sets of `stopped` with an error, sets of `either` with or without. Return the
        errors of `stopped` by team."""
        end = time.monotonic() + PATIENCE
        while True:
            items = self.gitops.kube.get("-n", NAMESPACE, "applicationsets")["items"]
            sets = {item["metadata"]["name"].removeprefix("runs-"): item for item in items}
            mine = {team.name: sets[team.name] for team in self.gitops.teams}
            errors = {team: error(item) for team, item in mine.items()}
            polled = {team for team in mine if REFRESH not in mine[team]["metadata"].get("annotations", {})}
            failed = {team for team in mine if errors[team]}
            waiting = mine.keys() - (polled - stopped) - (failed & (stopped | either))
            if not waiting:
                return {team: errors[team] for team in stopped}
            unexpected = {team: errors[team] for team in waiting}
            assert time.monotonic() < end, f"Timed out after {PATIENCE} s: sets in the wrong state: {unexpected}"
            time.sleep(POLL)

    def applications(self) -> dict[str, Object]:
        """Return the Applications of all teams by name, in the form of the review."""
        found = self.gitops.kube.get("-n", NAMESPACE, "applications")["items"]
        names = {team.name for team in self.gitops.teams}
        mine = [item for item in found if item["spec"]["project"] in names]
        # An Application that is being deleted no longer counts; another component cleans up its resources.
        return {item["metadata"]["name"]: essence(item) for item in mine if "deletionTimestamp" not in item["metadata"]}


def error(item: Object) -> str:
    """Return the error messages of an ApplicationSet, or an empty string."""
    conditions = item.get("status", {}).get("conditions", [])
    return " ".join(
        each["message"] for each in conditions if (each["type"], each["status"]) == ("ErrorOccurred", "True")
    )


def essence(application: Object) -> Object:
    """Return the part of a real Application that the review predicts, with its values parsed."""
    spec = application["spec"]
    source = spec["source"]
    helm = source["helm"]
    values = json.loads(helm["values"])
    result = {
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
    # The review redacts everything that looks like a secret.
    return dict(Redactor(tuple(secret.text for secret in find_secrets(values))).json(result))


def as_floats(value: Any) -> Any:
    """Return a value with every integer as a float, because Argo CD formats huge numbers differently from Python."""
    return json.loads(json.dumps(value), parse_int=float)


def by_name(predicted: Object) -> Any:
    return as_floats({each["name"]: each for each in predicted["applications"]})


def review(folder: Path, base: str) -> Object:
    words = ["review", "--base", base, "--head", "HEAD", "--format", "json", "--repo", str(folder)]
    found = dict(json.loads(command([sys.executable, "-m", "tfd", *words], exits=(0, 1, 2))))
    assert "applications" in found, found  # An error of the review itself has no result.
    return found


def test_review_predicts_the_applications_of_argo_cd(gitops: GitOps, token: str, tmp_path: Path) -> None:
    """Every pull request of the review's tests, the refused ones too, and many malformed files are merged. `tfd review`
    predicts exactly the Applications of Argo CD, with the same revision, values, project and namespace. The sets that
    the review reports as stopped have an error, and the Applications of their teams are unchanged. Two kinds of pull
    requests are left out: those that change the checkout, and a file whose name the apiserver refuses."""
    change = corpus(token)
    # argocd/ refuses two teams in one call if their runs could have equal Application names, so these come in parts.
    teams = [Team(gitops.kube, name, tmp_path) for name in change.teams]
    late = [team for team in teams if any(team.name.startswith(f"{name}-") for name in change.teams)]
    for some in ([team for team in teams if team not in late], late):
        gitops.install(*some, pollSeconds=FAR)
    gitops.teams = teams
    # No run may start, so no destination is allowed.
    nowhere = ["patch", "appproject", *change.teams, "--type=merge", "-p", '{"spec": {"destinations": []}}']
    gitops.kube.kubectl("-n", NAMESPACE, *nowhere)
    # The Applications have no resources, so they need no finalizer, and hundreds are deleted quickly.
    keep = ["patch", "applicationset", *(f"runs-{name}" for name in change.teams), "--type=merge"]
    gitops.kube.kubectl("-n", NAMESPACE, *keep, "-p", '{"spec": {"syncPolicy": {"preserveResourcesOnDeletion": true}}}')
    sets = Sets(gitops)
    clone = gitops.repository.clone

    commit(clone, change.base)
    gitops.repository.push()
    base = gitops.repository.git("rev-parse", "HEAD")
    sets.poll("base")
    predicted_before = review(clone, base)
    unsure = {stop["team"] for stop in predicted_before["blockedTeams"]}
    sets.wait(set(), either=unsure)  # One team has a symbolic link to a job file, which the review does not follow.
    before = sets.applications()
    assert by_name(predicted_before) == as_floats(
        {name: each for name, each in before.items() if each["project"] not in unsure}
    )

    commit(clone, change.head)
    gitops.repository.push()
    predicted = review(clone, base)
    stopped = {stop["team"] for stop in predicted["blockedTeams"]}
    assert len(predicted["applications"]) > 500
    assert len(stopped) > 10
    sets.poll("head")
    errors = sets.wait(stopped)
    after = sets.applications()
    stay = {name for name, each in after.items() if each["project"] in stopped}
    assert by_name(predicted) == as_floats({name: each for name, each in after.items() if name not in stay})
    assert stay == {name for name, each in before.items() if each["project"] in stopped}
    assert not set(predicted["applicationsDeleted"]) & after.keys()
    # Where the apiserver refuses an Application, the set only contains the message of the apiserver.
    unread = {stop["team"]: stop["path"] for stop in predicted["blockedTeams"] if stop["why"] in UNREAD}
    assert len(unread) > 10
    for team, path in unread.items():
        assert str(Path(path).parent) in errors[team]
    gitops.kube.kubectl("delete", "namespace", *change.teams, "--wait=false")
