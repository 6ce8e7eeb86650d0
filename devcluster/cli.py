"""The command: `python -m devcluster up|down|status|node|gpus|claim|git|images|exec`."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from devcluster import argocd, cgroups, control, images, nodes, pki, prerequisites, storage
from devcluster.build import binaries, link
from devcluster.kube import kubectl
from devcluster.namespaces import HIDDEN, Space
from devcluster.paths import CHECKOUT, LINK, Node, cache, node_named, save_settings, settings, state
from devcluster.shell import ClusterError, run, say

MOST_NODES = 9


class Readable(click.Group):
    """A command whose own errors are a few lines and exit code 1."""

    def invoke(self, ctx: click.Context) -> object:
        """Run and turn our errors into click's."""
        try:
            return super().invoke(ctx)
        except ClusterError as error:
            raise click.ClickException(str(error)) from error


@contextmanager
def alone(what: str = "cluster") -> Iterator[None]:
    """Let one command at a time change the cluster, or build images."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / f"{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def running() -> None:
    """Raise unless a cluster runs."""
    if control.SPACE.init() is None:
        raise ClusterError("no cluster runs: `make cluster` starts one")


def known(name: str) -> Node:
    """Return a node of the running cluster by name."""
    running()
    names = [f"node{number}" for number in range(1, settings().get("nodes", 0) + 1)]
    if name not in names:
        raise ClusterError(f"there is no {name}: the nodes are {', '.join(names)}")
    return node_named(name)


def all_nodes() -> list[Node]:
    """Return the nodes that the cluster was asked for."""
    return [Node(number) for number in range(1, settings().get("nodes", 0) + 1)]


def apply_gpus(only: str = "") -> None:
    """Tell Kubernetes of the simulated GPUs; a kubelet that starts anew has forgotten them."""
    for name, number in settings().get("gpus", {}).items():
        if only in ("", name):
            nodes.simulate_gpus(node_named(name), number)


@click.group(cls=Readable)
def main() -> None:
    """Run a Kubernetes cluster on this machine."""


@main.command()
@click.option("--nodes", "wanted", type=click.IntRange(1, MOST_NODES), help="How many nodes (default: as it is, or 1).")
@click.option("--gpus", type=click.IntRange(0, 64), help="Simulated GPUs of each node.")
@click.option("--install", is_flag=True, help="Install missing Debian packages first.")
@click.option("--images/--no-images", "with_images", default=True, help="Build the images of trainer and TensorBoard.")
@click.option("--argocd/--no-argocd", "with_argocd", default=None, help="Argo CD (default: as it is, or with).")
def up(wanted: int | None, gpus: int | None, install: bool, with_images: bool, with_argocd: bool | None) -> None:
    """Start the cluster, or what is missing of it."""
    with alone():
        if install:
            prerequisites.install()
        prerequisites.check()
        outside(state(), cache(), CHECKOUT)
        binaries()
        old = settings()
        number = max(wanted or 1, old.get("nodes", 0))
        new = {f"node{index}": gpus for index in range(1, number + 1)} if gpus is not None else old.get("gpus", {})
        with_argocd = old.get("argocd", True) if with_argocd is None else with_argocd
        save_settings({"nodes": number, "gpus": new, "argocd": with_argocd})
        start()
        if with_argocd:
            argocd.up()
    if with_images:
        with alone("images"):
            images.publish()
    click.echo(f"export KUBECONFIG={state()}/kubeconfig")


def outside(*paths: Path) -> None:
    """Raise if one of the paths would not be seen by the nodes, which have their own of some folders."""
    for path in paths:
        if hidden := [top for top in HIDDEN if path.is_relative_to(top)]:
            raise ClusterError(f"{path} must not be below {hidden[0]}: set TFD_CLUSTER_STATE and TFD_CACHE elsewhere")


def start() -> None:
    """Start all that does not run and wait until it works."""
    nodes.remember_kernel()
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
    """End the cluster and delete its state; what was built stays in the cache."""
    with alone():
        for folder in sorted((state() / "spaces").glob("node*")):
            Space(folder.name).destroy()
        control.SPACE.destroy()
        if control.linked():
            run(["ip", "link", "delete", LINK])
        cgroups.remove()
        nodes.restore_kernel()
        kubectl_link = CHECKOUT / ".venv" / "bin" / "kubectl"
        if kubectl_link.is_symlink() and kubectl_link.readlink().is_relative_to(state()):
            kubectl_link.unlink()
        run(["rm", "-rf", state()])
    say("nothing is left of the cluster")


@main.command()
def status() -> None:
    """Say what runs."""
    running()
    for space in [control.SPACE, *map(nodes.space, all_nodes())]:
        for name in space.components():
            pid = space.running(name)
            click.echo(f"{space.name:8} {name:24} {f'process {pid}' if pid else 'does not run'}")
    if control.SPACE.running("kube-apiserver") is None:
        raise ClusterError("the apiserver does not run: `python -m devcluster up` starts what is missing")
    click.echo(kubectl("get", "nodes", "-o", "wide"))


@main.group()
def node() -> None:
    """Lose a node, or bring it back."""


@node.command("stop")
@click.argument("name")
def node_stop(name: str) -> None:
    """End all that runs on a node at once, as when a machine loses power."""
    with alone():
        nodes.down(known(name))
    say(f"{name} is gone")


@node.command("start")
@click.argument("name")
def node_start(name: str) -> None:
    """Start a node again."""
    with alone():
        one = known(name)
        nodes.up(one)
        nodes.ready([one])
        apply_gpus(name)


@main.command()
@click.argument("name")
@click.argument("number", type=click.IntRange(0, 64))
def gpus(name: str, number: int) -> None:
    """Simulate GPUs on a node: what the scheduler counts, and nothing else."""
    with alone():
        nodes.simulate_gpus(known(name), number)
        save_settings(settings() | {"gpus": settings().get("gpus", {}) | {name: number}})


@main.command()
@click.argument("namespace")
@click.argument("name")
def claim(namespace: str, name: str) -> None:
    """Make a claim that all nodes can mount, and print the folder behind it."""
    running()
    click.echo(storage.claim(namespace, name))


@main.command()
@click.argument("name", default="runs")
def git(name: str) -> None:
    """Make an empty git repository that Argo CD reaches as file://FOLDER, and print the folder."""
    running()
    click.echo(argocd.repository(name))


@main.command("images")
def images_command() -> None:
    """Print name@digest of the images as JSON, for `image:` in a job file; build them if need be."""
    running()
    with alone("images"):
        click.echo(json.dumps(images.publish(), indent=1))


@main.command("exec", context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def execute(name: str, command: tuple[str, ...]) -> None:
    """Run a command on a node, or on `control`: exec node2 ctr -n k8s.io tasks list."""
    running()
    space = control.SPACE if name == "control" else nodes.space(known(name))
    env = os.environ | {"CONTAINERD_ADDRESS": "/run/containerd/containerd.sock"}
    sys.exit(subprocess.run(space.inside(command), env=env, check=False).returncode)
