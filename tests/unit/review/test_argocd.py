"""The emulation of Argo CD; tests/e2e/test_gitops_emulated.py compares it with the real one."""

from typing import Any

import pytest

from tests.unit.review.malformed_files import BLOCKS, FILES, NOTHING
from tests.unit.review.repositories import RUN
from tfd.jobfile import helm_yaml
from tfd.review.analysis.argocd import Application, Emulation, emulate
from tfd.review.sources.git import Entry
from tfd.review.sources.job_files import Tree, job_of


def emulation(
    *files: tuple[str, bytes], refused: dict[str, str] | None = None, base: dict[str, Application] | None = None
) -> Emulation:
    jobs = {path: job_of(Entry(path, "100644", path, len(data)), data) for path, data in files}
    return emulate(Tree(jobs, refused or {}), ["examples"], base or {})


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


def test_job_file_gives_an_application() -> None:
    values = helm_yaml.load(RUN).value
    found = emulation(("jobs/vision/a.yaml", RUN.encode()), ("jobs/examples/b.yaml", RUN.encode()))
    assert found == Emulation({"vision-a": application("a", values["chartVersion"], values)}, [])


@pytest.mark.parametrize("name", FILES)
def test_malformed_file_gives_what_argo_cd_gives(name: str) -> None:
    data, outcome = FILES[name]
    found = emulation((f"jobs/vision/{name}.yaml", data))
    assert [each.path for each in found.blocked] == ([f"jobs/vision/{name}.yaml"] if outcome == BLOCKS else [])
    if isinstance(outcome, str):
        assert outcome in (BLOCKS, NOTHING)
        assert found.generated == {}
    else:
        assert found.applications == {f"vision-{name}": application(name, *outcome)}


def test_broken_file_blocks_its_team_only_and_deletes_nothing() -> None:
    base = emulation(("jobs/vision/old.yaml", b""), ("jobs/speech/old.yaml", b"")).applications
    found = emulation(
        ("jobs/vision/broken.yaml", b"["), ("jobs/vision/a.yaml", b""), ("jobs/speech/b.yaml", b""), base=base
    )
    assert list(found.applications) == ["speech-b"]
    assert found.deleted(base) == ["speech-old"]


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
def test_refused_file_blocks_a_team_only_if_argo_cd_reads_it(path: str, team: str) -> None:
    assert [each.team for each in emulation(refused={path: "too large"}).blocked] == ([team] if team else [])


def test_list_of_several_mappings_leaves_the_application_unchanged() -> None:
    base = emulation(("jobs/vision/a.yaml", b"b: 1\n")).applications
    found = emulation(("jobs/vision/a.yaml", b"- {b: 2}\n- {b: 3}\n"), base=base)
    assert (found.applications, found.deleted(base)) == (base, [])


def test_application_name_belongs_to_the_first_team_that_uses_it() -> None:
    one, two = ("jobs/a/b-c.yaml", b"x: 1\n"), ("jobs/a-b/c.yaml", b"x: 2\n")
    base = emulation(one).applications
    found = emulation(one, two, base=base)
    assert found.applications == base
    assert [each.path for each in found.blocked] == ["jobs/a-b/c.yaml"]
    assert len(emulation(one, two).blocked) == 2


@pytest.mark.parametrize("version", ["yes", "1.0", "1000000", "[0.1.0, 2]", "{a: 1}", "''", "null"])
def test_version_that_is_not_a_string_selects_no_chart(version: str) -> None:
    """The schema refuses such a file, so the review does not repeat how Go prints each of these values."""
    [found] = emulation(("jobs/vision/a.yaml", f"chartVersion: {version}\n".encode())).applications.values()
    assert found["source"]["targetRevision"] == "refs/tags/tf-distributed-CHARTVERSION-IS-NOT-SET"
