"""Scenarios on a real cluster: one namespace for each scenario, and a record of all in build/e2e.json."""

import functools
import hashlib
import json
import re
import secrets
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devcluster.paths import CHECKOUT, write
from devcluster.repository import Repository
from tests.e2e import gitops as argo
from tests.e2e import queues as kueues
from tests.e2e.kube import CommandError, Kube, command, connect
from tests.e2e.scale import NODES
from tests.e2e.team import LABEL, Team

RECORD = CHECKOUT / "build" / "e2e.json"
GPUS = 4
REFUSED = "refused"
"""The run of the fixture `refused`."""
# The most important scenarios run first; the last ones lose nodes.
ORDER = (
    *(
        "completion",
        "programs",
        "kills",
        "failures",
        "control",
        "gang",
        "elastic",
        "queues",
        "observing",
        "names",
        "network",
        "doctor",
    ),
    *(
        "gitops_settings",
        "gitops_registry",
        "gitops_life",
        "gitops_workbench",
        "gitops_queues",
        "gitops_start_timeout",
        "gitops_at_most_once",
        "gitops_isolation",
        "gitops_teams",
        "gitops_checkout",
        "gitops_baseline",
        "gitops_emulated",
    ),
    "gitops_scale",
    "nodes",
    *("scale_review", "scale_tasks", "scale_teams", "scale_queue"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder and sort them by ORDER."""
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in here:
        item.add_marker("e2e")
    others = [item for item in items if item not in here]
    items[:] = others + sorted(here, key=lambda item: ORDER.index(item.path.stem.removeprefix("test_")))


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Restore SIGINT, which a shell ignores in background jobs (`&`), so that child processes can be interrupted."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def kube() -> Iterator[Kube]:
    """Return the cluster after deleting the namespaces of earlier sessions."""
    try:
        cluster = connect()
    except CommandError as error:
        pytest.fail(str(error), pytrace=False)
    sweep(cluster)
    if cluster.is_devcluster:
        tidy(cluster)
    yield cluster
    sweep(cluster)


def sweep(kube: Kube) -> None:
    """Delete all namespaces of scenarios and wait until the deletion is complete."""
    for item in kube.get("namespaces", "-l", LABEL)["items"]:
        Team(kube, item["metadata"]["name"], Path()).delete()
    kube.kubectl("wait", "--for=delete", "namespace", "-l", LABEL, "--timeout=120s")


def tidy(kube: Kube) -> None:
    """Restore the nodes, the GPUs and the released volumes of a devcluster."""
    kube.devcluster("up", "--no-images")
    kube.devcluster("kwok", "0")
    for node in kube.get("nodes")["items"]:
        name = node["metadata"]["name"]
        kube.kubectl("uncordon", name)
        kube.devcluster("gpus", name, str(GPUS if name == "node1" else 0))
    for volume in kube.get("persistentvolumes")["items"]:
        if volume["status"]["phase"] == "Released":
            forget = [{"op": "remove", "path": "/spec/claimRef"}]
            kube.kubectl("patch", "pv", volume["metadata"]["name"], "--type=json", "-p", json.dumps(forget))


@pytest.fixture(scope="session")
def token() -> str:
    """Return a token in the namespace names of this session, to avoid those of a killed session."""
    return secrets.token_hex(2)


@pytest.fixture
def new_team(kube: Kube, token: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[], Team]]:
    """Return a function that creates a namespace with a claim; a scenario may call the function repeatedly."""
    made: list[Team] = []

    def make() -> Team:
        name = request.node.name
        words = re.sub(r"[^a-z0-9]+", "-", name.removeprefix("test_"))[:36].strip("-")
        # The cases of a long test differ only in what is cut.
        case = hashlib.sha256(name.encode()).hexdigest()[:4]
        team = Team(kube, f"e2e-{words}-{case}-{token}{len(made) or ''}", tmp_path)
        made.append(team)
        team.create()
        return team

    yield make
    for team in made:
        request.node.user_properties.extend(("timing", each) for each in team.timings.items())
        request.node.user_properties.extend(("figure", each) for each in team.figures.items())
        team.delete()


@pytest.fixture
def team(new_team: Callable[[], Team]) -> Team:
    """Return a namespace with a claim."""
    return new_team()


@pytest.fixture
def devcluster(kube: Kube) -> Kube:
    """Return a cluster that simulates GPUs."""
    if not kube.is_devcluster:
        pytest.skip("KUBECONFIG is set: only the cluster of `make cluster` simulates GPUs")
    return kube


@pytest.fixture
def classes(devcluster: Kube, token: str) -> Iterator[tuple[str, str]]:
    """Return the names of a low and of a high PriorityClass."""
    low, high = f"e2e-low-{token}", f"e2e-high-{token}"
    for name, value in ((low, 10), (high, 1000)):
        metadata = {"name": name}
        devcluster.apply(
            {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": metadata, "value": value}
        )
    yield low, high
    devcluster.kubectl("delete", "priorityclass", low, high, "--ignore-not-found")


@pytest.fixture
def many_teams(kube: Kube, token: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[list[Team]]:
    """Return 20 teams, whose namespaces argocd/ creates."""
    found = [Team(kube, f"e2e-team-{number}-{token}", tmp_path) for number in range(20)]
    yield found
    for kind, values in (("timing", found[0].timings), ("figure", found[0].figures)):
        request.node.user_properties.extend((kind, each) for each in values.items())
    for team in found:
        team.delete()


@pytest.fixture(scope="session")
def argocd(kube: Kube) -> Iterator[Kube]:
    """Return the cluster with Argo CD after deleting the Applications of earlier sessions."""
    if not kube.is_devcluster:
        pytest.skip("KUBECONFIG is set: the Argo CD of another cluster cannot read a repository of this machine")
    kube.devcluster("up", "--no-images", "--argocd")
    argo.sweep(kube)
    yield kube
    argo.sweep(kube)


@pytest.fixture(scope="session")
def kueue(kube: Kube) -> Iterator[Kube]:
    """Return the cluster with Kueue after deleting the queues of earlier sessions."""
    if not kube.is_devcluster:
        pytest.skip("KUBECONFIG is set: these scenarios need the settings that `make cluster` gives Kueue")
    kube.devcluster("up", "--no-images", "--kueue")
    kueues.sweep(kube)
    yield kube
    kueues.sweep(kube)


@pytest.fixture
def queues(kueue: Kube, tmp_path: Path, new_team: object) -> Iterator[kueues.Queues]:
    """Return the queues of the teams of a scenario; deleted before the teams are."""
    made = kueues.Queues(kueue, tmp_path)
    yield made
    made.remove()


@pytest.fixture
def gitops(argocd: Kube, token: str, tmp_path: Path, new_team: object) -> Iterator[argo.GitOps]:
    """Return a repository that Argo CD watches, with a release of this chart; deleted before the teams are."""
    with watched_repository(argocd, token, tmp_path) as made:
        yield made


@contextmanager
def watched_repository(argocd: Kube, token: str, folder: Path) -> Iterator[argo.GitOps]:
    bare = Path(argocd.devcluster("git", f"e2e-{token}-{secrets.token_hex(4)}").strip())
    repository = Repository(bare, folder / "clone")
    repository.start()
    made = argo.GitOps(argocd, repository, folder)
    yield made
    made.remove()
    shutil.rmtree(bare)


@pytest.fixture(scope="session")
def refused(argocd: Kube, token: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Team, argo.GitOps]]:
    """Merge the job file REFUSED of a team whose quota refuses Jobs; return the team and its repository.

    Argo CD retries for minutes, in which other scenarios run.
    """
    folder = tmp_path_factory.mktemp("refused")
    team = Team(argocd, f"e2e-refused-{token}", folder)
    team.create()
    team.refuse_jobs()
    with watched_repository(argocd, token, folder) as gitops:
        gitops.install(team)
        gitops.merge(team, REFUSED, gitops.values(steps=50))
        yield team, gitops
    team.delete()


@pytest.fixture(scope="session")
def simulated_nodes(kube: Kube) -> Iterator[None]:
    """Run simulated nodes for the scenarios at size."""
    if not kube.is_devcluster:
        pytest.skip("KUBECONFIG is set: only the cluster of `make cluster` simulates nodes")
    kube.devcluster("kwok", str(NODES))
    yield
    kube.devcluster("kwok", "0")


@pytest.fixture
def strike(kube: Kube) -> Callable[[Team, str, str], float]:
    """Return a function that kills process 1 of a task's container and returns the time."""
    if not kube.is_devcluster:
        pytest.skip("KUBECONFIG is set: a process of another machine cannot be killed from here")

    def kill(team: Team, run: str, task: str) -> float:
        pod = team.pod(run, task)
        struck = time.time()
        kube.kill(pod)
        return struck

    return kill


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Record the docstring, outcome and duration of a scenario."""
    outcome = yield
    report: pytest.TestReport = outcome.get_result()  # type: ignore[attr-defined]
    if item.get_closest_marker("e2e") is None:
        return
    results = recorded()
    name = item.name.removeprefix("test_")
    if report.when == "setup":
        results[name] = {"seconds": 0.0, "outcome": "interrupted", "timings": {}, "figures": {}}
    entry = results[name]
    entry["asserted"] = " ".join((getattr(item, "function", None).__doc__ or "").split())
    entry["seconds"] = round(float(str(entry["seconds"])) + report.duration, 1)
    if report.when == "call" and report.outcome == "passed":
        entry["outcome"] = "passed"
    if report.outcome != "passed":
        entry["outcome"] = report.outcome if report.when == "call" or report.skipped else "error"
        entry["why"] = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else ""
    if report.when == "teardown":
        for kind in ("timing", "figure"):
            entry[f"{kind}s"] = dict(value for name, value in item.user_properties if name == kind)
    entry["commit"] = commit()
    entry["written"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    write(RECORD, json.dumps(results))


@functools.cache
def commit() -> str:
    """Return the commit of the checkout when the session began."""
    return command(["git", "-C", str(CHECKOUT), "rev-parse", "--short", "HEAD"]).strip()


def recorded() -> dict[str, dict[str, object]]:
    """Return the record since scripts/e2e.sh began it, including the scenarios of a killed session."""
    return dict(json.loads(RECORD.read_text())) if RECORD.exists() else {}
