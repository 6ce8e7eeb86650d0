"""With scheduling.queue, Kueue sees all tasks of a run as one group. Without it, nothing of Kueue is rendered."""

import copy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import ACCEPTED, EXAMPLES, Object, Values, by_name, of_kind, render, rendered
from tests.chart.rendering import objects as parsed
from tfd.jobfile import helm_yaml
from tfd.kubernetes import COMPONENT_LABEL

PREFIX = "kueue.x-k8s.io/"
QUEUE = {"queue": "team", "priority": "high"}
VALUES: dict[Path, Values] = {path: helm_yaml.load(path.read_text()).value for path in EXAMPLES + ACCEPTED}
PLAIN = [path for path, values in VALUES.items() if "queue" not in values.get("scheduling", {})]
QUEUED = [path for path in VALUES if path not in PLAIN and VALUES[path].get("state") != "archived"]
# The chart refuses an elastic run in a queue.
ELASTIC = [path for path, values in VALUES.items() if "minReplicas" in values.get("worker", {})]
WITH_TASKS = [path for path in PLAIN if path not in ELASTIC]
ACTIVE = [path for path in WITH_TASKS if VALUES[path].get("state") != "archived"]


objects = cache(parsed)


@cache
def queued(path: Path) -> list[Object]:
    """Return the objects of a job file in a queue."""
    values = VALUES[path]
    text = render(values | {"scheduling": values.get("scheduling", {}) | QUEUE}, run=path.stem)
    return helm_yaml.load_all(text)


def without_queue(found: list[Object]) -> list[Object]:
    """Return objects without what a queue adds."""
    left = [copy.deepcopy(each) for each in found if each["kind"] != "Workload"]
    for spec in (each["spec"] for each in left if each["kind"] == "Job"):
        metadata = spec["template"]["metadata"]
        for kind in ("labels", "annotations"):
            names = metadata.pop(kind, {})
            if kept := {name: value for name, value in names.items() if not name.startswith(PREFIX)}:
                metadata[kind] = kept
        [ignored] = [each for each in spec["podFailurePolicy"]["rules"] if each["action"] == "Ignore"]
        ignored["onPodConditions"] = [each for each in ignored["onPodConditions"] if each["type"] == "DisruptionTarget"]
        spec.pop("maxFailedIndexes", None)
    return left


def without_limit(found: list[Object]) -> list[Object]:
    """Return objects without the limit of failed tasks, which a queue adds to the workers of ParameterServer."""
    left = copy.deepcopy(found)
    for each in of_kind(left, "Job"):
        each["spec"].pop("maxFailedIndexes", None)
    return left


@pytest.mark.parametrize("path", PLAIN, ids=lambda path: path.stem)
def test_run_without_a_queue_has_nothing_of_kueue(path: Path) -> None:
    text = rendered(path).lower()
    assert "kueue" not in text
    assert "terminationtarget" not in text


@pytest.mark.parametrize("path", WITH_TASKS, ids=lambda path: path.stem)
def test_queue_adds_nothing_but_what_kueue_reads(path: Path) -> None:
    assert without_queue(queued(path)) == without_limit(objects(path))


def pod_sets(found: list[Object]) -> dict[str, Object]:
    [workload] = of_kind(found, "Workload")
    return {each["name"]: each for each in workload["spec"]["podSets"]}


def tasks(found: list[Object]) -> dict[str, Object]:
    return {each["metadata"]["labels"][COMPONENT_LABEL]: each["spec"] for each in of_kind(found, "Job")}


QUEUED_RUNS = [(path, objects) for path in QUEUED] + [(path, queued) for path in ACTIVE]


@pytest.mark.parametrize(("path", "rendering"), QUEUED_RUNS, ids=lambda part: getattr(part, "stem", ""))
def test_pods_and_workload_describe_one_group(path: Path, rendering: Any) -> None:
    found = rendering(path)
    sets, specs = pod_sets(found), tasks(found)
    # Kueue replaces a Workload whose sets are in another order, and stops the run.
    assert list(sets) == sorted(specs)
    assert {role: each["count"] for role, each in sets.items()} == {
        role: spec["completions"] for role, spec in specs.items()
    }
    total = str(sum(each["count"] for each in sets.values()))
    queues = set()
    for role, spec in specs.items():
        metadata = spec["template"]["metadata"]
        assert metadata["annotations"][f"{PREFIX}pod-group-total-count"] == total
        assert metadata["annotations"][f"{PREFIX}role-hash"] == role
        assert metadata["labels"][f"{PREFIX}pod-group-name"] == path.stem
        queues.add(metadata["labels"][f"{PREFIX}queue-name"])
        # One failed task that must not be retried would fail the group.
        assert f"{PREFIX}retriable-in-group" not in metadata["annotations"]
    assert len(queues) == 1


@pytest.mark.parametrize(("path", "rendering"), QUEUED_RUNS, ids=lambda part: getattr(part, "stem", ""))
def test_workload_counts_what_the_pods_request_and_where(path: Path, rendering: Any) -> None:
    found = rendering(path)
    for role, each in pod_sets(found).items():
        pod = tasks(found)[role]["template"]["spec"]
        spec = each["template"]["spec"]
        for field in ("affinity", "nodeSelector", "restartPolicy", "tolerations"):
            assert spec.get(field) == pod.get(field), field
        for kind in ("initContainers", "containers"):
            assert [(one["name"], one["image"], one["resources"]) for one in spec.get(kind, [])] == [
                (one["name"], one["image"], one["resources"]) for one in pod.get(kind, [])
            ]


@pytest.mark.parametrize(("path", "rendering"), QUEUED_RUNS, ids=lambda part: getattr(part, "stem", ""))
def test_workload_is_a_group_that_brings_no_queue(path: Path, rendering: Any) -> None:
    found = rendering(path)
    [workload] = of_kind(found, "Workload")
    assert workload["apiVersion"] == "kueue.x-k8s.io/v1beta2"
    assert workload["metadata"]["name"] == path.stem
    assert workload["metadata"]["annotations"][f"{PREFIX}is-group-workload"] == "true"
    # Without the finalizer, the pods of a deleted run hang in deletion.
    assert workload["metadata"]["finalizers"] == [f"{PREFIX}resource-in-use"]
    # A Workload with a queue would be admitted before it has pods.
    assert workload["spec"].keys() == {"active", "podSets"}
    assert workload["spec"]["active"] == (VALUES[path].get("state") != "suspended")


@pytest.mark.parametrize(("path", "rendering"), QUEUED_RUNS, ids=lambda part: getattr(part, "stem", ""))
def test_no_object_but_the_pods_is_in_the_queue(path: Path, rendering: Any) -> None:
    """A Job or a Deployment with a label of Kueue waits by itself, while the others hold their GPUs."""
    for each in rendering(path):
        assert [name for name in each["metadata"]["labels"] if "kueue" in name] == [], each["kind"]
        if each["kind"] == "Deployment":
            assert [name for name in each["spec"]["template"]["metadata"]["labels"] if "kueue" in name] == []


@pytest.mark.parametrize("run", ["no", "y", "null", "e1"])
def test_names_that_yaml_reads_as_other_values_stay_strings(run: str) -> None:
    text = render({"storage": {"claim": "runs"}, "scheduling": {"queue": "on", "priority": "1"}}, run=run)
    found = list(yaml.safe_load_all(text))
    [workload] = of_kind(found, "Workload")
    [pods] = [each["spec"]["template"]["metadata"] for each in of_kind(found, "Job")]
    assert workload["metadata"]["name"] == run
    kueue = {name.removeprefix(PREFIX): value for name, value in pods["labels"].items() if name.startswith(PREFIX)}
    assert kueue == {"queue-name": "on", "pod-group-name": run, "priority-class": "1"}


def test_archived_run_is_in_no_queue() -> None:
    [path] = [path for path in VALUES if path.stem == "queue-archived"]
    assert {each["kind"] for each in objects(path)} == {"ConfigMap"}


GANGS = [path for path in VALUES if VALUES[path].get("scheduling", {}).get("gang")]


@pytest.mark.parametrize("path", GANGS, ids=lambda path: path.stem)
def test_pods_of_a_gang_have_the_priority_of_their_group(path: Path) -> None:
    """The scheduler never places a group whose priority is another one than that of its pods."""
    found = objects(path)
    for group in of_kind(found, "PodGroup"):
        mode = "single" if path in ELASTIC else "all"
        assert group["spec"]["disruptionMode"] == {mode: {}}
        for spec in tasks(found).values():
            pod = spec["template"]["spec"]
            if "schedulingGroup" in pod:
                assert pod["schedulingGroup"] == {"podGroupName": group["metadata"]["name"]}
                assert pod.get("priorityClassName") == group["spec"].get("priorityClassName")


def test_a_gang_with_a_priority_class_is_among_the_files() -> None:
    named = [by_name(objects(path)).get(f"PodGroup/{path.stem}", {}).get("spec", {}) for path in GANGS]
    assert any("priorityClassName" in spec for spec in named)
    assert any("priorityClassName" not in spec for spec in named if spec)
