"""What a run takes is read from all of its rendered objects, whatever their kind."""

from pathlib import Path
from typing import Any

import pytest

from tests.chart.rendering import ACCEPTED, EXAMPLES, objects, rendered
from tests.unit.review.cases import NEW, OLD
from tests.unit.review.repositories import DIGEST, RUN, Case, review_of
from tfd.jobfile import helm_yaml
from tfd.review.analysis.network import peers
from tfd.review.analysis.rights import Right, Rights
from tfd.review.analysis.run_rights import rights_of
from tfd.review.sources.rendering import Rendering
from tfd.review.sources.workloads import Workload, workloads

COMMIT = 40 * "c"
ALL = {
    "strategy": "ParameterServer",
    "image": f"registry.example.com/trainer@{DIGEST}",
    "args": ["--", "train.py", "--data=gs://data-of-others/a"],
    "env": [
        {"name": "A", "value": "gs://more/x, gs://more/y"},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "wandb", "key": "k"}}},
        {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "k"}}},
    ],
    "trainer": {"hyperparameters": {"cache": "gs://cache/x"}},
    "code": {
        "image": "registry.example.com/git:1",
        "git": {
            "repository": "https://git.example.com/a/b",
            "commit": COMMIT,
            "tokenSecret": {"name": "git-token", "key": "k"},
        },
    },
    "storage": {"uri": "gs://bucket/runs"},
    "data": {"claim": "images"},
    "mounts": [
        {"at": "/models", "claim": "models", "folder": "bert"},
        {"at": "/words", "claim": "models", "folder": "words"},
        {"at": "/keys", "secret": "keys"},
        {"at": "/settings", "configMap": "tokenizer"},
        {"at": "/cache", "scratch": "1Gi"},
    ],
    "podAnnotations": {"linkerd.io/inject": "disabled"},
    "ps": {"image": "registry.example.com/cpu:1", "tolerations": [{"operator": "Exists"}]},
    "worker": {
        "gpus": 1,
        "resources": {"limits": {"memory": "4Gi"}},
        "nodeSelector": {"pool": "a"},
        "tolerations": [{"key": "a", "value": "b"}, {"key": "nvidia.com/gpu", "operator": "Exists"}],
    },
    "labels": {"grafana_dashboard": "1", "argocd.argoproj.io/instance": "x"},
    "imagePullSecrets": [{"name": "pull"}],
    "serviceAccountName": "robot",
    "scheduling": {"priorityClassName": "high", "schedulerName": "volcano", "queue": "team", "priority": "urgent"},
    "tensorboard": {"image": "registry.example.com/board:1"},
}


def rights(values: dict[str, Any]) -> Rights:
    return rights_of(Rendering(rendered(values)), values)


def test_every_right_of_a_run_has_the_key_that_sets_it() -> None:
    found = rights(ALL)
    git = ("code", "git", "repository")
    assert keyed(found.code) == [(f"https://git.example.com/a/b@{COMMIT}", "code", git)]
    assert keyed(found.repositories) == [("https://git.example.com/a/b", "code", git)]
    assert found.command == ("python", "-m", "trainer", "--", "train.py", "--data=gs://data-of-others/a")
    assert keyed(found.images) == [
        ("registry.example.com/board:1", "tensorboard", ("tensorboard", "image")),
        ("registry.example.com/cpu:1", "ps", ("ps", "image")),
        ("registry.example.com/git:1", "code", ("code", "image")),
        (f"registry.example.com/trainer@{DIGEST}", "trainer", ("image",)),
    ]
    assert keyed(found.secrets) == [
        ("git-token", "CODE_TOKEN", ("code", "git", "tokenSecret")),
        ("keys", "mounts[2]", ("mounts", 2, "secret")),
        ("pull", "imagePullSecrets", ("imagePullSecrets",)),
        ("wandb", "B", ("env", 1)),
    ]
    assert keyed(found.config_maps) == [
        ("settings", "C", ("env", 2)),
        ("tokenizer", "mounts[3]", ("mounts", 3, "configMap")),
    ]
    assert {(each.value, each.key) for each in found.service_accounts} == {("robot", ("serviceAccountName",))}
    assert {each.where for each in found.service_accounts} == {"chief", "ps", "worker", "tensorboard"}
    assert {(each.value, each.where) for each in found.priority_classes} == {
        ("high", role) for role in ("chief", "ps", "worker")
    }
    assert {(each.value, each.where) for each in found.schedulers} == {
        ("volcano", role) for role in ("chief", "ps", "worker")
    }
    assert keyed(found.annotations) == [("linkerd.io/inject", "disabled", ("podAnnotations", "linkerd.io/inject"))]
    for queued, value, name in ((found.queues, "team", "queue"), (found.queue_priorities, "urgent", "priority")):
        assert keyed(queued) == [(value, role, ("scheduling", name)) for role in ("chief", "ps", "worker")]
    assert keyed(found.taints) == [
        ("*", "ps", ("ps", "tolerations")),
        ("a=b", "worker", ("worker", "tolerations")),
        ("nvidia.com/gpu", "worker", ("worker", "tolerations")),
    ]
    assert keyed(found.nodes) == [("pool=a", "worker", ("worker", "nodeSelector"))]
    assert keyed(found.claims) == [
        ("images", "reads", ("data", "claim")),
        ("models", "reads", ("mounts", 0, "claim")),
    ]
    assert {each.value: each.key for each in found.buckets} == {
        "gs://bucket/runs": ("storage", "uri"),
        "gs://cache/x": ("trainer",),
        "gs://data-of-others/a": ("args",),
        "gs://more/x": ("env", 0),
        "gs://more/y": ("env", 0),
    }
    assert keyed(found.labels) == [
        ("argocd.argoproj.io/instance", "x", ("labels", "argocd.argoproj.io/instance")),
        ("grafana_dashboard", "1", ("labels", "grafana_dashboard")),
    ]
    assert (found.request.gpus, found.request.pods, found.hours) == (2, 5, 24)


def test_a_small_run_takes_nothing_but_its_images_and_its_claim() -> None:
    found = rights({"storage": {"claim": "runs"}, "tensorboard": {"enabled": False}})
    assert keyed(found.claims) == [("runs", "writes", ("storage", "claim"))]
    assert [each.where for each in found.images] == ["trainer"]
    nothing = (found.code, found.code_files, found.command, found.secrets, found.config_maps, found.service_accounts,
               found.priority_classes, found.queues, found.queue_priorities, found.taints, found.nodes,
               found.new_claims, found.buckets, found.warm_start, found.egress, found.labels,
               found.annotations)  # fmt: skip
    assert not any(nothing)


def test_run_that_gives_the_weights_is_named() -> None:
    assert rights({"storage": {"claim": "runs"}, "warmStartFrom": "digits-41"}).warm_start == "digits-41"


def test_bucket_in_parts_is_found_as_the_kubelet_puts_it_together() -> None:
    env = [
        {"name": "A", "value": "gs:/"},
        {"name": "B", "value": "$(A)/speech-$(NOTHING)"},
        {"name": "C", "value": "$$(A)/no"},
    ]
    job = {"storage": {"claim": "runs"}, "env": env, "command": ["cp", "$(A)/cache/x"], "args": ["$(D)"]}
    assert {each.value: each.key for each in rights(job).buckets} == {
        "gs://cache/x": ("command",),
        "gs://speech-$": ("env", 1),
    }


def test_files_of_the_job_file_and_a_new_claim_are_named() -> None:
    found = rights({"storage": {"create": {"size": "5Ti"}}, "code": {"files": {"b.py": "", "a.py": ""}}})
    assert [each.value for each in found.code_files] == ["a.py", "b.py"]
    assert [(each.where, each.key) for each in found.new_claims] == [("5Ti", ("storage", "create", "size"))]
    assert found.request.storage == 5 * 2**40
    assert found.claims == ()


def test_shared_memory_and_scratch_space_request_nothing_more() -> None:
    """Shared memory is within the memory of its task, and scratch space is a limit."""
    job = {"storage": {"claim": "runs"}, "strategy": "ParameterServer"}
    more = {"mounts": [{"at": "/cache", "scratch": "1Ti"}], "worker": {"shm": "2Gi"}}
    assert rights(job | more).request == rights(job).request


@pytest.mark.parametrize("path", [*EXAMPLES, *ACCEPTED], ids=lambda path: path.stem)
def test_no_reference_in_any_rendered_object_is_missed(path: Path) -> None:
    """A plain search for the fields of Kubernetes finds the same as the rights."""
    values = helm_yaml.load(path.read_text()).value
    found, everything = rights_of(Rendering(rendered(path)), values), objects(path)
    own = {item["metadata"]["name"] for item in everything if item["kind"] == "ConfigMap"}
    claims = {item["metadata"]["name"] for item in everything if item["kind"] == "PersistentVolumeClaim"}
    assert names(found.images) == set(fields(everything, "image"))
    assert names(found.service_accounts) == set(fields(everything, "serviceAccountName"))
    assert names(found.priority_classes) == set(fields(everything, "priorityClassName"))
    assert names(found.claims) == set(fields(everything, "claimName")) - claims
    assert names(found.secrets) == {
        *(each["name"] for each in fields(everything, "secretKeyRef")),
        *(each["name"] for many in fields(everything, "imagePullSecrets") for each in many),
        *fields(everything, "secretName"),
    }
    assert (
        names(found.config_maps)
        == {each["name"] for kind in ("configMapKeyRef", "configMap") for each in fields(everything, kind)} - own
    )


POD = {
    "priorityClassName": "p",
    "initContainers": [{"name": "i", "image": "i", "resources": {"requests": {"memory": "9Gi", "example.com/x": 4}}}],
    "containers": [
        {
            "name": "c",
            "image": "c",
            "resources": {"limits": {"example.com/x": "1", "cpu": "2"}, "requests": {"cpu": "500m"}},
            "envFrom": [{"secretRef": {"name": "s"}}, {"configMapRef": {"name": "m"}}],
        }
    ],
    "volumes": [
        {"name": "v", "secret": {"secretName": "t"}},
        {"name": "w", "projected": {"sources": [{"secret": {"name": "u"}}, {"configMap": {"name": "n"}}]}},
    ],
}
TEMPLATE = {"metadata": {"labels": {}}, "spec": POD}
JOB = {"parallelism": 4, "template": TEMPLATE}
OTHER_KINDS: dict[str, tuple[dict[str, Any], int, float | None]] = {
    "Pod": (POD, 1, None),
    "StatefulSet": ({"replicas": 3, "template": TEMPLATE}, 3, None),
    "DaemonSet": ({"template": TEMPLATE}, 1, None),
    "CronJob": ({"jobTemplate": {"spec": JOB | {"activeDeadlineSeconds": 60}}}, 4, 60),
    "JobSet": ({"replicatedJobs": [{"name": "a", "template": {"spec": JOB}}]}, 4, None),
}  # fmt: skip


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_pods_of_every_kind_count(kind: str) -> None:
    spec, pods, seconds = OTHER_KINDS[kind]
    [found] = workloads([{"apiVersion": "v1", "kind": kind, "metadata": {"name": "a"}, "spec": spec}])
    assert (found.pods, found.seconds) == (pods, seconds)
    # The larger of the init container and the sum of the others.
    assert found.request.gpus == 4 * pods
    assert found.request.endless_gpus == (0 if seconds else 4 * pods)
    assert (found.request.cpus, found.request.memory) == (pods / 2, pods * 9 * 2**30)
    assert [each["image"] for each in found.containers] == ["i", "c"]


def test_run_in_a_queue_requests_what_it_requests_without_one() -> None:
    """A Workload of Kueue describes the pods of the Jobs and creates none."""
    queued, plain = rights(ALL), rights(ALL | {"scheduling": {"priorityClassName": "high"}})
    assert queued.request == plain.request
    assert queued.annotations == plain.annotations
    assert "Workload" in {item["kind"] for item in objects(ALL)}


def test_metrics_open_one_port_to_one_namespace() -> None:
    job = {"storage": {"claim": "runs"}, "tensorboard": {"enabled": False}}
    assert rights(job).metrics_namespaces == ()
    found = rights(job | {"metrics": {"enabled": True, "namespace": "observability"}})
    assert keyed(found.metrics_namespaces) == [("observability", "", ("metrics", "namespace"))]
    opened = {each.value for each in found.incoming} - {each.value for each in rights(job).incoming}
    assert opened == {"all pods of namespaces kubernetes.io/metadata.name=observability (TCP metrics)"}


@pytest.mark.parametrize("selector", [{}, {"matchExpressions": [{"key": "a", "operator": "Exists"}]}])
def test_policy_without_names_of_namespaces_lets_all_in(selector: dict[str, Any]) -> None:
    record = {"data": {"run.json": '{"identity": {}}'}, "kind": "ConfigMap", "metadata": {"name": "r"}}
    opened = policy({}, ingress=[{"from": [{"namespaceSelector": selector}, {"podSelector": {}}]}])
    found = rights_of(Rendering("".join(f"---\n{text}\n" for text in (record, opened))), {})
    assert names(found.metrics_namespaces) == {"*"}


def test_secrets_and_config_maps_count_in_every_form() -> None:
    record = {"data": {"run.json": '{"identity": {}}'}, "kind": "ConfigMap", "metadata": {"name": "r"}}
    found = rights_of(Rendering("".join(f"---\n{text}\n" for text in (record, {
        "kind": "StatefulSet", "metadata": {"name": "a"}, "spec": {"template": TEMPLATE}}))), {})  # fmt: skip
    assert names(found.secrets) == {"s", "t", "u"}
    assert names(found.config_maps) == {"m", "n"}
    assert names(found.priority_classes) == {"p"}


def test_rights_of_an_archived_run_are_those_of_the_active_one(tmp_path: Path) -> None:
    values = "\nserviceAccountName: robot\n"
    [active] = review_of(tmp_path / "a", Case({NEW: RUN + values})).runs
    [archived] = review_of(tmp_path / "b", Case({NEW: f"{RUN}{values}state: archived\n"})).runs
    assert archived.rights == active.rights
    assert archived.rights
    assert names(archived.rights.service_accounts) == {"robot"}


def test_growth_of_a_run_is_what_runs_more_after_the_merge(tmp_path: Path) -> None:
    [run] = review_of(tmp_path / "a", Case({OLD: RUN}, {OLD: f"{RUN}state: suspended\n"})).runs
    assert (run.growth.gpus, run.growth.pods) == (4, 8)
    [run] = review_of(tmp_path / "b", Case({OLD: f"{RUN}state: archived\n"}, {OLD: RUN})).runs
    assert (run.growth.gpus, run.growth.pods) == (-4, -9)


A, B = {"matchLabels": {"app": "a"}}, {"matchExpressions": [{"key": "app", "operator": "In", "values": ["b", "c"]}]}


def policy(selector: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"kind": "NetworkPolicy", "metadata": {"name": "n"}, "spec": {"podSelector": selector, **spec}}


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        ([], ["anywhere"]),
        ([policy(B, policyTypes=["Egress"])], ["anywhere"]),
        ([policy(A, policyTypes=["Ingress"])], ["anywhere"]),
        ([policy(A, policyTypes=["Egress"])], []),
        ([policy({}, policyTypes=["Egress"], egress=[{}])], ["anywhere"]),
        ([policy(A, egress=[{"to": [{"podSelector": B}], "ports": [{"port": 53, "protocol": "UDP"}]}])],
         ["pods app In b c (UDP 53)"]),
        ([policy(A, egress=[{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}]}])],
         ["0.0.0.0/0 without 10.0.0.0/8"]),
        ([policy(A, egress=[{"to": [{"namespaceSelector": each}]}]) for each in (A, {})],
         ["all pods of namespaces app=a", "all pods of all namespaces"]),
    ],
)  # fmt: skip
def test_policies_that_select_a_pod_add_up(policies: list[dict[str, Any]], expected: list[str]) -> None:
    pod = Workload({"kind": "Pod"}, {"app": "a"}, {}, {"containers": []}, 1, None)
    assert [peer for peer, _ in peers([pod], policies, "Egress")] == expected


def keyed(found: tuple[Right, ...]) -> list[tuple[str, str, helm_yaml.Key]]:
    return [(each.value, each.where, each.key) for each in found]


def names(found: tuple[Right, ...]) -> set[str]:
    return {each.value for each in found}


def fields(value: Any, name: str) -> list[Any]:
    """Return the values of a field at any depth, except in the data of ConfigMaps."""
    if isinstance(value, list):
        return [each for child in value for each in fields(child, name)]
    if not isinstance(value, dict):
        return []
    own = [value[name]] if name in value else []
    return own + [each for key, child in value.items() if key != "data" for each in fields(child, name)]
