"""The queues of argocd/values.yaml: reading them from the base branch, and the rule that a team uses its own."""

from pathlib import Path

import pytest

from tests.argocd.test_render import ROOT
from tests.unit.review.cases import FASTER, MERGED, NEW, OLD
from tests.unit.review.repositories import BENCH, RUN, Case, Files, build, review_of
from tfd.review.analysis.findings import Level
from tfd.review.analysis.pull_request import PullRequestReview
from tfd.review.analysis.team_queues import FILE, QueuesError, TeamQueues, load_queues

TEAMS = """\
queues:
  cohort: gpus
  flavors: [{name: h100}, {name: a100, nodeLabels: {gpu: a100}}]
  priorities: {low: 10, normal: null, high: 1000}
teams:
  vision: {queue: {a100: {cpu: 64, memory: 256Gi, nvidia.com/gpu: 16}}}
  speech: {queue: {a100: {cpu: 500m, memory: 1Gi, nvidia.com/gpu: "8"}}}
  audio:
"""
RULES = "rules: {teamQueue: {waiver: []}}\n"
IN_QUEUE = "scheduling: {queue: vision}\n"


def review(folder: Path, head: Files, base: Files | None = None) -> PullRequestReview:
    return review_of(folder / "r", Case(head, {FILE: TEAMS, "review.yaml": RULES} | (base or {})))


def findings(found: PullRequestReview) -> list[tuple[Level, str, str]]:
    return [(each.level, each.path, str(each.message)) for each in found.all_findings if each.level != Level.WARNING]


def test_queues_are_read_as_helm_reads_them(tmp_path: Path) -> None:
    repository = build(tmp_path / "r", Case({}, {FILE: TEAMS}))
    found = load_queues(repository, "main")
    assert found.quotas == {
        "vision": {"a100": {"cpu": 64, "memory": 256 * 2**30, "nvidia.com/gpu": 16}},
        "speech": {"a100": {"cpu": 0.5, "memory": 2**30, "nvidia.com/gpu": 8}},
    }
    assert (found.cohort, found.priorities) == ("gpus", {"low": 10, "high": 1000})
    assert found.node_labels == {"h100": {}, "a100": {"gpu": "a100"}}


def test_the_values_of_this_repository_give_no_team_a_queue(tmp_path: Path) -> None:
    repository = build(tmp_path / "r", Case({}, {FILE: (ROOT / FILE).read_text()}))
    found = load_queues(repository, "main")
    assert (found.quotas, found.priorities) == ({}, {"low": 10, "normal": 100, "high": 1000})
    assert load_queues(build(tmp_path / "without", Case({})), "main") == TeamQueues()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", "queues: got other values; expected the form"),
        ("teams: [a]\n", "queues: got other values; expected the form"),
        ("teams: {vision: {queue: {a100: {cpu: many}}}}\n", "queues: got other values; expected the form"),
        ("teams: {vision: {queue: {a100: 3}}}\n", "queues: got other values; expected the form"),
        ("queues: {flavors: [{}]}\n", "queues: got other values; expected the form"),
        ("queues: {priorities: {high: x}}\n", "queues: got other values; expected the form"),
        ("teams: {\n", "file: got invalid YAML"),
        (f"a: {70_000 * 'x'}\n", "file: got 70,004 bytes; expected at most 65,536 bytes."),
        ("a: \udcff\n", "file: got invalid UTF-8; expected UTF-8."),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_and_stops_only_reviews_with_the_rule(
    text: str, message: str, tmp_path: Path
) -> None:
    repository = build(tmp_path / "r", Case({FILE: text}))
    with pytest.raises(QueuesError) as error:
        load_queues(repository, "head")
    assert str(error.value).startswith(message)
    [(level, path, said)] = findings(review(tmp_path / "head", {FILE: text}))
    assert (level, path) == (Level.REFUSED, FILE)
    assert said.startswith(message.removeprefix("file: "))
    assert [level for level, *_ in findings(review(tmp_path / "base", {NEW: FASTER}, {FILE: text}))] == [Level.UNKNOWN]
    other = review(tmp_path / "other", {NEW: FASTER}, {FILE: text, "review.yaml": "rules: {}\n"})
    assert other.exit_code == 0
    assert FILE in [each.path for each in other.of_level(Level.WARNING)]


@pytest.mark.parametrize("key", ["jobs", "workbenches"])
def test_a_folder_that_the_review_does_not_read_stops_each_review(key: str, tmp_path: Path) -> None:
    """A run in training/vision would start without a line in any review."""
    text, lax = f"{key}: training\n", {"review.yaml": "rules: {}\n"}
    [(level, path, said)] = findings(review(tmp_path / "head", {FILE: text}, lax))
    assert (level, path) == (Level.REFUSED, FILE)
    assert said.startswith(f'{key}: got "training"; expected {key}, the only folder of ')
    assert said.endswith(f" that the review reads. Set {key}: {key}, and move the files there.")
    found = review(tmp_path / "base", {"training/vision/x.yaml": FASTER}, {FILE: text, **lax})
    assert (found.exit_code, [level for level, *_ in findings(found)]) == (2, [Level.UNKNOWN])
    assert findings(review(tmp_path / "usual", {NEW: FASTER}, {FILE: f"{key}: {key}/\n", **lax})) == []


@pytest.mark.parametrize("path", ["jobs/visoin/a.yaml", "workbenches/visoin/a.yaml"])
def test_team_that_argo_cd_does_not_have_is_a_warning(path: str, tmp_path: Path) -> None:
    """A word with two letters exchanged would start nothing, without any message."""
    text = BENCH if path.startswith("workbenches") else FASTER
    found = review(tmp_path / "r", {path: text})
    message = (
        f"Team visoin is not one of teams in {FILE}, so Argo CD does not read the file. "
        "Add the team there first, or move the file."
    )
    assert [(each.path, str(each.message)) for each in found.of_level(Level.WARNING)] == [(path, message)]
    assert not review(tmp_path / "all", {path: text}, {FILE: "teams: {}\n"}).of_level(Level.WARNING)
    assert not review(tmp_path / "audio", {path.replace("visoin", "audio"): text}).of_level(Level.WARNING)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (NEW, f"{FASTER}{IN_QUEUE}"),
        ("jobs/audio/a.yaml", FASTER),
    ],
    ids=["own queue", "team without a queue"],
)
def test_runs_in_the_queue_of_their_team_are_accepted(path: str, text: str, tmp_path: Path) -> None:
    assert findings(review(tmp_path, {path: text})) == []


@pytest.mark.parametrize(
    ("text", "got"),
    [
        (FASTER, "nothing"),
        (f"{FASTER}state: archived\n", "nothing"),
        (f"{FASTER}scheduling: {{queue: speech}}\n", "speech"),
        (f"{FASTER.replace('gpus: 1', 'gpus: 0')}", "nothing"),
    ],
    ids=["no queue", "archived", "another queue", "no GPUs"],
)
def test_runs_outside_the_queue_of_their_team_are_refused(text: str, got: str, tmp_path: Path) -> None:
    message = (
        f"scheduling.queue: got {got}; expected vision, the queue that {FILE} gives to the team. "
        "Set scheduling.queue: vision."
    )
    assert findings(review(tmp_path, {NEW: text})) == [(Level.REFUSED, NEW, message)]


def test_only_the_base_branch_gives_a_team_its_queue(tmp_path: Path) -> None:
    """A pull request cannot take the queue of its team away, nor give another queue."""
    found = findings(review(tmp_path, {NEW: FASTER, FILE: "teams: {vision: {}}\n"}))
    assert [path for _, path, _ in found] == [NEW]


def test_a_merged_run_keeps_its_place_until_it_starts_again(tmp_path: Path) -> None:
    assert findings(review(tmp_path / "a", {OLD: f"{RUN}owner: Ada\n"}, {**MERGED})) == []
    assert findings(review(tmp_path / "b", {OLD: f"{RUN}state: suspended\n"}, {**MERGED})) == []
    archived = f"{RUN}state: archived\n"
    assert findings(review(tmp_path / "c", {OLD: f"{archived}owner: Ada\n"}, {OLD: archived})) == []
    [found] = findings(review(tmp_path / "d", {OLD: RUN}, {OLD: f"{RUN}state: suspended\n"}))
    assert found[:2] == (Level.REFUSED, OLD)
