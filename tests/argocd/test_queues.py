"""The queues of Kueue that `helm template argocd` renders for teams with a quota in `queue`."""

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.argocd.test_render import ROOT, TEAMS, Object, objects, template
from tests.chart.rendering import SCHEMAS, tool
from tfd.jobfile import helm_yaml
from tfd.jobfile.helm import render

KUEUE = "kueue.x-k8s.io"
MANAGED = f"{KUEUE}/managed-namespace"
FLAVORS = [
    {
        "name": "h100",
        "nodeLabels": {"gpu": "h100"},
        "nodeTaints": [{"key": "gpu", "value": "h100", "effect": "NoSchedule"}],
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
    },
    {"name": "a100", "nodeLabels": {"gpu": "a100"}},
    {"name": "unused"},
]
QUOTA = {"cpu": 64, "memory": "256Gi", "nvidia.com/gpu": 16}
QUEUED = {"vision": {"queue": {"a100": QUOTA}}, "speech": None}
QUEUES = {"cohort": "gpus", "flavors": FLAVORS}


def of_kueue(found: dict[tuple[str, str, str], Object]) -> dict[tuple[str, str, str], Object]:
    return {key: each for key, each in found.items() if each["apiVersion"].startswith(f"{KUEUE}/")}


def test_without_a_queue_nothing_of_kueue_is_rendered_and_nothing_changes(tmp_path: Path) -> None:
    plain = objects(tmp_path)
    assert of_kueue(plain) == {}
    assert objects(tmp_path, queues=QUEUES) == plain
    assert objects(tmp_path, teams={"vision": TEAMS["vision"] | {"queue": {}}, "speech": None}) == plain


def test_a_team_with_a_queue_gets_one_and_flavors_and_priorities_come_once(tmp_path: Path) -> None:
    found = of_kueue(objects(tmp_path, teams=QUEUED, queues=QUEUES))
    assert Counter(kind for kind, _, _ in found) == {
        "ResourceFlavor": 3, "WorkloadPriorityClass": 3, "ClusterQueue": 1, "LocalQueue": 1
    }  # fmt: skip
    assert found["LocalQueue", "vision", "vision"]["spec"] == {"clusterQueue": "vision"}
    assert found["ClusterQueue", "", "vision"]["spec"] == {
        "cohortName": "gpus",
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "vision"}},
        "queueingStrategy": "BestEffortFIFO",
        "preemption": {"withinClusterQueue": "LowerPriority", "reclaimWithinCohort": "Any"},
        "resourceGroups": [
            {
                "coveredResources": ["cpu", "memory", "nvidia.com/gpu"],
                "flavors": [
                    {
                        "name": "a100",
                        "resources": [{"name": name, "nominalQuota": amount} for name, amount in QUOTA.items()],
                    }
                ],
            }
        ],
    }
    for flavor in FLAVORS:
        fields = {key: value for key, value in flavor.items() if key != "name"}
        assert found["ResourceFlavor", "", str(flavor["name"])]["spec"] == fields
    values = {name: each["value"] for (kind, _, name), each in found.items() if kind == "WorkloadPriorityClass"}
    assert values == {"low": 10, "normal": 100, "high": 1000}


def test_priorities_can_be_replaced(tmp_path: Path) -> None:
    priorities = {"low": None, "normal": None, "high": 2, "urgent": -5}
    found = of_kueue(objects(tmp_path, teams=QUEUED, queues=QUEUES | {"priorities": priorities}))
    values = {name: each["value"] for (kind, _, name), each in found.items() if kind == "WorkloadPriorityClass"}
    assert values == {"high": 2, "urgent": -5}


def test_a_queue_without_a_cohort_is_in_none(tmp_path: Path) -> None:
    found = objects(tmp_path, teams=QUEUED, queues={"flavors": FLAVORS})
    assert "cohortName" not in found["ClusterQueue", "", "vision"]["spec"]


def test_flavors_are_tried_in_the_order_of_the_list_and_cover_the_same_resources_in_one_order(tmp_path: Path) -> None:
    reverse = dict(reversed(QUOTA.items()))
    teams = {"vision": {"queue": {"a100": QUOTA, "h100": reverse}}, "speech": {"queue": {"unused": reverse}}}
    found = objects(tmp_path, teams=teams, queues=QUEUES)
    [group] = found["ClusterQueue", "", "vision"]["spec"]["resourceGroups"]
    assert [each["name"] for each in group["flavors"]] == ["h100", "a100"]
    for team in teams:
        [group] = found["ClusterQueue", "", team]["spec"]["resourceGroups"]
        for flavor in group["flavors"]:
            assert [each["name"] for each in flavor["resources"]] == group["coveredResources"]


def test_only_the_namespace_of_a_team_with_a_queue_is_managed_by_kueue(tmp_path: Path) -> None:
    found = objects(tmp_path, teams=QUEUED, queues=QUEUES)
    labels = {team: found["Namespace", "", team]["metadata"]["labels"] for team in QUEUED}
    assert labels["vision"] == labels["speech"] | {MANAGED: "true"}


def test_the_quota_of_a_namespace_with_a_queue_counts_no_requests_of_pods(tmp_path: Path) -> None:
    kept = {
        "requests.storage": "10Ti", "pods": 200, "persistentvolumeclaims": 20, "count/jobs.batch": 9,
        "fast.storageclass.storage.k8s.io/requests.storage": "1Ti", "services": 5,
    }  # fmt: skip
    counted = {
        "requests.cpu": 8, "requests.memory": "8Gi", "requests.nvidia.com/gpu": 8, "limits.cpu": 16, "cpu": 9,
        "limits.memory": "8Gi", "memory": "8Gi", "requests.ephemeral-storage": "1Ti", "limits.ephemeral-storage": "1Ti",
        "requests.hugepages-2Mi": "1Gi", "ephemeral-storage": "2Ti",
    }  # fmt: skip
    teams = {"vision": {"queue": {"a100": QUOTA | {"ephemeral-storage": "1Ti"}}, "quota": {"pods": 50}}, "speech": None}
    found = objects(tmp_path, teams=teams, queues=QUEUES, quota=kept | counted)
    hard = {team: found["ResourceQuota", team, "team"]["spec"]["hard"] for team in teams}
    assert hard["vision"] == {key: hard["speech"][key] for key in kept} | {"pods": 50}
    assert kept.keys() | counted.keys() <= hard["speech"].keys()


def test_a_queue_with_gpus_needs_no_other_quota_of_gpus(tmp_path: Path) -> None:
    found = objects(tmp_path, teams={"vision": QUEUED["vision"]}, queues=QUEUES, quota={"pods": 5})
    assert "pods" in found["ResourceQuota", "vision", "team"]["spec"]["hard"]


def test_every_resource_that_the_pods_of_a_run_request_has_a_quota(tmp_path: Path) -> None:
    """Kueue never starts a run that requests a resource that its queue does not cover."""
    job = tmp_path / "run.yaml"
    job.write_text(
        "strategy: MultiWorkerMirrored\nstorage: {claim: runs}\nscheduling: {queue: vision}\n"
        "worker: {replicas: 2, gpus: 1, resources: {requests: {memory: 8Gi}}}\n"
    )
    [workload] = [each for each in render("run", "vision", job) if each["kind"] == "Workload"]
    requested = {
        name
        for pods in workload["spec"]["podSets"]
        for container in pods["template"]["spec"]["containers"]
        for kind in ("requests", "limits")
        for name in container["resources"].get(kind, {})
    }
    assert "nvidia.com/gpu" in requested
    [group] = objects(tmp_path, teams=QUEUED, queues=QUEUES)["ClusterQueue", "", "vision"]["spec"]["resourceGroups"]
    assert requested <= set(group["coveredResources"])


def checked(tmp_path: Path, *found: Object) -> subprocess.CompletedProcess[str]:
    """Return what kubeconform reports with the schemas of Kueue's CRDs."""
    folder = tmp_path / "objects"
    folder.mkdir()
    for number, each in enumerate(found):
        (folder / f"{number}.json").write_text(json.dumps(each))
    command = [tool("kubeconform"), "-strict", "-summary", "-kubernetes-version", "1.37.0"]
    return subprocess.run([*command, "-schema-location", SCHEMAS, str(folder)], capture_output=True, text=True)


def test_queues_of_20_teams_agree_with_the_schemas_of_kueue(tmp_path: Path) -> None:
    teams: dict[str, Any] = {f"team{number}": {"queue": {"a100": QUOTA, "h100": QUOTA}} for number in range(20)}
    found = objects(tmp_path, teams=teams, queues=QUEUES)
    queued = of_kueue(found)
    assert len(queued) == 20 * 2 + 3 + 3
    assert {name for kind, _, name in found if kind == "AppProject"} == set(teams)
    done = checked(tmp_path, *queued.values())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Valid: 46, Invalid: 0, Errors: 0, Skipped: 0" in done.stdout


@pytest.mark.parametrize(
    ("kind", "name", "field"),
    [
        ("ClusterQueue", "vision", "cohort"), ("LocalQueue", "vision", "queue"), ("ResourceFlavor", "a100", "labels"),
    ],
)  # fmt: skip
def test_schemas_of_kueue_refuse_an_unknown_field(tmp_path: Path, kind: str, name: str, field: str) -> None:
    found = objects(tmp_path, teams=QUEUED, queues=QUEUES)
    wrong = found[kind, "vision" if kind == "LocalQueue" else "", name]
    wrong["spec"][field] = "x"
    done = checked(tmp_path, wrong)
    assert done.returncode == 1
    assert f"additional properties '{field}' not allowed" in done.stdout


def without(*names: str) -> Object:
    return {name: amount for name, amount in QUOTA.items() if name not in names}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"teams": QUEUED, "queues": {}},
            'tf-distributed: teams.vision.queue: got "a100"; expected a name of queues.flavors ([]). '
            "Add the flavor there, or name another one.",
        ),
        ({"teams": {"vision": {"queue": {"v100": QUOTA}}}}, 'got "v100"; expected a name of queues.flavors (["h100"'),
        (
            {"teams": {"vision": {"queue": {"a100": without("memory")}}}},
            "tf-distributed: teams.vision.queue.a100: got no memory; expected a quota of each resource that pods "
            "request (cpu, memory, nvidia.com/gpu). Set memory: NUMBER, or 0 for none.",
        ),
        ({"teams": {"vision": {"queue": {"a100": without("cpu")}}}}, "queue.a100: got no cpu;"),
        ({"teams": {"vision": {"queue": {"a100": without("nvidia.com/gpu")}}}}, "queue.a100: got no nvidia.com/gpu;"),
        ({"teams": {"vision": {"queue": {"a100": {}}}}}, "queue.a100: got no cpu;"),
        # Each GPU of the quota, of another flavor and of another team.
        (
            {"teams": QUEUED, "quota": {"requests.nvidia.com/gpu": 8, "requests.amd.com/gpu": 8}},
            "teams.vision.queue.a100: got no amd.com/gpu;",
        ),
        (
            {"teams": {"vision": {"queue": {"a100": QUOTA, "h100": QUOTA | {"amd.com/gpu": 1}}}}},
            "teams.vision.queue.a100: got no amd.com/gpu;",
        ),
        (
            {"teams": QUEUED | {"speech": {"queue": {"h100": QUOTA | {"ephemeral-storage": "1Ti"}}}}},
            "teams.vision.queue.a100: got no ephemeral-storage;",
        ),
        (
            {"teams": QUEUED, "queues": {"flavors": [{"name": "a100"}, {"name": "a100"}]}},
            'tf-distributed: queues.flavors: got two entries named "a100"; expected a name only once.',
        ),
        ({"teams": {"default": QUEUED["vision"]}}, "invalid propertyName 'default'"),
        ({"teams": {"vision": {"queue": {"a100": QUOTA | {"cpu": "many"}}}}}, "/teams/vision/queue/a100/cpu"),
        ({"teams": {"vision": {"queue": {"a100": QUOTA | {"cpu": -1}}}}}, "/teams/vision/queue/a100/cpu"),
        ({"teams": {"vision": {"queue": {"a100": QUOTA | {"nvidia.com/gpu": "500m"}}}}}, "queue/a100/nvidia.com~1gpu"),
        ({"teams": {"vision": {"queue": {"a100": QUOTA | {"gpu": 1}}}}}, "additional properties 'gpu' not allowed"),
        (
            {"teams": {"vision": {"queue": {"a100": QUOTA | {"requests.amd.com/gpu": 1}}}}},
            "invalid propertyName 'requests.amd.com/gpu'",
        ),
        ({"teams": {"vision": {"queue": {"a100": 16}}}}, "/teams/vision/queue/a100"),
        ({"queues": {"flavors": [{"nodeLabels": {}}]}}, "missing property 'name'"),
        ({"queues": {"flavors": [{"name": "a", "labels": {}}]}}, "additional properties 'labels' not allowed"),
        ({"queues": {"priorities": {"high": "1000"}}}, "/queues/priorities/high"),
        ({"queues": {"cohort": "A B"}}, "/queues/cohort"),
        ({"quota": {"requests.nvidia.com/gpu": -1}}, "/quota/requests.nvidia.com~1gpu"),
    ],
    ids=lambda value: json.dumps(value)[:90] if isinstance(value, dict) else "",
)
def test_invalid_queues_are_refused(tmp_path: Path, values: Object, message: str) -> None:
    done = template(tmp_path, **({"queues": QUEUES} | values))
    assert done.returncode != 0
    assert message in done.stderr


def test_the_example_in_the_documentation_renders(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "platform" / "queues.md").read_text()
    [block] = [text for text in page.split("```yaml\n") if text.startswith("queues:")]
    values = helm_yaml.load(block.partition("```")[0]).value
    assert objects(tmp_path, **values)["ClusterQueue", "", "vision"]["spec"]["cohortName"] == "gpus"
