"""The policy file review.yaml: strict reading, each rule, and waivers."""

import json
from pathlib import Path

import pytest

from tests.chart.rendering import ROOT
from tests.unit.review.cases import CASES, FASTER, MERGED, NEW
from tests.unit.review.repositories import BENCH, DIGEST, RUN, VERSION, Case, Files, build, changed, commit, review_of
from tests.unit.review.workbench_cases import ADA
from tfd.jobfile import helm_yaml
from tfd.review.analysis.findings import Level
from tfd.review.analysis.policy_file import DEFAULT, RulesError, load_rules
from tfd.review.analysis.pull_request import review_pull_request
from tfd.review.sources.git import Repository

WRITTEN = (ROOT / "review.yaml").read_text()
RULES = list(helm_yaml.load(WRITTEN).value["rules"])
CODE = (
    f"code: {{image: registry.example.com/git@{DIGEST}, "
    f"git: {{repository: 'https://github.com/example-org/a', commit: {40 * 'a'}}}}}\n"
)
MEMORY = "resources: {limits: {memory: 2Gi}}"
HUGE = "resources: {requests: {cpu: 400, memory: 3Ti, ephemeral-storage: 4Ti}, limits: {memory: 3Ti}}"


def new(text: str, *edits: tuple[str, str], **base: str) -> Case:
    """Return a pull request that adds a run with more keys or other ones."""
    return Case({NEW: f"{changed(FASTER, *edits)}{text}"}, {f"jobs/{path}.yaml": file for path, file in base.items()})


# For each rule, a pull request that violates it.
VIOLATIONS: dict[str, Case] = {
    "imageDigest": CASES["rule-image-tag-and-registry"],
    "registries": CASES["rule-image-tag-and-registry"],
    "priorityClasses": new("scheduling: {priorityClassName: system-node-critical}\n"),
    "queues": new("scheduling: {queue: team}\n"),
    "teamQueue": Case({NEW: FASTER}, {"argocd/values.yaml": "teams: {vision: {queue: {a100: {cpu: 1}}}}\n"}),
    "queuePriorities": new("scheduling: {queue: team, priority: high}\n"),
    "serviceAccounts": new("serviceAccountName: robot\n"),
    "secrets": new("imagePullSecrets: [{name: registry}]\n"),
    "taints": new("", ("gpus: 1", "gpus: 1, tolerations: [{operator: Exists}]")),
    "claims": new("", ("claim: runs", "claim: other")),
    "buckets": new("", ("{claim: runs}", "{uri: gs://elsewhere}")),
    "gitHosts": new(CODE.replace("github.com", "evil.example")),
    "egress": new("network: {egress: [{to: anywhere}]}\n"),
    "metricsNamespaces": new("metrics: {enabled: true, namespace: other}\n"),
    "ingressNamespaces": Case({ADA: f"{BENCH}network: {{ingress: [ingress-nginx]}}\n"}),
    "labels": new("labels: {grafana_dashboard: '1'}\n"),
    "otherTeams": Case(
        {NEW: changed(FASTER, ("{claim: runs}", "{uri: gs://example-vision/a}"))},
        {"jobs/speech/a.yaml": changed(RUN, ("{claim: runs}", "{uri: gs://example-vision/a}"))},
    ),
    "cpusPerRun": new("", (f"{MEMORY}, gpus: 1", HUGE)),
    "memoryPerRun": new("", (f"{MEMORY}, gpus: 1", HUGE)),
    "storagePerRun": new("", (f"{MEMORY}, gpus: 1", HUGE)),
    "podsPerRun": new("", ("replicas: 4", "replicas: 400")),
    "cpusPerTeam": new("", (f"{MEMORY}, gpus: 1", HUGE.replace("400", "600"))),
    "memoryPerTeam": new("", (f"{MEMORY}, gpus: 1", HUGE.replace("3Ti", "5Ti"))),
    "storagePerTeam": new("", ("{claim: runs}", "{create: {size: 101Ti}}")),
    "podsPerTeam": new("", ("replicas: 4", "replicas: 900")),
    "gpusPerRun": CASES["rule-gpus-and-hours"],
    "gpuHours": CASES["rule-gpus-and-hours"],
    "gpusPerTeam": CASES["rule-gpus-of-the-team"],
    "newRuns": CASES["rule-too-many-runs"],
    "charts": CASES["rule-old-chart"],
    "literalSecrets": CASES["rule-literal-secret"],
    "separateChanges": CASES["rule-chart-and-job"],
    "uniqueNames": CASES["run-name-of-another-team"],
    "sharedOutput": CASES["bucket-below-another"],
}


def policy(**changes: object) -> str:
    """Return review.yaml with other settings of some rules, or without a rule that is None."""
    document = helm_yaml.load(WRITTEN).value
    for rule, settings in changes.items():
        if settings is None:
            del document["rules"][rule]
        else:
            document["rules"][rule] |= settings
    return json.dumps(document)


def levels(repository: Repository, rule: str, *approvals: str) -> list[Level]:
    """Return the levels of all violations of a rule."""
    found = review_pull_request(repository, "main", "head", approvals)
    return [finding.level for finding in found.all_findings if finding.rule == rule]


def test_every_rule_has_a_violation() -> None:
    assert sorted(VIOLATIONS) == sorted(RULES)


def test_nobody_may_waive_a_rule_before_a_team_sets_logins() -> None:
    """A login such as `maintainers` may belong to anybody on GitHub."""
    waivers = [settings["waiver"] for settings in helm_yaml.load(WRITTEN).value["rules"].values()]
    assert waivers + [settings["waiver"] for settings in DEFAULT.by_name.values()] == [[]] * (
        len(RULES) + len(DEFAULT.by_name)
    )


@pytest.mark.parametrize("rule", VIOLATIONS)
def test_rule_of_the_policy_file_applies_and_is_waived_by_a_listed_login_only(rule: str, tmp_path: Path) -> None:
    case = VIOLATIONS[rule]
    base: Files = {**case.base, "review.yaml": policy(**{rule: {"waiver": ["ada", "grace"]}})}
    repository = build(tmp_path / "r", Case(case.head, base, case.before, older=case.older))
    refused = levels(repository, rule, "eve")
    assert set(refused) == {Level.REFUSED}
    assert levels(repository, rule, "eve", "GRACE") == [Level.WAIVED] * len(refused)
    commit(repository.folder, {"review.yaml": policy(**{rule: {"waiver": []}})})
    assert levels(repository, rule, "grace") == refused
    commit(repository.folder, {"review.yaml": policy(**{rule: None})})
    assert levels(repository, rule) == []


def test_new_run_on_a_chart_that_is_allowed_but_not_the_newest_gets_a_warning(tmp_path: Path) -> None:
    case = Case({NEW: FASTER, "jobs/vision/newest.yaml": changed(FASTER, (VERSION, "9.9.9"))}, MERGED, release="9.9.9")
    found = review_of(tmp_path / "r", case)
    [warning] = [each for each in found.of_level(Level.WARNING) if str(each.message).startswith("chartVersion: ")]
    assert warning.path == NEW
    assert str(warning.message).startswith(f"chartVersion: {VERSION} is not 9.9.9, the current chart.")


def test_versions_are_compared_as_numbers(tmp_path: Path) -> None:
    """As texts, 0.10.0 is less than 0.9.0."""
    rules = WRITTEN.replace("oldest: 0.1.0", "oldest: 0.9.0")
    assert rules != WRITTEN
    case = Case({NEW: changed(FASTER, (VERSION, "0.10.0"))}, {**MERGED, "review.yaml": rules}, older="0.10.0")
    assert not [each for each in review_of(tmp_path / "r", case).all_findings if each.rule == "charts"]


def test_merged_run_stays_on_its_chart(tmp_path: Path) -> None:
    old = changed(RUN, (VERSION, "0.0.9"))
    assert review_of(tmp_path / "r", Case({NEW: f"{old}owner: Ada\n"}, {NEW: old}, older="0.0.9")).all_findings == []


def test_merged_run_may_stay_larger_than_the_limit(tmp_path: Path) -> None:
    large = changed(RUN, ("gpus: 1", "gpus: 32"))
    found = review_of(tmp_path / "r", Case({NEW: f"{large}owner: Ada\n"}, {NEW: large}))
    assert found.all_findings == []


def test_longer_deadline_counts_as_more_gpu_hours(tmp_path: Path) -> None:
    large = changed(RUN, ("gpus: 1", "gpus: 16"))
    found = review_of(tmp_path / "r", Case({NEW: f"{large}deadline: 48h\n"}, {NEW: large}))
    assert [finding.rule for finding in found.all_findings] == ["gpuHours"]


def test_merged_secret_is_not_reported_again(tmp_path: Path) -> None:
    old = f"{RUN}env: [{{name: API_KEY, value: abcdefgh}}]\n"
    found = review_of(tmp_path / "r", Case({NEW: f"{old}owner: Ada\n"}, {NEW: old}))
    assert found.all_findings == []


def test_team_can_have_its_own_limit(tmp_path: Path) -> None:
    rules = "rules: {gpusPerTeam: {most: 1, teams: {vision: 8}, waiver: []}}\n"
    fine = review_of(tmp_path / "fine", Case({NEW: FASTER}, MERGED | {"review.yaml": rules}))
    assert fine.all_findings == []
    other = review_of(tmp_path / "other", Case({"jobs/speech/b.yaml": FASTER}, {"review.yaml": rules}))
    assert [finding.rule for finding in other.all_findings] == ["gpusPerTeam"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules: {imageDigset: {waiver: []}}\n", "rules.imageDigset: got an unknown key; expected rules.imageDigest. "),
        ("rules: {imageDigest: {}}\n", "review.yaml:1:9: rules.imageDigest.waiver: got nothing; expected "),
        ("rules: {imageDigest: {waiver: ['@a']}}\n", 'rules.imageDigest.waiver[0]: got "@a"; expected '),
        ("rules: {gpusPerRun: {most: -1, waiver: []}}\n", "rules.gpusPerRun.most: got -1; expected "),
        ("rules: [\n", "review.yaml:2:1: file: got invalid YAML"),
        ("- a\n", 'got ["a"]; expected a mapping'),
        ("", "got null; expected a mapping"),
    ],
)
def test_invalid_policy_file_is_refused(text: str, message: str, tmp_path: Path) -> None:
    repository = build(tmp_path / "r", Case({}, {}))
    commit(tmp_path / "r", {"review.yaml": text})
    with pytest.raises(RulesError) as caught:
        load_rules(repository, repository.commit("main"))
    assert message in str(caught.value)


def test_every_rule_has_a_comment_in_the_policy_file() -> None:
    lines = WRITTEN.splitlines()
    for rule in RULES:
        [line] = [number for number, text in enumerate(lines) if text.startswith(f"  {rule}:")]
        assert lines[line - 1].startswith("  # "), rule
