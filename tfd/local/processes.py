"""Turns pods into processes of this machine: paths, addresses, environment, GPUs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tfd.local.pods import Container, Mount, Pod

TERMINATION_LOG = "/dev/termination-log"
# What a container would get from its image or from the node, and a process gets from the user's shell.
_FROM_SHELL = (
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "TF_CPP_MIN_LOG_LEVEL",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
)
_FROM_SHELL_PREFIXES = ("CUDA_", "NVIDIA_", "GOOGLE_", "SSL_CERT_")


@dataclass(frozen=True)
class Layout:
    """Where the parts of a run live on this machine."""

    root: Path
    """Stands for the shared storage: `root/<run>` is the run directory."""
    run: str

    @property
    def state(self) -> Path:
        """What `tfd run` itself writes: process logs, tasks.json, the pods' own directories."""
        return self.root / ".tfd" / self.run


@dataclass(frozen=True)
class Process:
    """One pod as a process of this machine."""

    pod: Pod
    containers: tuple[Container, ...]
    """The pod's, with the paths and addresses of this machine."""
    log: Path
    termination_log: Path
    scratch: tuple[Path, ...]
    """The pod's emptyDirs: a new pod finds them empty."""

    @property
    def run_dir(self) -> Path | None:
        """The run directory as this process sees it; None where it is not on this machine."""
        text = self.containers[-1].env.get("RUN_DIR", "")
        return Path(text) if text and "://" not in text else None


def place(pods: Sequence[Pod], layout: Layout, addresses: Mapping[str, str]) -> list[Process]:
    """Say how each pod runs here; makes the directories and files that it mounts.

    Args:
        pods: the pods of the run.
        layout: where the run lives.
        addresses: task address of the cluster -> loopback address.

    """
    devices = _gpu_devices(pods)
    return [_place(pod, layout, addresses, devices[pod.name]) for pod in pods]


def cluster_addresses(pods: Iterable[Pod]) -> list[str]:
    """Return the address of every task in the run's TF_CONFIG, each once."""
    specs = [json.loads(pod.env["TF_CONFIG"]).get("cluster", {}) for pod in pods if "TF_CONFIG" in pod.env]
    return sorted({address for spec in specs for tasks in spec.values() for address in tasks})


def _place(pod: Pod, layout: Layout, addresses: Mapping[str, str], devices: str) -> Process:
    own = layout.state / pod.name
    own.mkdir(parents=True, exist_ok=True)
    termination_log = own / "termination-log"
    paths, scratch = {TERMINATION_LOG: str(termination_log)}, []
    for mount in pod.mounts:
        local = _local_path(mount, pod, layout)
        local.mkdir(parents=True, exist_ok=True)
        for name, content in mount.files.items():
            (local / name).write_text(_readdress(content, addresses), encoding="utf-8")
        paths[mount.path] = str(local)
        if mount.kind == "emptyDir":
            scratch.append(local)
    base = _base_env(devices, paths)
    return Process(
        pod=pod,
        containers=tuple(_localized(container, paths, addresses, base) for container in pod.containers),
        log=layout.state / f"{pod.name}.log",
        termination_log=termination_log,
        scratch=tuple(scratch),
    )


def _localized(
    container: Container, paths: Mapping[str, str], addresses: Mapping[str, str], base: Mapping[str, str]
) -> Container:
    env = {name: _repath(_readdress(value, addresses), paths) for name, value in container.env.items()}
    return Container(tuple(_repath(word, paths) for word in container.command), {**base, **env})


def _local_path(mount: Mount, pod: Pod, layout: Layout) -> Path:
    if mount.kind != "persistentVolumeClaim":
        return layout.state / pod.name / mount.name
    if str(PurePosixPath(pod.env.get("RUN_DIR", "")).parent) == mount.path:
        return layout.root
    return layout.root / ".tfd" / "claims" / mount.name


def _base_env(devices: str, paths: Mapping[str, str]) -> dict[str, str]:
    """Everything but the rendered variables: what image, node and container runtime would set."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _FROM_SHELL or name.startswith(_FROM_SHELL_PREFIXES)
    }
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {
        **kept,
        "PATH": path,
        "TMPDIR": paths.get("/tmp", "/tmp"),  # noqa: S108
        "CUDA_VISIBLE_DEVICES": devices,
        # A laptop may lack the GPUs that the job asks for: then the task runs on the CPU and says so.
        "TRAINER_GPUS_OPTIONAL": "1",
    }


def _readdress(text: str, addresses: Mapping[str, str]) -> str:
    for address, local in addresses.items():
        text = text.replace(f'"{address}"', f'"{local}"')
    return text


def _repath(text: str, paths: Mapping[str, str]) -> str:
    """Replace a container path, or the part of one that is a mount, by the local one; other words stay."""
    for mount, local in sorted(paths.items(), key=lambda item: -len(item[0])):
        if text == mount or text.startswith(f"{mount}/"):
            return local + text.removeprefix(mount)
    return text


def _gpu_devices(pods: Sequence[Pod]) -> dict[str, str]:
    """Deal this machine's GPUs out as the scheduler would: each pod sees its own and no other."""
    devices, first = {}, 0
    for pod in pods:
        devices[pod.name] = ",".join(map(str, range(first, first + pod.gpus)))
        first += pod.gpus
    return devices
