"""Each key has the class (x-class) that its effect on the objects in a cluster requires.

Kubernetes lets these fields of a live Job change: spec.suspend, parallelism, activeDeadlineSeconds, backoffLimit,
ttlSecondsAfterFinished, and metadata. It refuses a change of any other, of a claim's spec, of a selector and of an
immutable ConfigMap's data.
"""

import pytest

from tests.chart.keys import BASE, CHANGES, LEAVES
from tests.chart.rendering import Object, by_name, objects, of_kind, record

MUTABLE = {"suspend", "parallelism", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"}
REFUSED = {"ps.gpus"}  # every value other than the default is refused


def keys_of(*classes: str) -> list[str]:
    """Return the keys of some classes."""
    return [key for key, node in LEAVES.items() if node["x-class"] in classes and key not in REFUSED]


def immutable(rendered: list[Object]) -> dict[str, Object]:
    """Return the fields that Kubernetes refuses to change, by object."""
    found: dict[str, Object] = {}
    for name, item in by_name(rendered).items():
        if item["kind"] == "Job":
            found[name] = {field: value for field, value in item["spec"].items() if field not in MUTABLE}
        elif item["kind"] in ("PersistentVolumeClaim", "PodGroup"):
            found[name] = item["spec"]
        elif item["kind"] == "Workload":  # while Kueue reserves quota for it
            found[name] = item["spec"]["podSets"]
        elif item["kind"] == "ConfigMap":
            found[name] = item["data"]
        elif item["kind"] == "Deployment":
            found[name] = item["spec"]["selector"]
    return found


def pod_templates(rendered: list[Object]) -> list[Object]:
    """Return the pod templates of all Jobs and Deployments."""
    return [o["spec"]["template"] for o in rendered if o["kind"] in ("Job", "Deployment")]


@pytest.mark.parametrize("key", keys_of("mutable", "metadata"))
def test_mutable_key_changes_no_field_that_kubernetes_refuses_to_change(key: str) -> None:
    before, after = (immutable(objects(job)) for job in CHANGES[key].jobs(key))
    both = before.keys() & after.keys()
    assert {name: before[name] for name in both} == {name: after[name] for name in both}
    # TensorBoard is not a Job: Argo CD may create and delete it.
    assert {name for name in before.keys() ^ after.keys() if "tensorboard" not in name} == set()


@pytest.mark.parametrize("key", keys_of("identity"))
def test_identity_key_changes_the_hash(key: str) -> None:
    before, after = (record(objects(job)) for job in CHANGES[key].jobs(key))
    assert before["hash"] != after["hash"]
    assert before["identity"] != after["identity"]


@pytest.mark.parametrize("key", keys_of("immutable", "mutable", "metadata"))
def test_what_is_no_identity_does_not_change_the_hash(key: str) -> None:
    before, after = (record(objects(job)) for job in CHANGES[key].jobs(key))
    assert before == after


@pytest.mark.parametrize("key", keys_of("immutable"))
def test_immutable_key_changes_a_field_that_kubernetes_refuses_to_change(key: str) -> None:
    """A key without such a field could be mutable."""
    before, after = (immutable(objects(job)) for job in CHANGES[key].jobs(key))
    assert before != after


@pytest.mark.parametrize("key", keys_of("metadata"))
def test_metadata_key_never_reaches_a_pod(key: str) -> None:
    before, after = (objects(job) for job in CHANGES[key].jobs(key))
    assert pod_templates(before) == pod_templates(after)


@pytest.mark.parametrize("state", ["active", "suspended", "archived"])
def test_state_ends_and_starts_jobs_without_changing_them(state: str) -> None:
    active, now = objects(BASE), objects(BASE | {"state": state})
    jobs = of_kind(now, "Job")
    assert len(jobs) == (0 if state == "archived" else 4)
    assert {job["spec"]["suspend"] for job in jobs} <= {state == "suspended"}
    assert immutable(now).items() <= immutable(active).items()


def test_all_classes_have_keys() -> None:
    assert {len(keys_of(name)) > 2 for name in ("identity", "immutable", "mutable", "metadata")} == {True}


def test_an_archived_run_keeps_its_record_and_its_claim() -> None:
    run = BASE | {"storage": {"create": {"size": "1Gi"}}}
    kept = by_name(objects(run | {"state": "archived"}))
    assert kept.keys() == {"ConfigMap/run", "PersistentVolumeClaim/run-storage"}
    assert kept.items() <= by_name(objects(run)).items()
