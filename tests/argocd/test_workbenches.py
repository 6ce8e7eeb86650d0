"""The ApplicationSets of workbenches that `helm template argocd` renders."""

import copy
import json
from pathlib import Path

import pytest

from tests.argocd.test_render import LINKS, TEAMS, Object, objects, template


def spec_of(tmp_path: Path, kind: str, **values: object) -> Object:
    return dict(objects(tmp_path, **values)["ApplicationSet", "argocd", f"{kind}-vision"]["spec"])


def test_a_workbench_has_its_own_chart_heals_and_takes_over_no_object(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "workbenches")["template"]["spec"]
    assert spec["source"]["path"] == "charts/workbench"
    assert spec["syncPolicy"] == {
        "automated": {"prune": True, "selfHeal": True},
        "syncOptions": ["ServerSideApply=true", "FailOnSharedResource=true"],
    }


def test_a_workbench_file_is_read_like_a_job_file(tmp_path: Path) -> None:
    """Project, tag, values, globbing and comparison are the same, so what holds for runs holds for workbenches."""
    runs, found = spec_of(tmp_path, "runs"), spec_of(tmp_path, "workbenches")
    expected = copy.deepcopy(runs)
    expected["generators"][0]["git"]["files"] = [
        {"path": "workbenches/vision/*.yaml"},
        {"path": "workbenches/vision/*/*.yaml", "exclude": True},
    ]
    for each in (expected, found):
        del each["template"]["metadata"]["name"]
        del each["template"]["spec"]["syncPolicy"]
    expected["template"]["spec"]["source"]["path"] = "charts/workbench"
    del expected["template"]["spec"]["ignoreDifferences"]  # The chart renders no Workload of Kueue.
    assert found == expected


def test_a_workbench_never_has_the_application_name_of_a_run(tmp_path: Path) -> None:
    """The names of teams and runs have no dot. The name of a run's Application begins with that of its team."""
    names = {
        f"{kind}-{team}": objects(tmp_path)["ApplicationSet", "argocd", f"{kind}-{team}"]["spec"]["template"][
            "metadata"
        ]
        for kind in ("runs", "workbenches")
        for team in TEAMS
    }
    assert {name: each["name"] for name, each in names.items()} == {
        **{f"runs-{team}": team + '-{{ trimSuffix ".yaml" .path.filename }}' for team in TEAMS},
        **{f"workbenches-{team}": f"workbench.{team}." + '{{ trimSuffix ".yaml" .path.filename }}' for team in TEAMS},
    }


def test_links_and_notifications_are_those_of_runs_only(tmp_path: Path) -> None:
    more = {"links": LINKS, "notifications": {"github": "example-org/runs"}}
    assert spec_of(tmp_path, "workbenches", **more) == spec_of(tmp_path, "workbenches")
    assert spec_of(tmp_path, "runs", **more) != spec_of(tmp_path, "runs")


@pytest.mark.parametrize("folder", ["jobs", "jobs/"])
def test_job_files_and_workbench_files_in_one_folder_are_refused(tmp_path: Path, folder: str) -> None:
    done = template(tmp_path, workbenches=folder)
    assert done.returncode != 0
    assert (
        f"tf-distributed: workbenches: got {json.dumps(folder)}; expected another folder than jobs. "
        "Set workbenches to a folder of its own."
    ) in done.stderr


def test_both_folders_can_have_other_names(tmp_path: Path) -> None:
    files = {
        kind: spec_of(tmp_path, kind, jobs="training/jobs", workbenches="training/workbenches")["generators"][0]["git"]
        for kind in ("runs", "workbenches")
    }
    assert [each["files"][0]["path"] for each in files.values()] == [
        "training/jobs/vision/*.yaml",
        "training/workbenches/vision/*.yaml",
    ]
