"""Every pod that a job file can describe meets the restricted Pod Security standard.

`violations` has the rules of https://kubernetes.io/docs/concepts/security/pod-security-standards/ for Linux.
"""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chart.keys import CHANGES
from tests.chart.rendering import ACCEPTED, EXAMPLES, Object, Refused, objects
from tests.chart.volumes import pod_specs

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
PROFILES = ("RuntimeDefault", "Localhost")
SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}  # fmt: skip


def violations(spec: Object) -> Iterator[str]:
    """Yield what the restricted standard refuses in the spec of a pod."""
    pod = spec.get("securityContext", {})
    yield from (name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name))
    for volume in spec.get("volumes", []):
        yield from (f"volume {kind}" for kind in volume.keys() - {"name"} - VOLUMES)
    yield from (f"sysctl {each['name']}" for each in pod.get("sysctls", []) if each["name"] not in SYSCTLS)
    for container in [*spec.get("initContainers", []), *spec["containers"], *spec.get("ephemeralContainers", [])]:
        yield from _of_container(container, pod)


def _of_container(container: Object, pod: Object) -> Iterator[str]:
    own = container.get("securityContext", {})
    both, capabilities = pod | own, own.get("capabilities", {})
    broken = {
        "privileged": own.get("privileged"),
        "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is not False,
        "capabilities.drop": "ALL" not in capabilities.get("drop", []),
        "capabilities.add": set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"},
        "runAsNonRoot": both.get("runAsNonRoot") is not True,
        "runAsUser": 0 in (own.get("runAsUser"), pod.get("runAsUser")),
        "seccompProfile": both.get("seccompProfile", {}).get("type") not in PROFILES,
        "appArmorProfile": both.get("appArmorProfile", {}).get("type", PROFILES[0]) not in PROFILES,
        "seLinuxOptions": both.get("seLinuxOptions"),
        "procMount": own.get("procMount", "Default") != "Default",
        "hostPort": any(port.get("hostPort") for port in container.get("ports", [])),
    }
    yield from (name for name, is_broken in broken.items() if is_broken)


@pytest.mark.parametrize("path", [*EXAMPLES, *ACCEPTED], ids=lambda path: path.stem)
def test_pods_of_an_accepted_file_are_restricted(path: Path) -> None:
    assert [violation for spec in pod_specs(objects(path)) for violation in violations(spec)] == []


@pytest.mark.parametrize("path", [*EXAMPLES, *ACCEPTED], ids=lambda path: path.stem)
def test_container_sees_no_gpu_that_it_does_not_request(path: Path) -> None:
    """The NVIDIA runtime gives a container all GPUs of its node if its image asks for them and nothing else is set."""
    for spec in pod_specs(objects(path)):
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            requested = {name for amounts in container["resources"].values() for name in amounts}
            has_device = any("/" in name for name in requested)
            assert ({"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"} in container["env"]) != has_device


@pytest.mark.parametrize("key", CHANGES)
def test_no_key_makes_a_pod_less_restricted(key: str) -> None:
    for job in CHANGES[key].jobs(key):
        try:
            found = pod_specs(objects(job))
        except Refused:
            continue  # Nothing runs.
        assert [violation for spec in found for violation in violations(spec)] == []


BREAKS: dict[str, Any] = {
    "hostIPC": lambda spec: spec.update(hostIPC=True),
    "volume hostPath": lambda spec: spec["volumes"].append({"name": "a", "hostPath": {"path": "/"}}),
    "sysctl kernel.shmmax": lambda spec: spec["securityContext"].update(sysctls=[{"name": "kernel.shmmax"}]),
    "privileged": lambda spec: spec["containers"][0]["securityContext"].update(privileged=True),
    "allowPrivilegeEscalation": lambda spec: spec["containers"][0]["securityContext"].pop("allowPrivilegeEscalation"),
    "capabilities.drop": lambda spec: spec["containers"][0]["securityContext"]["capabilities"].update(drop=[]),
    "capabilities.add": lambda spec: spec["containers"][0]["securityContext"]["capabilities"].update(add=["IPC_LOCK"]),
    "runAsNonRoot": lambda spec: spec["securityContext"].pop("runAsNonRoot"),
    "runAsUser": lambda spec: spec["containers"][0]["securityContext"].update(runAsUser=0),
    "seccompProfile": lambda spec: spec["securityContext"].pop("seccompProfile"),
    "appArmorProfile": lambda spec: spec["securityContext"].update(appArmorProfile={"type": "Unconfined"}),
    "seLinuxOptions": lambda spec: spec["securityContext"].update(seLinuxOptions={"user": "root"}),
    "procMount": lambda spec: spec["containers"][0]["securityContext"].update(procMount="Unmasked"),
    "hostPort": lambda spec: spec["containers"][0]["ports"][0].update(hostPort=1),
}


@pytest.mark.parametrize("rule", BREAKS)
def test_a_pod_that_breaks_one_rule_is_found(rule: str) -> None:
    [spec] = pod_specs(objects({"storage": {"claim": "runs"}, "tensorboard": {"enabled": False}}))
    spec = copy.deepcopy(spec)
    BREAKS[rule](spec)
    assert list(violations(spec)) == [rule]
