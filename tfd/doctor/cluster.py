"""What the whole cluster must have: a version, API groups, storage and GPUs."""

from __future__ import annotations

import re
from collections import Counter

import yaml

from tfd import assets
from tfd.doctor.answers import items, read, serves
from tfd.doctor.finding import Finding, fail, ok, warn
from tfd.jobfile.schema import defaults
from tfd.kubernetes import KUEUE, Object, condition
from tfd.quantities import quantity

# Ends of the names of provisioners whose volumes many nodes can mount and write. Operators put a namespace in front,
# such as rook-ceph. There are others, so an unknown one is only a warning.
_SHARED = (
    "efs.csi.aws.com", "fsx.csi.aws.com", "filestore.csi.storage.gke.io", "file.csi.azure.com", "nfs.csi.k8s.io",
    "cephfs.csi.ceph.com", "lustre.csi.storage.gke.io", "azurelustre.csi.azure.com",
)  # fmt: skip
# What plugins of GPUs offer next to them: their memory, their cores and network cards.
_BESIDE_GPU = re.compile("mem|core|tiles|monitoring|hostdev|sriov|rdma|_nic")
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_PROBE = "Run tfd doctor --probe, which creates a small claim."


def version() -> list[Finding]:
    """Compare the version of Kubernetes with that of the chart."""
    required = str(yaml.safe_load((assets.CHART / "Chart.yaml").read_text(encoding="utf-8"))["kubeVersion"])
    found = str((read("/version") or {}).get("gitVersion"))
    if len(_numbers(found)) < 2:  # noqa: PLR2004
        return [warn("Kubernetes", f"no version in {found}", f"Compare it by hand with {required.removesuffix('-0')}.")]
    if _numbers(found) < _numbers(required):
        return [fail("Kubernetes", found, f"Upgrade to Kubernetes {required.removesuffix('-0')}.")]
    return [ok("Kubernetes", found)]


def apis() -> list[Finding]:
    """Look for the API groups that only some keys of a job file need."""
    found = []
    if serves("/apis/scheduling.k8s.io/v1beta1", "podgroups"):
        found.append(ok("gang scheduling", "scheduling.k8s.io/v1beta1 has PodGroups"))
    else:
        fix = "For scheduling.gang, turn on the gate GenericWorkload and this API in Kubernetes 1.37 or newer."
        found.append(warn("gang scheduling", "scheduling.k8s.io/v1beta1 has no PodGroups", fix))
    if serves(f"/apis/{KUEUE}/v1beta2", "workloads"):
        found.append(ok("Kueue", f"{KUEUE}/v1beta2 is served"))
    else:
        found.append(
            warn("Kueue", f"{KUEUE}/v1beta2 is not served", "For scheduling.queue, install Kueue 0.19 or newer.")
        )
    return found


def storage() -> list[Finding]:
    """Look for a StorageClass whose volumes all nodes can mount."""
    classes = items("/apis/storage.k8s.io/v1/storageclasses")
    if not classes:
        fix = "Install a provisioner of ReadWriteMany volumes, or create the claims of the teams by hand."
        return [warn("ReadWriteMany", "no StorageClass", fix)]
    shared = [_name(each) for each in classes if each["provisioner"].endswith(_SHARED)]
    if shared:
        return [ok("ReadWriteMany", f"StorageClass {', '.join(shared)}")]
    names = ", ".join(f"{_name(each)}{' (default)' * _is_default(each)}" for each in classes)
    return [warn("ReadWriteMany", f"unknown for StorageClass {names}", _PROBE)]


def gpus() -> list[Finding]:
    """Count the GPUs that pods can request, by the name of their resource."""
    counts: Counter[str] = Counter()
    nodes: Counter[str] = Counter()
    taints: set[str] = set()
    closed = 0
    for node in items("/api/v1/nodes"):
        found = {name: int(quantity(each)) for name, each in _allocatable(node).items() if _is_gpu(name)}
        found = {name: number for name, number in found.items() if number}
        if not _takes_pods(node):
            closed += bool(found)
            continue
        counts.update(found)
        nodes.update(found.keys())
        taints.update(_taints(node) if found else ())
    if closed and not counts:
        fix = "For runs with gpus, repair or uncordon these nodes."
        return [warn("GPUs", f"all nodes with GPUs ({closed}) are cordoned or not ready", fix)]
    if not counts:
        fix = "For runs with gpus, install the device plugin of your GPUs on their nodes."
        return [warn("GPUs", "no node offers a GPU", fix)]
    text = ", ".join(f"{number} {name} on {nodes[name]} nodes" for name, number in sorted(counts.items()))
    text += f", taints {', '.join(sorted(taints))}" if taints else ""
    text += f", and {closed} nodes with GPUs are cordoned or not ready" if closed else ""
    default = str(defaults()["gpu"]["resource"])
    if default not in counts:
        return [warn("GPUs", text, f"Set gpu.resource in job files, because its default is {default}.")]
    return [ok("GPUs", text)]


def _is_gpu(resource: str) -> bool:
    domain, _, name = resource.lower().partition("/")
    return bool(name) and ("gpu" in resource.lower() or domain == "nvidia.com") and not _BESIDE_GPU.search(name)


def _allocatable(node: Object) -> dict[str, object]:
    return node.get("status", {}).get("allocatable") or {}


def _taints(node: Object) -> set[str]:
    """Return the taints that keep pods without a toleration away, as kubectl prints them."""
    kept = [each for each in node.get("spec", {}).get("taints") or [] if each["effect"] != "PreferNoSchedule"]
    return {f"{each['key']}{'=' * bool(each.get('value'))}{each.get('value', '')}:{each['effect']}" for each in kept}


def _takes_pods(node: Object) -> bool:
    return not node.get("spec", {}).get("unschedulable") and condition(node, "Ready").get("status", "True") == "True"


def _is_default(storage_class: Object) -> bool:
    return bool(storage_class["metadata"].get("annotations", {}).get(_DEFAULT_CLASS) == "true")


def _name(item: Object) -> str:
    return str(item["metadata"]["name"])


def _numbers(version: str) -> list[int]:
    """Return the major and the minor number."""
    return list(map(int, re.findall(r"\d+", version)[:2]))
