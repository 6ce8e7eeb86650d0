"""The work of a review, counted: `helm template` processes for a few changed files among many."""

from pathlib import Path

import pytest

from tests.unit.review.cases import FASTER, MERGED, NEW, ONE_GPU
from tests.unit.review.repositories import Case, changed, review_of
from tfd.jobfile import helm

FILES = 100
OF_ALL_TEAMS = {f"jobs/t{n % 10}/run-{n}.yaml": changed(ONE_GPU, ("20000", f"{n + 1}")) for n in range(FILES)}
OF_ONE_TEAM = {f"jobs/vision/run-{n}.yaml": changed(ONE_GPU, ("20000", f"{n + 1}")) for n in range(FILES)}
CASES = {
    "1 new file": (Case({NEW: FASTER}, MERGED), 3),
    "3 changed of 100": (
        Case(
            {
                NEW: FASTER,
                "jobs/t7/run-7.yaml": f"{OF_ALL_TEAMS['jobs/t7/run-7.yaml']}state: suspended\n",
                "jobs/t8/run-8.yaml": f"{OF_ALL_TEAMS['jobs/t8/run-8.yaml']}owner: Ada\n",
            },
            {**MERGED, **OF_ALL_TEAMS},
        ),
        9,
    ),
    "3 new in a team of 100": (
        Case({f"jobs/vision/new-{n}.yaml": changed(FASTER, ("60000", f"{n + 1}")) for n in range(3)}, {**OF_ONE_TEAM}),
        8,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_number_of_renderings_depends_on_the_changed_files_only(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each changed file is rendered once per side, plus the nearest run and one run of each topology."""
    case, most = CASES[name]
    rendered: list[str] = []
    template = helm.template

    def counted(run: str, *arguments: Path | str) -> str:
        rendered.append(run)
        return template(run, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(helm, "template", counted)
    review = review_of(tmp_path / "repository", case)
    assert review.exit_code == 0
    assert 0 < len(rendered) <= most
