"""What the review shows about workbench files, beyond the comments in tests/golden/review."""

from pathlib import Path

import pytest

from tests.unit.review.repositories import BENCH, RUN, VERSION, Case, changed, commit, git, review_of, start
from tests.unit.review.test_objects import OLDER
from tests.unit.review.workbench_cases import ADA, CASES, GRACE, MERGED, NEXT
from tfd.kinds import RUN as RUNS
from tfd.kinds import WORKBENCH
from tfd.review.analysis.actions import Action
from tfd.review.analysis.findings import Level
from tfd.review.analysis.pull_request import PullRequestReview, review_pull_request
from tfd.review.output.json_report import as_json
from tfd.review.sources.charts import Charts
from tfd.review.sources.git import Repository


def messages(review: PullRequestReview, level: Level) -> list[str]:
    return [f"{each.rule}: {each.message}" if each.rule else str(each.message) for each in review.of_level(level)]


def test_new_workbench_names_what_it_takes(tmp_path: Path) -> None:
    review = review_of(tmp_path / "r", CASES["workbench-new"])
    [found] = as_json(review)["runs"]
    assert (review.exit_code, found["kind"], found["run"], found["action"]) == (0, "workbench", "vision/ada", "starts")
    assert found["request"]["gpus"] == found["request"]["endlessGpus"] == 1
    assert [(role["name"], role["tasks"], role["gpusPerTask"]) for role in found["tasks"]] == [("workbench", 1, 1)]
    rights = found["rights"]
    assert [each["value"] for each in rights["tokens"]] == ["ada-workbench-token"]
    assert [(each["value"], each["where"]) for each in rights["claims"]] == [("runs", "reads")]
    assert [(each["value"], each["where"]) for each in rights["newClaims"]] == [("ada-home", "20Gi")]
    assert (rights["secrets"], rights["incoming"]) == ([], [])
    [application] = as_json(review)["applications"]
    assert application["name"] == "workbench.vision.ada"
    assert application["source"]["path"] == "charts/workbench"
    assert application["syncPolicy"]["automated"] == {"prune": True, "selfHeal": True}


def test_rules_name_the_keys_of_a_workbench_file(tmp_path: Path) -> None:
    review = review_of(tmp_path / "r", CASES["workbench-writes-and-is-reached"])
    found = messages(review, Level.REFUSED)
    for words in (
        "ingressNamespaces: network.ingress: got ingress-nginx; expected no namespace.",
        "secrets: token.secret: got shared; expected no Secret.",
        "egress: network.egress[0]: got anywhere; expected no more addresses.",
    ):
        assert any(each.startswith(words) for each in found), found


def test_name_of_a_workbench_gives_it_no_secret_with_another_purpose(tmp_path: Path) -> None:
    case = Case({"workbenches/vision/git.yaml": f"{BENCH}token: {{secret: git-token, key: password}}\n"})
    [refused] = messages(review_of(tmp_path / "r", case), Level.REFUSED)
    assert refused.startswith("secrets: token.secret: got git-token; expected no Secret.")


def test_listed_namespace_may_reach_a_workbench(tmp_path: Path) -> None:
    rules = "rules: {ingressNamespaces: {allowed: [ingress-nginx], waiver: []}}\n"
    case = Case({ADA: f"{BENCH}network: {{ingress: [ingress-nginx]}}\n"}, {"review.yaml": rules})
    assert review_of(tmp_path / "r", case).exit_code == 0


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (changed(BENCH, ("registry.example.com", "evil.example")), "registries"),
        (changed(BENCH, ("claim: runs", "claim: payroll")), "claims"),
        (changed(BENCH, ("{claim: runs}", "{uri: gs://elsewhere/a}")), "buckets"),
        (changed(BENCH, ("{limits:", "{requests: {cpu: 1500}, limits:")), "cpusPerRun"),
        (f"{BENCH}tolerations: [{{operator: Exists}}]\n", "taints"),
        (f"{BENCH}serviceAccountName: robot\n", "serviceAccounts"),
        (f"{BENCH}scheduling: {{priorityClassName: high}}\n", "priorityClasses"),
        (f"{BENCH}scheduling: {{queue: speech}}\n", "queues"),
        (f"{BENCH}scheduling: {{queue: vision, priority: high}}\n", "queuePriorities"),
        (f"{BENCH}imagePullSecrets: [{{name: registry}}]\n", "secrets"),
        (f"{BENCH}labels: {{grafana_dashboard: '1'}}\n", "labels"),
        (f"{BENCH}description: {'ghp_' + 36 * 'x'}\n", "literalSecrets"),
    ],
)
def test_rules_of_runs_hold_for_workbenches(tmp_path: Path, text: str, rule: str) -> None:
    review = review_of(tmp_path / "r", Case({ADA: text}))
    assert {each.rule for each in review.of_level(Level.REFUSED)} == {rule}


def test_queue_of_the_team_is_required_and_counts_the_workbench(tmp_path: Path) -> None:
    queued = f"{BENCH}scheduling: {{queue: vision}}\n"
    queues = {
        "review.yaml": "rules: {teamQueue: {waiver: []}}\n",
        "argocd/values.yaml": "queues: {flavors: [{name: all}]}\n"
        "teams: {vision: {queue: {all: {cpu: 64, memory: 256Gi, nvidia.com/gpu: 2}}}}\n",
    }
    outside = review_of(tmp_path / "outside", Case({ADA: BENCH}, {**queues}))
    assert [each.rule for each in outside.of_level(Level.REFUSED)] == ["teamQueue"]
    inside = review_of(tmp_path / "inside", Case({GRACE: queued}, {**queues, ADA: queued}))
    [run] = inside.runs
    assert inside.exit_code == 0 and run.queue is not None
    assert {each.resource: (each.asked, each.quota, each.used) for each in run.queue.shares}["nvidia.com/gpu"] == (
        1.0,
        2.0,
        1.0,
    )


def test_gpus_of_workbenches_count_for_the_team(tmp_path: Path) -> None:
    rules = "rules: {gpusPerTeam: {most: 5, waiver: []}}\n"
    case = Case({GRACE: BENCH}, {"review.yaml": rules, ADA: BENCH, "jobs/vision/a.yaml": RUN})
    [refused] = messages(review_of(tmp_path / "r", case), Level.REFUSED)
    assert refused.startswith("gpusPerTeam: got 6 GPUs in the job files of the team (5 GPUs on the base)")


def test_pod_that_changes_needs_a_higher_session(tmp_path: Path) -> None:
    stays = review_of(tmp_path / "stays", CASES["workbench-changed-without-a-session"])
    assert messages(stays, Level.REFUSED) == [
        "gpus: got 2; expected 1, the value of the merged workbench. "
        "Raise session as well, which starts the workbench again."
    ]
    again = review_of(tmp_path / "again", Case({ADA: NEXT}, MERGED))
    assert (again.exit_code, [run.action for run in again.runs]) == (0, [Action.STARTS_AGAIN])
    [warning] = messages(again, Level.WARNING)
    assert warning.startswith("Starts again: kernels and terminals of the workbench end")


def test_mutable_keys_change_in_place(tmp_path: Path) -> None:
    review = review_of(tmp_path / "r", CASES["workbench-changed-in-place"])
    assert (review.exit_code, [run.action for run in review.runs]) == (0, [Action.CHANGES])


@pytest.mark.parametrize("session", ["", "session: 2\n"], ids=["in place", "again"])
def test_merged_workbench_does_not_move_to_an_old_chart(tmp_path: Path, session: str) -> None:
    start(tmp_path / "r")
    chart, old = "charts/workbench/Chart.yaml", changed(BENCH, (VERSION, "0.0.9"))
    text = (tmp_path / "r" / chart).read_text()
    commit(tmp_path / "r", {chart: changed(text, (VERSION, "0.0.9"))})
    git(tmp_path / "r", "tag", "tf-distributed-0.0.9")
    commit(tmp_path / "r", {chart: text, ADA: BENCH})
    git(tmp_path / "r", "switch", "--quiet", "--create", "head")
    commit(tmp_path / "r", {ADA: f"{old}{session}"})
    review = review_pull_request(Repository(tmp_path / "r"), "main", "head", ())
    assert messages(review, Level.REFUSED) == [
        f"charts: chartVersion: got 0.0.9; expected {VERSION} or newer. Set chartVersion: {VERSION}."
    ]


def test_deleted_workbench_names_the_claim_that_stays(tmp_path: Path) -> None:
    review = review_of(tmp_path / "r", CASES["workbench-deleted"])
    [warning] = review.of_level(Level.WARNING)
    assert (review.exit_code, warning.fix) == (0, "kubectl -n vision delete persistentvolumeclaim ada-home")


def test_run_and_workbench_of_one_name_share_nothing(tmp_path: Path) -> None:
    review = review_of(tmp_path / "r", Case({ADA: BENCH, "jobs/vision/ada.yaml": RUN}))
    assert (review.exit_code, messages(review, Level.WARNING)) == (0, [])
    assert sorted(review.merged_emulation.applications) == ["vision-ada", "workbench.vision.ada"]
    names = [{(each["kind"], each["metadata"]["name"]) for each in run["objects"]} for run in as_json(review)["runs"]]
    assert names[0] and names[1] and not names[0] & names[1]


def test_object_of_a_run_is_refused_in_both_orders(tmp_path: Path) -> None:
    run = "jobs/vision/ada-workbench.yaml"
    for number, (head, base) in enumerate([({ADA: BENCH}, {run: RUN}), ({run: RUN}, {ADA: BENCH})]):
        review = review_of(tmp_path / str(number), Case({**head}, {**OLDER, **base}, tagged=False))
        [refused] = messages(review, Level.REFUSED)
        assert refused.startswith("got the object ")
        assert "ada-workbench, which " in refused


def test_broken_workbench_file_blocks_workbenches_and_no_run(tmp_path: Path) -> None:
    base = {"jobs/vision/old.yaml": RUN, ADA: BENCH}
    review = review_of(tmp_path / "r", Case({GRACE: "home: [\n", "jobs/vision/new.yaml": RUN, ADA: None}, {**base}))
    assert [(each.kind, each.team, each.path) for each in review.merged_emulation.blocked] == [
        (WORKBENCH, "vision", GRACE)
    ]
    assert sorted(review.merged_emulation.applications) == ["vision-new", "vision-old"]
    assert review.merged_emulation.deleted(review.base_emulation.generated) == []


def test_release_without_the_chart_of_workbenches_starts_none(tmp_path: Path) -> None:
    start(tmp_path / "r")
    repository = Repository(tmp_path / "r")
    everything = repository.entries("HEAD", "charts/workbench")
    commit(repository.folder, dict.fromkeys(everything))
    git(repository.folder, "tag", f"tf-distributed-{VERSION}")
    charts = Charts(repository, repository.commit("HEAD"), tmp_path / "charts")
    assert charts.of(VERSION, RUNS) is not None
    assert charts.of(VERSION, WORKBENCH) is None
