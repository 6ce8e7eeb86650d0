"""`tfd doctor`: one finding for each requirement, and a probe that leaves nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.unit.tfd.fake_checkup import (
    ARGOCD,
    HEALTH,
    KUEUE,
    RESTRICTED,
    Checkup,
    claim,
    complete,
    listed,
    named,
    workload,
)
from tests.unit.tfd.test_terminal import HOSTILE, assert_harmless
from tfd.doctor import probe
from tfd.doctor.objects import probing

FORBIDDEN = 'Error from server (Forbidden): nodes is forbidden: User "ann" cannot list resource "nodes"'
CLASSES, QUOTAS = "/apis/storage.k8s.io/v1/storageclasses", "/api/v1/namespaces/vision/resourcequotas"
DEPLOYMENTS = "/apis/apps/v1/namespaces/argocd/deployments"
SETTINGS, NAMESPACE = "/api/v1/namespaces/argocd/configmaps/argocd-cm", "/api/v1/namespaces/vision"

BESIDE_GPUS = {"gpu.intel.com/memory.max": "64G", "gpu.intel.com/millicores": "1k", "nvidia.com/hostdev": "8"}
TAINTS = [
    {"key": "nvidia.com/gpu", "effect": "NoSchedule"},
    {"key": "maker", "value": "x", "effect": "NoExecute"},
    {"key": "old", "effect": "PreferNoSchedule"},
]


def gpu_node(ready: str = "True", **more: Any) -> dict[str, Any]:
    ready_condition = {"type": "Ready", "status": ready}
    return named("a", status={"allocatable": {"nvidia.com/gpu": "4"}, "conditions": [ready_condition]}, **more)


@pytest.fixture
def checkup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkup:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    # The answers of the fake cluster never change, so a second look shows nothing new.
    for limit in ("TO_START", "TO_ENFORCE", "EVERY"):
        monkeypatch.setattr(probe, limit, 0.0)
    return Checkup(tmp_path)


def test_cluster_with_everything_has_only_good_findings(checkup: Checkup) -> None:
    done = checkup.tfd("--probe")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert [line for line in lines if not line.startswith("ok    ")] == []
    assert "ok    GPUs                   8 nvidia.com/gpu on 2 nodes" in lines
    assert "ok    Argo CD                v3.6.1" in lines
    assert "ok    NetworkPolicy          enforced" in lines


def test_report_without_a_probe_creates_nothing(checkup: Checkup) -> None:
    assert checkup.tfd().exit_code == 0
    assert [line for line in checkup.asked() if "--raw" not in line and "config" not in line] == []


def test_probe_deletes_its_objects(checkup: Checkup) -> None:
    checkup.findings("--probe")
    assert checkup.left() == []
    [deleted] = [line for line in checkup.asked() if " delete " in line]
    assert "-l app.kubernetes.io/name=tfd-doctor,app.kubernetes.io/instance=tfd-doctor-" in deleted


def test_probe_uses_the_image_of_job_files_or_the_named_one(checkup: Checkup) -> None:
    assert "/trainer:" in checkup.findings("--probe")["image"][1]
    assert checkup.findings("--probe", "--image", "registry.example.com/x")["image"][1].endswith(
        "registry.example.com/x"
    )


@pytest.mark.parametrize(
    ("path", "answer", "check", "verdict", "found", "fix"),
    [
        ("/version", {"gitVersion": "v1.33.4"}, "Kubernetes", "fail", "v1.33.4", "Upgrade to Kubernetes >=1.34.0."),
        ("/version", {"gitVersion": "v1.34.0-gke.1"}, "Kubernetes", "ok", "v1.34.0-gke.1", ""),
        ("/apis/scheduling.k8s.io/v1beta1", None, "gang scheduling", "warn", "no PodGroups", "GenericWorkload"),
        (KUEUE, None, "Kueue", "warn", "not served", "install Kueue 0.19"),
        (CLASSES, listed(), "ReadWriteMany", "warn", "no StorageClass", "Install a provisioner"),
        (CLASSES, listed(named("disk", provisioner="pd")), "ReadWriteMany", "warn", "unknown for StorageClass disk",
         "tfd doctor --probe"),
        (CLASSES, listed(named("cephfs", provisioner="rook-ceph.cephfs.csi.ceph.com")), "ReadWriteMany", "ok",
         "StorageClass cephfs", ""),
        ("/api/v1/nodes", listed(), "GPUs", "warn", "no node offers a GPU", "device plugin"),
        ("/api/v1/nodes", listed(named("a", status={"allocatable": {"amd.com/gpu": "8", "cpu": "96"}})), "GPUs", "warn",
         "8 amd.com/gpu on 1 nodes", "Set gpu.resource"),
        ("/api/v1/nodes", FORBIDDEN, "GPUs", "warn", "refused: Error from server (Forbidden)", "Ask an administrator"),
        ("/version", {"gitVersion": "v1.36+"}, "Kubernetes", "ok", "v1.36+", ""),
        ("/version", {}, "Kubernetes", "warn", "no version", "by hand"),
        ("/version", FORBIDDEN, "Kubernetes", "warn", "refused", "Ask an administrator to run"),
        ("/api/v1/nodes", listed(gpu_node(spec={"unschedulable": True}), gpu_node(ready="Unknown")), "GPUs", "warn",
         "all nodes with GPUs (2) are cordoned or not ready", "uncordon"),
        ("/api/v1/nodes", listed(gpu_node(), gpu_node(ready="False")), "GPUs", "ok",
         "4 nvidia.com/gpu on 1 nodes, and 1 nodes with GPUs are cordoned or not ready", ""),
        ("/api/v1/nodes", listed(gpu_node(spec={"taints": TAINTS})), "GPUs", "ok",
         "4 nvidia.com/gpu on 1 nodes, taints maker=x:NoExecute, nvidia.com/gpu:NoSchedule", ""),
        ("/api/v1/nodes", listed(named("a", status={"allocatable": BESIDE_GPUS})), "GPUs", "warn",
         "no node offers a GPU", "device plugin"),
        (QUOTAS, listed({"status": {"hard": {"pods": "0", "services.loadbalancers": "0"}}}), "quota", "fail",
         "pods 0/0", "Raise this limit"),
        (QUOTAS, FORBIDDEN, "quota", "warn", "refused", "Ask an administrator"),
        (DEPLOYMENTS, listed(workload("x/argocd-image-updater:v0.16.0"), workload("x/argocd:v3.6.1@sha256:ab12")),
         "Argo CD", "ok", "v3.6.1", ""),
        (SETTINGS, None, "Argo CD settings", "warn", "no argocd-cm in namespace argocd", "--argocd-namespace"),
        (NAMESPACE, None, "namespace", "fail", "vision does not exist", "kubectl create namespace vision"),
        (NAMESPACE, named("vision"), "Pod Security", "warn", "enforces nothing", "kubectl label namespace vision"),
        (NAMESPACE, named("vision", metadata={"labels": RESTRICTED}), "queue", "warn", "without the label",
         "managed-namespace=true"),
        (QUOTAS, listed(), "quota", "warn", "vision has no ResourceQuota", "argocd/values.yaml"),
        (QUOTAS, listed({"spec": {"scopeSelector": {}}, "status": {"hard": {"pods": "0"}}}), "quota", "warn",
         "vision has no ResourceQuota", "argocd/values.yaml"),
        (f"{KUEUE}/namespaces/vision/localqueues", listed(), "queue", "warn", "no LocalQueue", "scheduling.queue"),
        (ARGOCD, None, "Argo CD", "warn", "not installed", "Argo CD 3.3 or newer"),
        (DEPLOYMENTS, listed(workload("quay.io/argoproj/argocd:v3.2.9")), "Argo CD", "fail", "v3.2.9", "Upgrade"),
        (DEPLOYMENTS, listed(), "Argo CD", "warn", "no image with a version", "--argocd-namespace"),
        (SETTINGS, named("argocd-cm"), "health of Jobs", "fail", f"no {HEALTH}batch_Job", "argocd/README.md"),
        (SETTINGS, named("argocd-cm", data={"application.resourceTrackingMethod": "label"}), "tracking", "warn",
         "label", "annotation"),
        (f"{ARGOCD}/namespaces/argocd/applicationsets/runs-vision", None, "team in Argo CD", "warn",
         "no ApplicationSet runs-vision", "add vision to argocd/values.yaml"),
    ],
)  # fmt: skip
def test_requirement_that_the_cluster_lacks_has_a_verdict_and_a_fix(
    checkup: Checkup, path: str, answer: Any, check: str, verdict: str, found: str, fix: str
) -> None:
    checkup.paths = {key: value for key, value in complete().items() if key != path or answer is not None}
    checkup.paths |= {path: answer} if answer is not None else {}
    findings = checkup.findings()
    assert findings[check][0] == verdict
    assert found in findings[check][1] and fix in findings[check][2]


def test_unreachable_cluster_ends_the_command(checkup: Checkup) -> None:
    checkup.paths["/version"] = "Unable to connect to the server: dial tcp 10.77.0.1:6443"
    done = checkup.tfd()
    assert (done.exit_code, "Unable to connect to the server" in done.stderr) == (2, True)


def test_policy_that_nothing_enforces_is_found(checkup: Checkup) -> None:
    checkup.enforced = False
    verdict, found, fix = checkup.findings("--probe")["NetworkPolicy"]
    assert (verdict, found.startswith("not enforced within")) == ("fail", True)
    assert "Install a network plugin" in fix
    assert checkup.left() == []


def test_pods_that_do_not_reach_each_other_are_found(checkup: Checkup) -> None:
    checkup.apart = True
    assert checkup.findings("--probe")["NetworkPolicy"][:2] == (
        "fail", "two pods do not reach each other, though a policy allows it",
    )  # fmt: skip


def test_namespace_that_denies_all_connections_is_probed(checkup: Checkup) -> None:
    checkup.denied = True
    assert checkup.findings("--probe")["NetworkPolicy"][:2] == ("ok", "enforced")


def test_image_that_no_node_can_pull_is_found(checkup: Checkup) -> None:
    waiting = {"waiting": {"reason": "ErrImagePull", "message": "unauthorized"}}
    stuck = {"phase": "Pending", "containerStatuses": [{"state": waiting}]}
    checkup.statuses |= {pod: stuck for pod in ("server", "client", "claim")}
    findings = checkup.findings("--probe")
    assert findings["image"][0] == "fail" and findings["image"][1].endswith("ErrImagePull: unauthorized")
    assert findings["NetworkPolicy"][0] == "warn"
    assert findings["ReadWriteMany claim"][0] == "fail"


def test_claim_that_is_not_bound_is_found(checkup: Checkup) -> None:
    unbound = {"type": "PodScheduled", "status": "False", "message": "pod has unbound PersistentVolumeClaims"}
    checkup.statuses |= {"volume": {"phase": "Pending"}, "claim": {"phase": "Pending", "conditions": [unbound]}}
    findings = checkup.findings("--probe", "--storage-class", "files")
    assert findings["ReadWriteMany claim"][1] == "Pending: pod has unbound PersistentVolumeClaims"
    assert findings["image"][0] == findings["NetworkPolicy"][0] == "ok"


def test_probe_asks_for_the_named_storage_class(checkup: Checkup) -> None:
    asked = [each["spec"] for each in probing("probe", "image", "nfs", None) if each["kind"] == "PersistentVolumeClaim"]
    assert [(spec["storageClassName"], spec["accessModes"]) for spec in asked] == [("nfs", ["ReadWriteMany"])]
    assert checkup.findings("--probe", "--storage-class", "nfs")["ReadWriteMany claim"][0] == "ok"


def test_probe_writes_to_an_existing_claim_and_keeps_it(checkup: Checkup) -> None:
    checkup.claims = [claim("runs", "ReadWriteMany")]
    assert checkup.findings("--probe", "--claim", "runs")["ReadWriteMany claim"][:2] == ("ok", "bound and writable")
    created = list(probing("probe", "image", None, "runs"))
    assert {each["kind"] for each in created} == {"NetworkPolicy", "Pod"}
    assert [each["spec"]["volumes"] for each in created if "volumes" in each["spec"]] == [
        [{"name": "claim", "persistentVolumeClaim": {"claimName": "runs"}}]
    ]
    # The claim of the team has no label of the probe, so the deletion does not select it.
    [deleted] = [line for line in checkup.asked() if " delete " in line]
    assert "-l app.kubernetes.io/name=tfd-doctor," in deleted and "runs" not in deleted


def test_existing_claim_of_one_node_is_a_warning(checkup: Checkup) -> None:
    checkup.claims = [claim("runs", "ReadWriteOnce")]
    verdict, found, fix = checkup.findings("--probe", "--claim", "runs")["ReadWriteMany claim"]
    assert (verdict, found) == ("warn", "writable, with ReadWriteOnce")
    assert "on one node" in fix


def test_claim_that_does_not_exist_is_found(checkup: Checkup) -> None:
    checkup.statuses["claim"] = {"phase": "Pending"}
    assert checkup.findings("--probe", "--claim", "runs")["ReadWriteMany claim"][:2] == ("fail", "runs does not exist")


def test_storage_class_of_an_existing_claim_is_refused(checkup: Checkup) -> None:
    done = checkup.tfd("--probe", "--claim", "runs", "--storage-class", "nfs")
    assert done.exit_code == 2
    assert "--storage-class: got --claim as well; expected one of the two. Remove one of them." in done.stderr


def test_claim_that_a_task_cannot_write_to_is_found(checkup: Checkup) -> None:
    ended = {"terminated": {"exitCode": 1, "message": "Permission denied"}}
    checkup.statuses["claim"] = {"phase": "Failed", "containerStatuses": [{"state": ended}]}
    verdict, found, fix = checkup.findings("--probe")["ReadWriteMany claim"]
    assert (verdict, found) == ("fail", "not writable for UID 65534: exit 1: Permission denied")
    assert "StorageClass" in fix


def test_probe_that_a_quota_refuses_is_a_warning(checkup: Checkup) -> None:
    checkup.refusal = "Error from server (Forbidden): pods is forbidden: exceeded quota: team"
    assert "exceeded quota: team" in checkup.findings("--probe")["probe"][1]


@pytest.mark.parametrize(
    "refusal",
    [
        'Error from server (NotFound): namespaces "vision" not found',
        'Error from server: error when creating "STDIN": admission webhook "kyverno" denied the request: no signature',
    ],
)
def test_probe_that_the_cluster_refuses_keeps_the_other_findings(checkup: Checkup, refusal: str) -> None:
    checkup.refusal = refusal
    findings = checkup.findings("--probe")
    assert findings["probe"] == ("warn", f"refused: {refusal}", "Ask an administrator to remove this cause.")
    assert findings["Kubernetes"][0] == "ok"


# Three findings need the discovery of Kueue.
@pytest.mark.parametrize("path", [path for path in complete() if path != KUEUE])
def test_call_that_is_refused_costs_only_its_own_findings(checkup: Checkup, path: str) -> None:
    checkup.paths[path] = FORBIDDEN
    refused = [found for verdict, found, _ in checkup.findings().values() if found.startswith("refused: ")]
    assert len(refused) == 1


def test_overloaded_cluster_ends_the_command(checkup: Checkup) -> None:
    checkup.paths["/version"] = "Error from server (ServiceUnavailable): the server is unable to handle the request"
    assert checkup.tfd("--json").exit_code == 2


def test_probe_names_what_it_could_not_delete(checkup: Checkup) -> None:
    checkup.kept = "Unable to connect to the server: EOF"
    done = checkup.tfd("--probe")
    assert done.exit_code == 2
    left = "kubectl --namespace vision delete pods,persistentvolumeclaims,networkpolicies -l app.kubernetes.io/name="
    assert f"EOF. Delete the objects of the probe: {left}" in done.stderr


def test_missing_right_to_exec_keeps_the_other_findings_of_a_probe(checkup: Checkup) -> None:
    checkup.no_exec = FORBIDDEN
    findings = checkup.findings("--probe")
    assert [findings[each][0] for each in ("image", "ReadWriteMany claim", "NetworkPolicy")] == ["ok", "ok", "warn"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_a_probe_without_leftovers(checkup: Checkup, number: signal.Signals) -> None:
    checkup.statuses |= {pod: {"phase": "Pending"} for pod in ("server", "client", "claim")}
    checkup.write()
    with subprocess.Popen([sys.executable, "-m", "tfd", "doctor", "--probe"]) as process:
        try:
            end = time.monotonic() + 60
            while not any("get pods" in line for line in checkup.asked()) and time.monotonic() < end:
                time.sleep(0.1)
            assert len(checkup.left()) == 6
            process.send_signal(number)
            assert process.wait(30) != 0
        finally:
            process.kill()
    assert checkup.left() == []


def test_image_is_unknown_without_a_node(checkup: Checkup) -> None:
    unplaced = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}
    pending = {"phase": "Pending", "conditions": [unplaced]}
    checkup.statuses |= {pod: pending for pod in ("server", "client", "claim")}
    assert checkup.findings("--probe")["image"][:2] == (
        "warn", "unknown, because a pod has no node: 0/3 nodes are available",
    )  # fmt: skip


def test_text_of_the_cluster_cannot_control_the_terminal(checkup: Checkup) -> None:
    checkup.paths[CLASSES] = listed(named(HOSTILE, provisioner="x"))
    done = checkup.tfd()
    assert_harmless(done.stdout)
