"""Two runs of a team never own one object: Argo CD would apply both of them to it."""

from pathlib import Path

import pytest

from tests.chart.rendering import ROOT
from tests.unit.review.cases import OLD
from tests.unit.review.repositories import DIGEST, RUN, Case, Files, changed, review_of
from tfd.review.analysis.findings import Level

NAMES = "charts/tf-distributed/templates/_names.tpl"
# A chart before the reserved ends of names lets a run have the name of an object of another run.
OLDER: Files = {NAMES: changed((ROOT / NAMES).read_text(), ('["code", "tensorboard", "workbench"]', "[]"))}
CODE = "code: {files: {train.py: 'print(1)'}}\n"
NO_BOARD = changed(RUN, (f"image: registry.example.com/tools/tensorboard@{DIGEST}", "enabled: false"))
CREATE = changed(RUN, ("{claim: runs}", "{create: {size: 1Ti}}"))
FIX = "expected objects of this run only. Rename this file."


def refused(folder: Path, head: Files, base: Files) -> list[str]:
    """Return file and message of each refusal on a chart without reserved names."""
    found = review_of(folder / "r", Case(head, {**OLDER, **base}, tagged=False))
    return [f"{Path(each.path).name}: {each.message}" for each in found.of_level(Level.REFUSED) if not each.rule]


SHARED = {
    "new-run-with-the-name-of-a-part": (
        {"jobs/vision/digits-41-code.yaml": RUN},
        {OLD: f"{RUN}{CODE}"},
        ["digits-41-code.yaml: got the object ConfigMap/digits-41-code, which jobs/vision/digits-41.yaml also has; "],
    ),
    "new-run-whose-part-has-the-name-of-a-run": (
        {OLD: RUN},
        {"jobs/vision/digits-41-tensorboard.yaml": RUN},
        ["digits-41.yaml: got the object NetworkPolicy/digits-41-tensorboard, "
         "which jobs/vision/digits-41-tensorboard.yaml also has; "],
    ),
    "both-new": (
        {OLD: f"{RUN}{CODE}", "jobs/vision/digits-41-code.yaml": changed(RUN, ("20000", "1"))},
        {},
        ["digits-41-code.yaml: got the object ConfigMap/digits-41-code, which jobs/vision/digits-41.yaml also has; ",
         "digits-41.yaml: got the object ConfigMap/digits-41-code, which jobs/vision/digits-41-code.yaml also has; "],
    ),
    "archived-run": (
        {"jobs/vision/digits-41-code.yaml": f"{RUN}state: archived\n"},
        {OLD: f"{RUN}{CODE}state: archived\n"},
        ["digits-41-code.yaml: got the object ConfigMap/digits-41-code, which jobs/vision/digits-41.yaml also has; "],
    ),
    "merged-run-that-gets-a-part": (
        {OLD: RUN},
        {OLD: NO_BOARD, "jobs/vision/digits-41-tensorboard.yaml": RUN},
        ["digits-41.yaml: got the object NetworkPolicy/digits-41-tensorboard, "
         "which jobs/vision/digits-41-tensorboard.yaml also has; "],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SHARED)
def test_run_that_would_own_an_object_of_another_run_is_refused(name: str, tmp_path: Path) -> None:
    head, base, messages = SHARED[name]
    assert refused(tmp_path, head, base) == [f"{message}{FIX}" for message in messages]


@pytest.mark.parametrize(
    ("head", "base"),
    [
        ({"jobs/speech/digits-41-code.yaml": RUN}, {OLD: f"{RUN}{CODE}"}),
        ({"jobs/vision/digits-41-codes.yaml": RUN}, {OLD: f"{RUN}{CODE}"}),
        ({"jobs/vision/digits-41-chief.yaml": RUN}, {OLD: RUN}),
        ({OLD: f"{RUN}owner: Ada\n"}, {OLD: RUN, "jobs/vision/digits-41-tensorboard.yaml": RUN}),
    ],
    ids=["other-team", "other-name", "other-kind", "merged-before"],
)
def test_run_with_objects_of_its_own_is_fine(head: Files, base: Files, tmp_path: Path) -> None:
    assert refused(tmp_path, head, base) == []


USERS = {
    "storage": changed(RUN, ("claim: runs", "claim: digits-41-storage")),
    "data": f"{RUN}data: {{claim: digits-41-storage}}\n",
}


@pytest.mark.parametrize("user", USERS)
def test_claim_of_another_run_is_not_created(user: str, tmp_path: Path) -> None:
    other = "jobs/vision/other.yaml"
    message = f"digits-41.yaml: storage.create: got the new claim digits-41-storage, which {other} already uses; "
    assert refused(tmp_path, {OLD: CREATE}, {other: USERS[user]}) == [
        f"{message}expected a claim of this run only. Rename this file."
    ]


def test_claim_is_created_where_no_other_run_of_the_team_uses_it(tmp_path: Path) -> None:
    base: Files = {"jobs/vision/other.yaml": RUN, "jobs/speech/other.yaml": USERS["data"]}
    assert refused(tmp_path, {OLD: CREATE}, base) == []
