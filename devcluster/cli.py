"""The command `python -m devcluster up|down|status|node|gpus|kwok|claim|git|images|exec`."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click

from devcluster import argocd, cgroups, control, images, kueue, kwok, nodes, pki, prerequisites, storage
from devcluster.build import binaries, link
from devcluster.kube import kubectl
from devcluster.namespaces import HIDDEN, NamespaceSet
from devcluster.paths import CHECKOUT, LINK, Node, cache, node_named, save_settings, settings, state
from devcluster.shell import DevclusterError, log, refusal, run

MOST_NODES = 9
MOST_SIMULATED = 1000


class DevclusterGroup(click.Group):
    """A group that prints a DevclusterError without a traceback and exits with 1."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; convert a DevclusterError into a click exception."""
        try:
            return super().invoke(ctx)
        except DevclusterError as error:
            raise click.ClickException(str(error)) from error


@contextmanager
def exclusive(what: str = "cluster") -> Iterator[None]:
    """Hold a lock, so that one command at a time changes the cluster or builds images."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / f"{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def require_running() -> None:
    """Raise DevclusterError unless a cluster runs."""
    if control.NAMESPACES.init() is None:
        raise DevclusterError("No cluster runs. Start one with `make cluster`.")


def existing_node(name: str) -> Node:
    """Return a node of the running cluster by name."""
    require_running()
    names = [f'"{node.name}"' for node in all_nodes()]
    if f'"{name}"' not in names:
        expected = f"one of {', '.join(names)}"
        raise DevclusterError(refusal("NAME", f'"{name}"', expected, "Name a node of the cluster."))
    return node_named(name)


def all_nodes() -> list[Node]:
    """Return the nodes in the settings of the cluster."""
    return [Node(number) for number in range(1, settings().get("nodes", 0) + 1)]


def apply_gpus(only: str = "") -> None:
    """Set the simulated GPUs of all nodes or of one; a restarted kubelet has dropped them from the node's status."""
    for name, number in settings().get("gpus", {}).items():
        if only in ("", name):
            nodes.simulate_gpus(node_named(name), number)


@click.group(cls=DevclusterGroup)
def main() -> None:
    """Run a Kubernetes cluster for development on this machine."""


@main.command()
@click.option(
    "--nodes", "wanted", type=click.IntRange(1, MOST_NODES), help="Number of nodes (default: unchanged, or 1)."
)
@click.option(
    "--gpus", type=click.IntRange(0, 64), help="Number of simulated GPUs on each node (default: unchanged, or 0)."
)
@click.option("--install", is_flag=True, help="Install missing Debian packages first.")
@click.option("--images/--no-images", "with_images", default=True, help="Build the trainer and TensorBoard images.")
@click.option("--argocd/--no-argocd", "with_argocd", default=None, help="Run Argo CD (default: unchanged, or yes).")
@click.option("--kueue/--no-kueue", "with_kueue", default=None, help="Run Kueue (default: unchanged, or no).")
def up(
    wanted: int | None,
    gpus: int | None,
    install: bool,
    with_images: bool,
    with_argocd: bool | None,
    with_kueue: bool | None,
) -> None:
    """Start everything that does not run.

    Without --nodes, --gpus, --argocd and --kueue, the cluster keeps its settings. A cluster never loses nodes this way.
    With --no-argocd or --no-kueue, what runs already continues.
    """
    with exclusive():
        if install:
            prerequisites.install()
        prerequisites.check()
        check_folders({"TFD_CLUSTER_STATE": state(), "TFD_CACHE": cache(), "checkout": CHECKOUT})
        binaries()
        old = settings()
        number = max(wanted or 1, old.get("nodes", 0))
        new = {f"node{index}": gpus for index in range(1, number + 1)} if gpus is not None else old.get("gpus", {})
        with_argocd = old.get("argocd", True) if with_argocd is None else with_argocd
        with_kueue = old.get("kueue", False) if with_kueue is None else with_kueue
        save_settings({"nodes": number, "gpus": new, "argocd": with_argocd, "kueue": with_kueue})
        start()
        if with_kueue:
            kueue.up()
        if with_argocd:
            argocd.up()
    if with_images:
        with exclusive("images"):
            images.publish()
    click.echo(f"export KUBECONFIG={state()}/kubeconfig")


def check_folders(folders: Mapping[str, Path]) -> None:
    """Raise DevclusterError if a folder is below one of HIDDEN, where the nodes cannot see it."""
    for key, path in folders.items():
        if any(path.is_relative_to(top) for top in HIDDEN):
            expected = f"a folder outside {', '.join(HIDDEN)}"
            raise DevclusterError(refusal(key, f'"{path}"', expected, "Choose another folder."))


def start() -> None:
    """Start every part that does not run and wait until the cluster is ready."""
    nodes.save_kernel_settings()
    pki.control_plane()
    control.up()
    for node in all_nodes():
        nodes.up(node)
    images.publish_pause()
    control.ready()
    if (CHECKOUT / ".venv" / "bin").is_dir():
        link(CHECKOUT / ".venv" / "bin" / "kubectl", state() / "bin" / "kubectl")
    storage.default_class()
    nodes.ready(all_nodes())
    apply_gpus()


@main.command()
def down() -> None:
    """Stop the cluster and delete its state.

    Programs and images stay in the cache.
    """
    with exclusive():
        for folder in sorted((state() / "spaces").glob("node*")):
            NamespaceSet(folder.name).destroy()
        control.NAMESPACES.destroy()
        if control.linked():
            run(["ip", "link", "delete", LINK])
        cgroups.remove()
        nodes.restore_kernel_settings()
        kubectl_link = CHECKOUT / ".venv" / "bin" / "kubectl"
        if kubectl_link.is_symlink() and kubectl_link.readlink().is_relative_to(state()):
            kubectl_link.unlink()
        run(["rm", "-rf", state()])
    log("the cluster is stopped and its state is deleted")


@main.command()
def status() -> None:
    """Show every process and node."""
    require_running()
    for namespaces in [control.NAMESPACES, *map(nodes.namespaces_of, all_nodes())]:
        for name in namespaces.components():
            pid = namespaces.running(name)
            click.echo(f"{namespaces.name:8} {name:24} {f'process {pid}' if pid else 'does not run'}")
    if control.NAMESPACES.running("kube-apiserver") is None:
        raise DevclusterError("The apiserver does not run. Start it with `python -m devcluster up`.")
    click.echo(kubectl("get", "nodes", "-o", "wide"))


@main.group()
def node() -> None:
    """Stop or start a node."""


@node.command("stop")
@click.argument("name")
def node_stop(name: str) -> None:
    """Kill every process of a node at once, like a power failure."""
    with exclusive():
        nodes.down(existing_node(name))
    log(f"{name} is stopped")


@node.command("start")
@click.argument("name")
def node_start(name: str) -> None:
    """Start a stopped node; its disk is unchanged."""
    with exclusive():
        one = existing_node(name)
        nodes.up(one)
        nodes.ready([one])
        apply_gpus(name)


@main.command()
@click.argument("name")
@click.argument("number", type=click.IntRange(0, 64))
def gpus(name: str, number: int) -> None:
    """Set the number of simulated GPUs on a node.

    Only the scheduler counts the GPUs; a container gets no device.
    """
    with exclusive():
        nodes.simulate_gpus(existing_node(name), number)
        save_settings(settings() | {"gpus": settings().get("gpus", {}) | {name: number}})


@main.command("kwok")
@click.argument("number", type=click.IntRange(0, MOST_SIMULATED))
def kwok_nodes(number: int) -> None:
    """Run NUMBER simulated nodes, kwok1 and so on.

    Their pods start no container. 0 deletes the nodes and their pods.
    """
    with exclusive():
        require_running()
        kwok.up(number)


@main.command()
@click.argument("namespace")
@click.argument("name")
def claim(namespace: str, name: str) -> None:
    """Create a claim; print the folder of its volume.

    All nodes can mount the PersistentVolumeClaim.
    """
    require_running()
    click.echo(storage.claim(namespace, name))


@main.command()
@click.argument("name", default="runs")
def git(name: str) -> None:
    """Create a git repository; print its folder.

    Argo CD reaches the empty repository as file://FOLDER.
    """
    require_running()
    click.echo(argocd.repository(name))


@main.command("images")
@click.option("--workbench", is_flag=True, help="Build the image of a workbench too.")
def images_command(workbench: bool) -> None:
    """Build the images; print their names.

    Prints NAME@DIGEST of each image as JSON, for `image` in a job file. Builds only images whose sources changed.
    """
    require_running()
    targets = (*images.TARGETS, images.WORKBENCH) if workbench else images.TARGETS
    with exclusive("images"):
        click.echo(json.dumps(images.publish(targets), indent=1))


@main.command("exec", context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def execute(name: str, command: tuple[str, ...]) -> None:
    """Run a command on a node or on `control`.

    Example: exec node2 ctr -n k8s.io tasks list
    """
    require_running()
    namespaces = control.NAMESPACES if name == "control" else nodes.namespaces_of(existing_node(name))
    env = os.environ | {"CONTAINERD_ADDRESS": "/run/containerd/containerd.sock"}
    sys.exit(subprocess.run(namespaces.inside(command), env=env, check=False).returncode)
