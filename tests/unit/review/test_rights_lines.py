"""What runs take, and what judges, is in the first lines of a review comment, whatever else is in it."""

import html
from dataclasses import replace
from pathlib import Path

import pytest

from devcluster.paths import CHECKOUT
from tests.unit.review.cases import ARCHIVED, MERGED, RUN, TAKES_ALL
from tests.unit.review.repositories import Case, changed, review_of
from tfd.review.analysis.actions import Action
from tfd.review.analysis.pull_request import PullRequestReview
from tfd.review.analysis.run_review import RunReview
from tfd.review.output import judges
from tfd.review.output.comment import LIMIT, comment
from tfd.review.output.json_report import as_json


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> PullRequestReview:
    """Return the review of a run that starts and of an archived one."""
    head = {"jobs/vision/a.yaml": ARCHIVED, "jobs/vision/zz.yaml": changed(TAKES_ALL, ("20000", "1"))}
    # Without rules, so that only the review comment itself decides about its mark.
    return review_of(tmp_path_factory.mktemp("r") / "r", Case(head, {"review.yaml": "rules: {}\n"}))


def many(run: RunReview, number: int) -> list[RunReview]:
    assert run.merged
    return [replace(run, merged=replace(run.merged, run=f"{run.merged.run}-{n:03}")) for n in range(number)]


def top(text: str) -> str:
    return html.unescape("\n".join(text.splitlines()[:10]))


def test_start_is_shown_before_any_number_of_archived_runs(found: PullRequestReview) -> None:
    archived, start = found.runs
    text = comment(replace(found, runs=[*many(archived, 190), start]))
    assert len(text.encode()) <= LIMIT
    assert "`vision/zz` takes 64 GPUs" in top(text)
    rows = [line for line in text.splitlines() if line.startswith("| `vision/")]
    assert rows[0].startswith("| `vision/zz` | starts |")


def test_every_run_that_starts_is_named(found: PullRequestReview) -> None:
    _, start = found.runs
    text = comment(replace(found, runs=many(start, 200)))
    assert len(text.encode()) <= LIMIT
    assert [n for n in range(200) if f"`vision/zz-{n:03}`" not in top(text)] == []


def test_what_different_runs_take_is_summed_first(found: PullRequestReview) -> None:
    _, start = found.runs
    assert start.rights
    [secret] = start.rights.secrets
    runs = [
        replace(run, rights=replace(start.rights, secrets=(replace(secret, value=f"secret-{n}"),)))
        for n, run in enumerate(many(start, 40))
    ]
    text = comment(replace(found, runs=runs))
    assert len(text.encode()) <= LIMIT
    assert "- 40 runs together take 2,560 GPUs" in top(text)
    assert "⚠️ Not shown in full: " in top(text)
    assert "of 40 Secrets" in top(text)


@pytest.mark.parametrize("count", [1, 5_000])
def test_place_that_judges_is_named_among_any_number_of_files(count: int, found: PullRequestReview) -> None:
    paths = [f"tfd/a-{n}.py" for n in range(count)] + [f"!{n}/.gitignore" for n in range(count)]
    text = comment(replace(found, runs=[], other_paths=[*paths, "review.yaml", "x/CODEOWNERS", "Makefile"]))
    assert len(text.encode()) <= LIMIT
    line = next(line for line in text.splitlines() if line.startswith("⚠️ Changes what judges"))
    assert line in top(text)
    for name in ("`review.yaml`", "`x/CODEOWNERS`", "`Makefile`", "`tfd/a-0.py`", "`!0/.gitignore`"):
        assert name in line
    assert text.startswith("<!-- tfd review -->\n### ⚠️")


@pytest.mark.parametrize("path", [".venv/bin/tfd", ".python-version", "setup.cfg", "uv.toml", "go.work", "venv.py"])
def test_hidden_and_top_level_files_judge(path: str, found: PullRequestReview) -> None:
    """Git keeps a file that .gitignore names once it is added, and a merged .venv/ would be the tool of each review."""
    text = comment(replace(found, runs=[], other_paths=[path, "docs/x.md"]))
    assert f"⚠️ Changes what judges later pull requests: `{path}`." in top(text)
    assert "without an effect on runs: `docs/x.md`." in text


def test_prose_and_folders_of_other_work_do_not_judge(found: PullRequestReview) -> None:
    paths = ["README.md", "LICENSE", "curves.ipynb", "src/.venv/x", "src/setup.cfg"]
    assert "what judges" not in comment(replace(found, runs=[], other_paths=paths))


def test_place_that_judges_exists() -> None:
    missing = [place for place in judges._PLACES if not (CHECKOUT / place).exists()]
    assert missing == [".pre-commit-config.yaml"]  # A repository of job files may have it.


@pytest.mark.parametrize("size", [100, 2_000])
def test_cut_command_is_a_warning(size: int, found: PullRequestReview) -> None:
    _, start = found.runs
    assert start.rights
    run = replace(start, rights=replace(start.rights, command=("sh", "-c", f"{size * 'x'} the-end")))
    text = comment(replace(found, runs=[run]))
    assert ("### ⚠️" in top(text)) == ("Not shown in full: the middle of a command" in top(text)) == (size > 1_000)
    assert ("### ✅" in top(text)) == (size < 1_000)
    assert "the-end" in top(text)


def test_growth_of_a_live_run_is_in_the_headline(tmp_path: Path) -> None:
    before, after = (f"{RUN}deadline: {hours}h\n" for hours in (1, 3))
    path = "jobs/vision/digits-41.yaml"
    text = comment(review_of(tmp_path / "r", Case({path: after}, {path: before})))
    assert "changes 1 run in place: 4 GPU-hours to 12 GPU-hours" in top(text)
    assert "takes **4 GPUs in 9 pods for at most 3 h" in top(text)
    assert "Before: 4 GPUs in 9 pods for at most 1 h" in top(text)


def test_run_that_waits_for_a_tag_has_no_check_mark(tmp_path: Path) -> None:
    text = comment(
        review_of(tmp_path / "r", Case({"jobs/vision/new.yaml": changed(RUN, ("20000", "2"))}, MERGED, tagged=False))
    )
    assert "### ⚠️ Merging starts nothing yet" in top(text)


def test_json_has_what_an_archived_run_takes(found: PullRequestReview) -> None:
    archived = as_json(found)["runs"][0]
    assert archived["action"] == Action.ADDED_ARCHIVED.name.lower()
    assert archived["rights"]["request"]["gpus"] == 4
