"""What the review says that Argo CD makes of each file; an end-to-end scenario holds it against Argo CD itself."""

from typing import Any

import pytest

from tests.unit.review.malformed_files import FILES, NOTHING, STOPS
from tests.unit.review.repositories import RUN
from tfd.jobfile import helm_yaml
from tfd.review.analysis.argocd import Application, Emulation, emulate
from tfd.review.sources.git import Entry
from tfd.review.sources.job_files import Tree, job_of


def emulation(
    *files: tuple[str, bytes], refused: dict[str, str] | None = None, there: dict[str, Application] | None = None
) -> Emulation:
    jobs = {path: job_of(Entry(path, "100644", path, len(data)), data) for path, data in files}
    return emulate(Tree(jobs, refused or {}), ["examples"], there or {})


def application(run: str, version: str, values: dict[str, Any], team: str = "vision") -> Application:
    return {
        "name": f"{team}-{run}",
        "project": team,
        "source": {
            "targetRevision": f"refs/tags/tf-distributed-{version}",
            "path": "charts/tf-distributed",
            "helm": {"releaseName": run, "values": values},
        },
        "destination": {"namespace": team},
        "syncPolicy": {"automated": {"prune": True, "selfHeal": False}},
    }


def test_a_job_file_is_an_application() -> None:
    values = helm_yaml.load(RUN).value
    found = emulation(("jobs/vision/a.yaml", RUN.encode()), ("jobs/examples/b.yaml", RUN.encode()))
    assert found == Emulation({"vision-a": application("a", values["chartVersion"], values)}, [])


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_job_file(name: str) -> None:
    data, outcome = FILES[name]
    found = emulation((f"jobs/vision/{name}.yaml", data))
    assert [stop.path for stop in found.stops] == ([f"jobs/vision/{name}.yaml"] if outcome == STOPS else [])
    if isinstance(outcome, str):
        assert outcome in (STOPS, NOTHING)
        assert found.made == {}
    else:
        assert found.applications == {f"vision-{name}": application(name, *outcome)}


def test_a_stop_is_of_one_team_and_deletes_nothing() -> None:
    there = emulation(("jobs/vision/old.yaml", b""), ("jobs/speech/old.yaml", b"")).applications
    found = emulation(
        ("jobs/vision/broken.yaml", b"["), ("jobs/vision/a.yaml", b""), ("jobs/speech/b.yaml", b""), there=there
    )
    assert list(found.applications) == ["speech-b"]
    assert found.deletes(there) == ["speech-old"]


@pytest.mark.parametrize(
    ("path", "team"),
    [
        ("jobs/vision/Large.yaml", "vision"),
        ("jobs/vision/a\nb.yaml", "vision"),
        ("jobs/vision/deep/a.yaml", ""),
        ("jobs/vision/a.yml", ""),
        ("jobs/Vision/a.yaml", ""),
        ("jobs/a.yaml", ""),
        ("jobs/examples/Large.yaml", ""),
    ],
)
def test_a_refused_file_may_stop_a_team_that_takes_it(path: str, team: str) -> None:
    assert [stop.team for stop in emulation(refused={path: "too large"}).stops] == ([team] if team else [])


def test_a_list_of_several_leaves_what_is_there() -> None:
    there = emulation(("jobs/vision/a.yaml", b"b: 1\n")).applications
    found = emulation(("jobs/vision/a.yaml", b"- {b: 2}\n- {b: 3}\n"), there=there)
    assert (found.applications, found.deletes(there)) == (there, [])


def test_of_two_teams_with_one_application_it_is_the_first_ones() -> None:
    one, two = ("jobs/a/b-c.yaml", b"x: 1\n"), ("jobs/a-b/c.yaml", b"x: 2\n")
    there = emulation(one).applications
    found = emulation(one, two, there=there)
    assert found.applications == there
    assert [stop.path for stop in found.stops] == ["jobs/a-b/c.yaml"]
    assert len(emulation(one, two).stops) == 2
