"""Turns pods into processes of this machine: their paths, addresses, environment and GPUs."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tfd.local.pods import Container, Mount, Pod

TERMINATION_LOG = "/dev/termination-log"
# The folders below DIR/.tfd that stand for what only the cluster has.
_FOLDERS = {"persistentVolumeClaim": "claims", "secret": "secrets", "configMap": "configmaps"}
# A container gets these from its image or its node, and a process gets them from the user's shell.
_FROM_SHELL = (
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "TF_CPP_MIN_LOG_LEVEL",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
)
_LEASE_TIMEOUT = "TRAINER_LEASE_TIMEOUT"
# Workers that agree about a new leader take 4 s for it, so their lease must stay valid for longer.
_NEEDS_A_LONG_LEASE = "TRAINER_RESCALE_AFTER"
_QUOTED = re.compile('"([^"]+)"')
_FROM_SHELL_PREFIXES = ("CUDA_", "NVIDIA_", "GOOGLE_", "SSL_CERT_")


@dataclass(frozen=True)
class Layout:
    """The folders of a run on this machine."""

    root: Path
    """Folder that stands for the shared storage: `root/<run>` is the run directory."""
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
    """The variables of the pod, with the paths and addresses of this machine."""
    log: Path
    termination_log: Path
    scratch: tuple[Path, ...]
    """The directories of the pod's emptyDir volumes, which are empty for each new pod."""

    @property
    def run_dir(self) -> Path | None:
        """The run directory as a path of this machine; None where it is not on this machine."""
        text = self.containers[-1].env.get("RUN_DIR", "")
        return Path(text) if text and "://" not in text else None


def place(pods: Sequence[Pod], layout: Layout, addresses: Mapping[str, str]) -> list[Process]:
    """Return each pod as a process of this machine, and create the directories and files that it mounts.

    Args:
        pods: the pods of the run.
        layout: the folders of the run.
        addresses: task address of the cluster -> loopback address.

    """
    devices = _gpu_devices(pods)
    return [_place(pod, layout, addresses, devices[pod.name]) for pod in pods]


def cluster_addresses(pods: Iterable[Pod]) -> list[str]:
    """Return the address of every task of the run's cluster, each once."""
    # All pods refer to one text in one ConfigMap, so it is parsed once.
    clusters = {pod.env["TF_CLUSTER"] for pod in pods if "TF_CLUSTER" in pod.env}
    return sorted({address for text in clusters for tasks in json.loads(text).values() for address in tasks})


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
    if _NEEDS_A_LONG_LEASE in pod.env:
        del base[_LEASE_TIMEOUT]
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
    command = tuple(_repath(word, paths) for word in container.command)
    return Container(command, {**base, **env}, _repath(container.folder, paths))


def absent(pods: Iterable[Pod], layout: Layout) -> dict[Path, Mount]:
    """Return the folders that the user has to provide and has not, with what each stands for."""
    folders = {
        _local_path(mount, pod, layout): mount for pod in pods for mount in pod.mounts if _is_foreign(mount, pod)
    }
    return {path: mount for path, mount in folders.items() if not path.is_dir()}


def _is_foreign(mount: Mount, pod: Pod) -> bool:
    """Return whether only the cluster has the files: those of another claim, of a Secret or of another ConfigMap."""
    if mount.kind == "persistentVolumeClaim":
        return mount.name != _storage_claim(pod)
    return mount.kind in _FOLDERS and not mount.files


def _storage_claim(pod: Pod) -> str:
    storage = str(PurePosixPath(pod.env.get("RUN_DIR", "")).parent)
    return next((mount.name for mount in pod.mounts if mount.path == storage), "")


def _local_path(mount: Mount, pod: Pod, layout: Layout) -> Path:
    if mount.kind == "persistentVolumeClaim" and mount.name == _storage_claim(pod):
        return layout.root / mount.folder
    if _is_foreign(mount, pod):
        return layout.root / ".tfd" / _FOLDERS[mount.kind] / mount.name / mount.folder
    return layout.state / pod.name / mount.name


def _base_env(devices: str, paths: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are not rendered: image, node and container runtime set them in a cluster."""
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
        # A laptop may lack the GPUs that the run requests. The task then logs that and runs on the CPU.
        "TRAINER_GPUS_OPTIONAL": "1",
        # The processes of one machine share a clock and a disk, so a restarted chief need not wait for the usual 10 s.
        _LEASE_TIMEOUT: "5",
    }


def _readdress(text: str, addresses: Mapping[str, str]) -> str:
    return _QUOTED.sub(lambda match: f'"{addresses.get(match[1], match[1])}"', text)


def _repath(text: str, paths: Mapping[str, str]) -> str:
    """Return `text` with a container path, or the mount that it begins with, replaced by the local path."""
    for mount, local in sorted(paths.items(), key=lambda item: -len(item[0])):
        if text == mount or text.startswith(f"{mount}/"):
            return local + text.removeprefix(mount)
    return text


def _gpu_devices(pods: Sequence[Pod]) -> dict[str, str]:
    """Return the GPU devices of each pod. As in a cluster, no two pods share a GPU."""
    devices, first = {}, 0
    for pod in pods:
        devices[pod.name] = ",".join(map(str, range(first, first + pod.gpus)))
        first += pod.gpus
    return devices
