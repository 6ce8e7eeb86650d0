"""The place of a run in its queue: the remaining quota, whether it can ever fit, and which runs it could preempt."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.review.cases import FASTER, IN_QUEUE, NEW, OLD, QUEUES, SPEECH
from tests.unit.review.repositories import RUN, Case, Files, changed, review_of
from tfd.jobfile.helm import render
from tfd.quantities import quantity
from tfd.review.analysis import queue_places
from tfd.review.analysis.findings import Level
from tfd.review.analysis.pull_request import PullRequestReview
from tfd.review.analysis.queue_place import Outlook, Queued, QueuePlace, amounts_of, place_of
from tfd.review.analysis.team_queues import Amounts, TeamQueues
from tfd.review.output.comment import comment, lines
from tfd.review.output.json_report import as_json
from tfd.review.sources.rendering import Rendering

GPU = "nvidia.com/gpu"
VISION = {"a100": {"cpu": 64, GPU: 8}}
SPEECH_QUOTA = {"a100": {"cpu": 32, GPU: 4}}
PRIORITIES = {"low": -10, "high": 10}
EMPTY: dict[str, Amounts] = {}


def tasks(role: str, replicas: int, resources: dict[str, Any], **spec: object) -> dict[str, Any]:
    """Return a Kubernetes Job of a role."""
    containers = [{"name": "trainer", "resources": {"limits": resources}}]
    labels = {"app.kubernetes.io/component": role}
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers, **spec}}
    return {
        "kind": "Job", "metadata": {"name": role}, "spec": {"parallelism": replicas, "template": template}
    }  # fmt: skip


def place(
    *jobs: dict[str, Any],
    queues: TeamQueues | None = None,
    mates: tuple[Queued, ...] = (),
    priority: str = "",
    lent: dict[str, Amounts] | None = EMPTY,
) -> QueuePlace:
    queues = queues or TeamQueues({"vision": VISION}, priorities=PRIORITIES)
    return place_of(Rendering("", list(jobs)), "vision", priority, queues, mates, lent)


def cohort(**quotas: dict[str, Amounts]) -> TeamQueues:
    return TeamQueues({"vision": VISION, "speech": SPEECH_QUOTA} | quotas, cohort="gpus", priorities=PRIORITIES)


def gpus(number: int) -> dict[str, Any]:
    return tasks("worker", number, {"cpu": 1, GPU: 1})


def mate(name: str, number: float, priority: int | None = 0) -> Queued:
    return Queued(f"vision/{name}", priority, {GPU: number})


def left(found: QueuePlace, resource: str = GPU) -> tuple[float, float, float, float, float | None]:
    [share] = [each for each in found.shares if each.resource == resource]
    return share.asked, share.quota, share.used, share.left, share.cohort_left


@pytest.mark.parametrize(
    ("number", "held", "outlook"),
    [
        (8, 0, Outlook.FITS), (5, 3, Outlook.FITS), (6, 3, Outlook.WAITS), (8, 9, Outlook.WAITS), (9, 0, Outlook.NEVER),
    ],
)  # fmt: skip
def test_without_a_cohort_the_quota_of_the_team_is_the_limit(number: int, held: int, outlook: Outlook) -> None:
    found = place(gpus(number), mates=(mate("a", held),))
    assert found.outlook is outlook
    assert left(found) == (number, 8, held, 8 - held, 8 - held)
    assert (found.refused, (found.most or {})[GPU]) == (GPU if number > 8 else "", 8)


@pytest.mark.parametrize(
    ("number", "held", "of_speech", "outlook", "after"),
    [
        (8, 0, 0, Outlook.FITS, 12), (8, 0, 4, Outlook.FITS, 8), (8, 0, 5, Outlook.RECLAIMS, 7),
        (9, 0, 0, Outlook.BORROWS, 12), (9, 0, 3, Outlook.BORROWS, 9), (9, 0, 4, Outlook.WAITS, 8),
        (4, 6, 2, Outlook.BORROWS, 4), (12, 0, 0, Outlook.BORROWS, 12), (13, 0, 0, Outlook.NEVER, 12),
    ],
)  # fmt: skip
def test_a_cohort_lends_what_its_other_teams_do_not_use(
    number: int, held: int, of_speech: int, outlook: Outlook, after: int
) -> None:
    found = place(gpus(number), queues=cohort(), mates=(mate("a", held),), lent={"speech": {GPU: of_speech}})
    assert found.outlook is outlook
    assert left(found) == (number, 8, held, 8 - held, after)
    assert found.reclaims_from == (("speech",) if of_speech > 4 else ())


def test_flavors_that_the_team_does_not_have_lend_nothing() -> None:
    other = cohort(speech={"h100": {"cpu": 64, GPU: 100}})
    assert place(gpus(9), queues=other).outlook is Outlook.NEVER
    both = cohort(speech={"h100": {"cpu": 64, GPU: 100}, "a100": {"cpu": 8, GPU: 2}})
    found = place(gpus(9), queues=both, lent={"speech": {GPU: 1}})
    assert (found.outlook, left(found)[4]) == (Outlook.BORROWS, 10)
    assert place(gpus(11), queues=both).outlook is Outlook.NEVER


def test_a_cohort_with_too_many_kinds_of_runs_is_not_known() -> None:
    assert place(gpus(9), queues=cohort(), lent=None).outlook is Outlook.UNKNOWN
    assert left(place(gpus(9), queues=cohort(), lent=None))[4] is None
    assert place(gpus(13), queues=cohort(), lent=None).outlook is Outlook.NEVER


@pytest.mark.parametrize(
    ("priority", "runs", "outlook"),
    [
        ("", ("low",), Outlook.PREEMPTS), ("high", ("equal", "low"), Outlook.PREEMPTS), ("low", (), Outlook.WAITS),
        ("unknown", (), Outlook.WAITS),
    ],
)  # fmt: skip
def test_runs_of_a_lower_priority_in_the_same_queue_can_be_preempted(
    priority: str, runs: tuple[str, ...], outlook: Outlook
) -> None:
    mates = (mate("low", 4, -10), mate("equal", 0, 0), mate("high", 1, 10), mate("unknown", 1, None))
    found = place(gpus(6), mates=mates, priority=priority)
    assert found.preempts == tuple(f"vision/{name}" for name in runs)
    assert found.outlook is outlook
    assert found.priority_value == {"": 0, "unknown": None, **PRIORITIES}[priority]


def test_a_run_waits_if_the_lower_ones_hold_too_little() -> None:
    assert place(gpus(6), mates=(mate("low", 2, -1), mate("a", 3))).outlook is Outlook.WAITS


def test_a_resource_without_a_quota_never_starts() -> None:
    found = place(tasks("worker", 1, {"amd.com/gpu": 1}))
    assert (found.outlook, found.refused, (found.most or {}).get("amd.com/gpu", 0)) == (
        Outlook.NEVER, "amd.com/gpu", 0
    )  # fmt: skip


def test_tasks_of_a_role_are_in_one_flavor_that_has_their_node_labels() -> None:
    small = {"h100": {"cpu": 9, GPU: 4}, "a100": {"cpu": 9, GPU: 4}}
    queues = TeamQueues({"vision": small}, {"h100": {"gpu": "h100"}, "a100": {"gpu": "a100"}})
    two = (tasks("chief", 1, {GPU: 4}), tasks("worker", 2, {GPU: 2}))
    assert place(*two, queues=queues).outlook is Outlook.FITS
    one = place(tasks("worker", 8, {GPU: 1}), queues=queues)
    assert (one.outlook, one.refused) == (Outlook.NEVER, "")
    same = [tasks(role, 1, {GPU: 4}, nodeSelector={"gpu": "a100", "zone": "b"}) for role in ("chief", "worker")]
    assert place(same[0], queues=queues).outlook is Outlook.FITS
    assert place(*same, queues=queues).outlook is Outlook.NEVER
    assert place(tasks("chief", 1, {GPU: 1}, nodeSelector={"gpu": "b200"}), queues=queues).outlook is Outlook.NEVER


def test_a_run_asks_for_what_the_workload_of_kueue_counts_and_tensorboard_for_nothing(tmp_path: Path) -> None:
    job = tmp_path / "digits.yaml"
    code = f"{{git: {{repository: 'https://github.com/a/b', commit: {40 * 'a'}}}}}"
    job.write_text(f"{FASTER}{IN_QUEUE}code: {code}\n")
    objects = render("digits", "vision", job)
    [workload] = [each for each in objects if each["kind"] == "Workload"]
    counted: Amounts = {}
    for pods in workload["spec"]["podSets"]:
        [container] = pods["template"]["spec"]["containers"]  # each requests more than its init container
        for name, amount in {**container["resources"]["limits"], **container["resources"]["requests"]}.items():
            counted[name] = counted.get(name, 0) + pods["count"] * quantity(amount)
    assert amounts_of(Rendering("", objects)) == counted
    assert counted[GPU] == 4


def review(folder: Path, head: Files, base: Files | None = None) -> PullRequestReview:
    return review_of(folder / "r", Case(head, QUEUES | (base or {})))


def test_only_active_runs_of_the_merge_count_and_only_the_base_gives_quota(tmp_path: Path) -> None:
    others = {f"jobs/vision/{state}.yaml": f"{FASTER}{IN_QUEUE}state: {state}\n" for state in ("suspended", "archived")}
    outside = {"jobs/vision/outside.yaml": FASTER, "jobs/speech/b.yaml": f"{SPEECH}state: suspended\n"}
    more = (QUEUES["argocd/values.yaml"] or "").replace("gpu: 8", "gpu: 800")
    head = {NEW: f"{FASTER}{IN_QUEUE}", "jobs/vision/second.yaml": f"{FASTER}{IN_QUEUE}", "argocd/values.yaml": more}
    found = {run.name: run.queue for run in review(tmp_path, head, others | outside).runs}
    for name in ("vision/digits-42", "vision/second"):
        assert found[name]
        assert left(found[name]) == (4, 8, 8, 0, 4)
        assert found[name].preempts == ("vision/digits-41",)


def test_json_and_text_have_the_place(tmp_path: Path) -> None:
    found = review(tmp_path, {NEW: changed(FASTER, ("gpus: 1", "gpus: 2")) + IN_QUEUE})
    [run] = json.loads(json.dumps(as_json(found)))["runs"]
    assert run["queue"] | {"resources": run["queue"]["resources"][2:]} == {
        "name": "vision", "priority": "normal", "priorityValue": 100, "cohort": "gpus", "outlook": "borrows",
        "resources": [
            {"resource": GPU, "asked": 8, "quota": 8, "used": 4, "left": 4, "cohortLeft": 8, "most": 12}
        ],
        "canPreempt": ["vision/digits-41"], "canReclaimFrom": [],
    }  # fmt: skip
    assert "  Queue vision: the run borrows quota from other teams, which can take it back." in list(lines(found))


def test_names_of_a_queue_and_a_priority_are_untrusted(tmp_path: Path) -> None:
    evil = "a.b-" + "x" * 40
    found = review(tmp_path, {NEW: f"{FASTER}scheduling: {{queue: vision, priority: {evil}}}\n"})
    [warning] = [each for each in found.of_level(Level.WARNING) if "queues.priorities" in str(each.message)]
    assert str(warning.message).startswith(f"scheduling.priority: {evil} is not one of queues.priorities")
    assert f"`scheduling.priority`: `{evil}` is not one of" in comment(found)


def test_a_merged_run_that_never_fits_is_refused_only_if_it_asks_for_more(tmp_path: Path) -> None:
    large = changed(RUN, ("gpus: 1", "gpus: 4")) + IN_QUEUE
    kept = review(tmp_path / "a", {OLD: f"{large}owner: Ada\n"}, {OLD: large})
    assert [run.queue.outlook for run in kept.runs if run.queue] == [Outlook.NEVER]
    assert kept.exit_code == 0
    resumed = review(tmp_path / "b", {OLD: large}, {OLD: f"{large}state: suspended\n"})
    assert [str(each.message) for each in resumed.of_level(Level.REFUSED)] == [
        f"scheduling.queue: got 16 of {GPU}; expected at most 12 in queue vision, the quota of the team and of its "
        "cohort. Request less, or raise teams.vision.queue in argocd/values.yaml first."
    ]


def test_the_number_of_renderings_for_a_cohort_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_places, "MOST_KINDS", 1)
    found = review(
        tmp_path, {NEW: f"{FASTER}{IN_QUEUE}"}, {"jobs/speech/a.yaml": changed(SPEECH, ("gpus: 1", "gpus: 2"))}
    )
    [run] = found.runs
    assert run.queue
    assert (run.queue.outlook, left(run.queue)) == (Outlook.UNKNOWN, (4, 8, 4, 4, None))
    assert "not known, because the cohort has too many different runs" in comment(found)
