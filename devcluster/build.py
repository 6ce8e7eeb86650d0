"""The programs of the cluster: built once from pinned Go modules, linked into one folder."""

from __future__ import annotations

import hashlib
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from devcluster.paths import CHECKOUT, cache, state
from devcluster.shell import DevclusterError, log, run

MODULES = ("hyperkube", "etcd", "coredns", "registry", "kube-router", "runc", "cni")  # the longest first
KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl")
AT_ONCE = 2


def binaries() -> Path:
    """Build the programs that the cache lacks, and return the folder with all programs."""
    folder = state() / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for built in pool.map(go_module, MODULES):
            for program in built.iterdir():
                link(folder / program.name, program)
    for name in KUBERNETES:
        link(folder / name, (folder / "hyperkube").resolve())
    link(folder / "pause", pause())
    return folder


def binaries_of(name: str) -> list[Path]:
    """Build a module and return its programs."""
    return sorted(go_module(name).iterdir())


def go_module(name: str) -> Path:
    """Build a module below devcluster/node or tools and return the folder of its programs."""
    begin = time.monotonic()
    command = [str(CHECKOUT / "scripts" / "go-tool.sh"), name]
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr and process.stdout  # noqa: S101
        lines = []
        for line in process.stderr:
            if line.startswith("setup: building"):
                log(line.removeprefix("setup: ").strip())
            lines.append(line)
        printed = process.stdout.read().strip()
    if process.returncode != 0:
        raise DevclusterError(f"The Go module {name} does not build:\n{''.join(lines[-20:])}")
    if lines:
        log(f"built {name} in {time.monotonic() - begin:.0f} s")
    return Path(printed)


def pause() -> Path:
    """Build `pause`, which holds namespaces, from the Kubernetes source and return it."""
    module = CHECKOUT / "devcluster" / "node" / "hyperkube"
    key = hashlib.sha256((module / "go.sum").read_bytes()).hexdigest()[:12]
    program = cache() / "bin" / f"pause-{key}" / "pause"
    if not program.exists():
        run(["go", "-C", module, "mod", "download", "k8s.io/kubernetes"])
        source = run(["go", "-C", module, "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes"]).strip()
        program.parent.mkdir(parents=True, exist_ok=True)
        new = program.with_name(".pause")
        run(["gcc", "-Os", "-static", "-s", "-DVERSION=v1.37.2", "-o", new, f"{source}/build/pause/linux/pause.c"])
        new.replace(program)
    return program


def link(path: Path, target: Path) -> None:
    """Make `path` a symbolic link to `target`; replace an existing file."""
    if path.is_symlink() and path.readlink() == target:
        return
    path.unlink(missing_ok=True)
    path.symlink_to(target)
