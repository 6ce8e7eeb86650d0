"""The rules with a list of what a team may use, and those with a maximum, on all containers of all objects."""

from pathlib import Path

import pytest

from tests.unit.review.cases import BOARD_IMAGE, FASTER, MERGED, NEW, OLD
from tests.unit.review.repositories import DIGEST, RUN, VERSION, Case, Files, changed, review_of
from tfd.review.analysis.allowed import RULES, denied
from tfd.review.analysis.findings import Level
from tfd.review.analysis.policy_file import DEFAULT
from tfd.review.analysis.rights import Right

GIT = f"git: {{repository: 'https://github.com/example-org/a', commit: {40 * 'a'}}}"
CODE = f"code: {{image: registry.example.com/git@{DIGEST}, {GIT}}}\n"
TRAINER = f"registry.example.com/vision/trainer@{DIGEST}"


def messages(folder: Path, case: Case) -> list[str]:
    """Return rule and message of every violation."""
    found = review_of(folder / "r", case)
    return [f"{each.rule}: {each.message}" for each in found.all_findings if each.level is Level.REFUSED]


def of_new(folder: Path, text: str, *edits: tuple[str, str], rules: str = "") -> list[str]:
    """Return the violations of a new run with more keys or other ones, by review.yaml or by these rules."""
    base: Files = MERGED | ({"review.yaml": f"rules: {{{rules}}}\n"} if rules else {})
    return messages(folder, Case({NEW: f"{changed(FASTER, *edits)}{text}"}, base))


REFUSED = {
    "scheduling: {priorityClassName: system-node-critical}\n": [
        "priorityClasses: scheduling.priorityClassName: got system-node-critical; expected no priority class. "
        "Set another value, or add this one to priorityClasses in review.yaml first."
    ],
    "scheduling: {queue: team, priority: high}\n": [
        "queues: scheduling.queue: got team; expected one of vision. "
        "Set another value, or add this one to queues in review.yaml first.",
        "queuePriorities: scheduling.priority: got high; expected no priority in a queue. "
        "Set another value, or add this one to queuePriorities in review.yaml first.",
    ],
    "serviceAccountName: robot\n": [
        "serviceAccounts: serviceAccountName: got robot; expected no service account. "
        "Set another value, or add this one to serviceAccounts in review.yaml first."
    ],
    "env: [{name: A, valueFrom: {secretKeyRef: {name: prod, key: k}}}]\nimagePullSecrets: [{name: pull}]\n": [
        "secrets: env[0]: got prod; expected no Secret. "
        "Set another value, or add this one to secrets in review.yaml first.",
        "secrets: imagePullSecrets: got pull; expected no Secret. "
        "Set another value, or add this one to secrets in review.yaml first.",
    ],
    CODE.replace(GIT, f"{GIT[:-1]}, tokenSecret: {{name: git, key: k}}}}"): [
        "secrets: code.git.tokenSecret: got git; expected no Secret. "
        "Set another value, or add this one to secrets in review.yaml first."
    ],
    CODE.replace("github.com", "evil.example"): [
        "gitHosts: code.git.repository: got https://evil.example/example-org/a; "
        "expected a repository in github.com/example-org. "
        "Set another value, or add this one to gitHosts in review.yaml first."
    ],
    CODE.replace("example-org/a", "example-org/../evil/a"): [
        "gitHosts: code.git.repository: got https://github.com/example-org/../evil/a; "
        "expected a repository in github.com/example-org. "
        "Set another value, or add this one to gitHosts in review.yaml first."
    ],
    "labels: {argocd.argoproj.io/instance: x, grafana_dashboard: '1'}\n": [
        f"labels: labels.{name}: got {name}; expected one of experiment, project, example.com. "
        "Set another value, or add this one to labels in review.yaml first."
        for name in ("argocd.argoproj.io/instance", "grafana_dashboard")
    ],
    "network: {egress: [{to: anywhere}, {to: 10.1.0.0/16, ports: [22]}]}\n": [
        f"egress: network.egress[{index}]: got {value}; expected no more addresses. "
        "Set another value, or add this one to egress in review.yaml first."
        for index, value in ((1, "10.1.0.0/16"), (0, "anywhere"))
    ],
    "metrics: {enabled: true, namespace: other}\n": [
        "metricsNamespaces: metrics.namespace: got other; expected one of monitoring. "
        "Set another value, or add this one to metricsNamespaces in review.yaml first."
    ],
    "data: {claim: other}\n": [
        "claims: data.claim: got other; expected one of runs, datasets. "
        "Set another value, or add this one to claims in review.yaml first."
    ],
    "mounts: [{at: /a, claim: other, folder: b}, {at: /k, secret: prod}, {at: /r, claim: runs}]\n": [
        f"{rule}: mounts[{index}].{key}: got {value}; expected {allowed}. "
        f"Set another value, or add this one to {rule} in review.yaml first."
        for rule, index, key, value, allowed in (
            ("secrets", 1, "secret", "prod", "no Secret"), ("claims", 0, "claim", "other", "one of runs, datasets"),
        )
    ],
    "data: {uri: gs://of-others/a}\nargs: [--cache=gs://cache]\n": [
        f"buckets: {key}: got {value}; expected a folder in gs://example-vision, gs://example-datasets. "
        "Set another value, or add this one to buckets in review.yaml first."
        for key, value in (("args", "gs://cache"), ("data.uri", "gs://of-others/a"))
    ],
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_what_no_list_allows_is_refused(text: str, tmp_path: Path) -> None:
    assert of_new(tmp_path, text) == REFUSED[text]


def test_taints_are_allowed_by_key_and_value(tmp_path: Path) -> None:
    tolerations = (
        "tolerations: [{key: nvidia.com/gpu, operator: Exists}, {key: team, value: speech}, {operator: Exists}]"
    )
    end = "; expected one of nvidia.com/gpu. Set another value, or add this one to taints in review.yaml first."
    assert of_new(tmp_path, "", ("gpus: 1", f"gpus: 1, {tolerations}")) == [
        f"taints: worker.tolerations: got {value}{end}" for value in ("*", "team=speech")
    ]


ALLOWED = {
    "scheduling: {priorityClassName: training-high}\n": "priorityClasses: {allowed: [training-*], waiver: []}",
    "scheduling: {queue: vision, priority: low}\n": (
        "queues: {allowed: ['{team}'], waiver: []}, queuePriorities: {allowed: [low, normal], waiver: []}"
    ),
    "serviceAccountName: vision-robot\n": "serviceAccounts: {allowed: ['{team}-robot'], waiver: []}",
    "imagePullSecrets: [{name: pull}]\n": "secrets: {allowed: [], teams: {vision: [pull]}, waiver: []}",
    CODE: "gitHosts: {allowed: [github.com/example-org], waiver: []}, secrets: {allowed: [], waiver: []}",
    "labels: {example.com/a: b}\n": "labels: {allowed: [example.com], waiver: []}",
    "metrics: {enabled: true, namespace: team-x}\n": "metricsNamespaces: {allowed: [team-*], waiver: []}",
    "metrics: {namespace: other}\n": "metricsNamespaces: {allowed: [], waiver: []}",
    "data: {claim: other}\n": "claims: {allowed: ['*'], waiver: []}",
    "mounts: [{at: /a, claim: data-1}]\n": "claims: {allowed: [runs, data-*], waiver: []}",
    "mounts: [{at: /k, secret: keys}]\n": "secrets: {allowed: [keys], waiver: []}",
    "network: {egress: [{to: 10.1.0.0/16}]}\n": "egress: {allowed: [10.1.0.0/16], waiver: []}",
    "data: {uri: gs://data/a/b}\n": "buckets: {allowed: [gs://data/a], waiver: []}",
}


@pytest.mark.parametrize("text", ALLOWED)
def test_what_a_list_allows_is_fine(text: str, tmp_path: Path) -> None:
    assert of_new(tmp_path, text, rules=ALLOWED[text]) == []


def test_patterns_of_another_team_allow_nothing(tmp_path: Path) -> None:
    rules = "secrets: {allowed: [], teams: {speech: [pull]}, waiver: []}"
    assert len(of_new(tmp_path, "imagePullSecrets: [{name: pull}]\n", rules=rules)) == 1


@pytest.mark.parametrize(
    ("rule", "pattern", "value", "is_allowed"),
    [
        ("registries", "registry.example.com", "registry.example.com/a/b:1", True),
        ("registries", "registry.example.com/a", "registry.example.com/a:1", True),
        ("registries", "registry.example.com", "registry.example.com.evil/a", False),
        ("registries", "registry.example.com", "registry.example.com:5000/a", False),
        ("registries", "registry.example.com", "registry.example.com", False),
        ("registries", "alpine", "alpine/git:1", False),
        ("registries", "docker.io/alpine", "alpine/git:1", True),
        ("registries", "docker.io/library", "python@sha256:1", True),
        ("gitHosts", "github.com/org", "https://GitHub.com:443/org/a.git", True),
        ("gitHosts", "github.com/org/a", "https://github.com/org/a.git", True),
        ("gitHosts", "github.com/org", "https://github.com/organization/a", False),
        ("gitHosts", "github.com/org", "https://github.com:8443/org/a", False),
        ("gitHosts", "github.com", "https://github.com.evil.example/a", False),
        ("gitHosts", "github.com/org", "https://github.com//org/a", False),
        ("gitHosts", "github.com/org", "https://github.com/./org/a", False),
        ("buckets", "gs://a/team", "gs://a/team/x", True),
        ("buckets", "gs://a/team", "gs://a/team2/x", False),
        ("buckets", "gs://a/team", "gs://a/team/../x", False),
        ("buckets", "gs://*-{team}", "gs://a-vision/x", True),
        ("buckets", "gs://*-{team}", "gs://evil/a-vision", False),
        ("buckets", "*", "gs://a/../b", True),
        ("taints", "team=vision", "team=vision", True),
        ("taints", "team=vision", "team", False),
        ("taints", "team=vision", "team=vision2", False),
        ("taints", "team", "team=speech", True),
        ("taints", "nvidia.com", "nvidia.com/gpu", True),
        ("taints", "*", "*", True),
        ("taints", "a*", "*", False),
        ("egress", "10.1.0.0/16", "10.1.0.0/16", True),
        ("egress", "10.1.2.3", "10.1.2.3/8", False),
        ("egress", "10.*", "10.1.2.3/8", False),
        ("egress", "10.*/32", "10.1.2.3/32", True),
        ("egress", "anywhere", "anywhere", True),
        ("labels", "example.com", "example.com/a", True),
        ("labels", "example.com", "example.community/a", False),
        ("labels", "a.b", "axb", False),
        ("secrets", "runs-*", "runs-a\nb", True),
        ("secrets", "runs-*", "other-runs-a", False),
    ],
)
def test_pattern_is_a_name_or_a_folder(rule: str, pattern: str, value: str, *, is_allowed: bool) -> None:
    assert (list(denied(RULES[rule], [pattern], "vision", [Right(value)])) == []) == is_allowed


def test_every_image_of_every_container_is_judged_and_a_default_names_its_key(tmp_path: Path) -> None:
    text = changed(FASTER, (f"tensorboard: {{image: {BOARD_IMAGE}}}\n", f"code: {{{GIT}}}\n"))
    found = messages(tmp_path, Case({NEW: text}))
    default = r"ghcr.io/tf-distributed/tf-distributed/tensorboard"
    assert found == [
        f"imageDigest: tensorboard.image: got {default}:{VERSION} by default; expected an image with a digest. "
        "Set tensorboard.image: registry/name@sha256:DIGEST.",
        "registries: code.image: got docker.io/alpine/git:v2.49.1@sha256:"
        "c0280cf9572316299b08544065d3bf35db65043d5e3963982ec50647d2746e26 by default; "
        "expected an image from registry.example.com. Push it there and set code.image.",
        f"registries: tensorboard.image: got {default}:{VERSION} by default; "
        "expected an image from registry.example.com. Push it there and set tensorboard.image.",
    ]  # fmt: skip


def test_images_set_by_digest_are_fine(tmp_path: Path) -> None:
    assert of_new(tmp_path, CODE) == []


BUCKET = ("{claim: runs}", "{uri: gs://example-vision/runs}")


@pytest.mark.parametrize("uri", ["gs://example-vision/runs/a", "gs://example-vision", "gs://example-vision/runs/"])
def test_bucket_of_another_team_is_refused_unless_allowed(uri: str, tmp_path: Path) -> None:
    base: Files = {"jobs/speech/a.yaml": changed(RUN, BUCKET)}
    head: Files = {NEW: f"{FASTER}data: {{uri: {uri.rstrip('/')}}}\n"}
    [found] = messages(tmp_path / "a", Case(head, base))
    assert found.startswith(f"otherTeams: data.uri: got {uri.rstrip('/')}; expected nothing of another team. ")
    rules = "rules: {otherTeams: {allowed: [gs://example-vision], waiver: []}}\n"
    assert messages(tmp_path / "b", Case(head, base | {"review.yaml": rules})) == []


def test_warm_start_from_a_run_of_another_team_needs_an_entry_of_its_own(tmp_path: Path) -> None:
    base: Files = {"jobs/speech/a.yaml": changed(RUN, BUCKET)}
    head: Files = {NEW: f"{changed(FASTER, BUCKET)}warmStartFrom: a\n"}
    for number, (allowed, refused) in enumerate([("gs://example-vision", ["speech/a"]), ("'*'", [])]):
        rules = f"rules: {{otherTeams: {{allowed: [{allowed}], waiver: []}}}}\n"
        found = messages(tmp_path / str(number), Case(head, base | {"review.yaml": rules}))
        assert [each.partition("got ")[2].partition(";")[0] for each in found] == refused
    assert messages(tmp_path / "own", Case(head, {"jobs/vision/a.yaml": changed(RUN, BUCKET)})) == []


@pytest.mark.parametrize("state", ["suspended", "archived"])
def test_run_that_waits_is_judged_when_it_is_added_and_when_it_starts(state: str, tmp_path: Path) -> None:
    text = f"{RUN}serviceAccountName: robot\n"
    for number, case in enumerate(
        [Case({NEW: f"{text}state: {state}\n"}), Case({NEW: text}, {NEW: f"{text}state: {state}\n"})]
    ):
        [found] = messages(tmp_path / str(number), case)
        assert found.startswith("serviceAccounts: ")


def test_merged_run_keeps_what_it_has(tmp_path: Path) -> None:
    old = f"{RUN}serviceAccountName: robot\nlabels: {{grafana_dashboard: '1'}}\n"
    assert messages(tmp_path / "a", Case({OLD: f"{old}owner: Ada\n"}, {OLD: old})) == []
    more = changed(old, ("'1'}", "'1', release: a}"))
    [found] = messages(tmp_path / "b", Case({OLD: more}, {OLD: old}))
    assert found.startswith("labels: labels.release: ")


DEFAULTS = {
    "priorityClasses": "scheduling: {priorityClassName: a, queue: b, priority: c}\n",
    "queues": "",
    "queuePriorities": "",
    "serviceAccounts": "serviceAccountName: robot\n",
    "taints": "chief: {tolerations: [{key: a, operator: Exists}]}\n",
    "labels": "labels: {release: a}\n",
    "otherTeams": "data: {uri: gs://example-vision/runs}\n",
}


def test_default_rules_hold_without_a_policy_file(tmp_path: Path) -> None:
    assert set(DEFAULTS) == set(DEFAULT.by_name) & set(RULES)
    base: Files = {"jobs/speech/a.yaml": changed(RUN, BUCKET), "review.yaml": None}
    found = messages(tmp_path / "a", Case({NEW: f"{FASTER}{''.join(DEFAULTS.values())}"}, base))
    assert [each.partition(":")[0] for each in found] == list(DEFAULTS)
    assert messages(tmp_path / "b", Case({NEW: FASTER}, base)) == []


OLD_CHART = "charts/tf-distributed/values.schema.json"


def test_gpus_of_tensorboard_count_and_are_refused_in_a_chart_that_allows_them(tmp_path: Path) -> None:
    """Charts before 0.2 took any device in tensorboard.resources, and a Deployment has no deadline."""
    schema = (Path(__file__).parents[3] / OLD_CHART).read_text().replace("plainQuantities", "quantities", 2)
    board = f"chartVersion: {VERSION}\nimage: {BOARD_IMAGE}\nstorage: {{claim: runs}}\ngpu: {{resource: amd.com/gpu}}\n"
    board += f"tensorboard: {{image: {BOARD_IMAGE}, resources: {{limits: {{nvidia.com/gpu: 200}}}}}}\n"
    case = Case({"jobs/vision/board.yaml": board}, {OLD_CHART: schema}, tagged=False)
    assert messages(tmp_path, case) == [
        "gpusPerTeam: got 200 GPUs in the job files of the team (0 GPUs on the base); expected at most 128 GPUs. "
        "Archive finished runs or request fewer GPUs.",
        "gpusPerRun: got 200 GPUs; expected at most 64 GPUs in one run. Set fewer tasks or fewer GPUs for each task.",
        ": tensorboard.resources: got 200 GPUs without a deadline; expected GPUs in tasks only. "
        "Remove them and set gpus of a role.",
    ]


def test_limits_count_every_pod_of_the_team(tmp_path: Path) -> None:
    rules = "rules: {cpusPerTeam: {most: 20, waiver: []}, podsPerTeam: {most: 18, teams: {speech: 0}, waiver: []}}\n"
    base: Files = {OLD: RUN, "review.yaml": rules}
    assert messages(tmp_path / "a", Case({NEW: FASTER}, base)) == []
    found = messages(tmp_path / "b", Case({"jobs/vision/third.yaml": FASTER, NEW: FASTER}, base))
    assert found == [
        "cpusPerTeam: got 24.3 CPUs in the job files of the team (8.1 CPUs on the base); expected at most 20 CPUs. "
        "Archive finished runs or request less.",
        "podsPerTeam: got 27 pods in the job files of the team (9 pods on the base); expected at most 18 pods. "
        "Archive finished runs or request less.",
    ]


def test_storage_of_an_archived_run_counts_for_the_team(tmp_path: Path) -> None:
    rules = "rules: {storagePerTeam: {most: 10Ti, waiver: []}}\n"
    create = changed(RUN, ("{claim: runs}", "{create: {size: 6Ti}}"))
    base: Files = {OLD: f"{create}state: archived\n", "review.yaml": rules}
    [found] = messages(tmp_path, Case({NEW: create}, base))
    assert "got 12,288 GiB of storage in the job files of the team (6,144 GiB of storage on the base)" in found
