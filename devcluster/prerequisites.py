"""What the machine must have, asked before anything is started."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from devcluster.shell import ClusterError, run, say

# What is looked for -> the Debian package that has it.
COMMANDS = {
    "containerd": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "nft": "nftables",
    "ip": "iproute2",
    "ss": "iproute2",
    "git": "git",
    "openssl": "openssl",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "redis-server": "redis-server",
    "gcc": "gcc",
    "pkg-config": "pkg-config",
}
FILES = {
    "/usr/include/seccomp.h": "libseccomp-dev",
    "/usr/include/stdlib.h": "libc6-dev",
}
KERNEL = {
    "/proc/sys/net/bridge/bridge-nf-call-iptables": "bridge netfilter (modprobe br_netfilter)",
    "/proc/sys/net/netfilter/nf_conntrack_max": "connection tracking (modprobe nf_conntrack)",
}


def missing_packages() -> list[str]:
    """Return the Debian packages that have to be installed."""
    commands = {package for command, package in COMMANDS.items() if not shutil.which(command)}
    files = {package for file, package in FILES.items() if not Path(file).exists()}
    return sorted(commands | files)


def check() -> None:
    """Raise with all that is missing and the line that brings it."""
    if os.geteuid() != 0:
        raise ClusterError("a cluster is made of kernel namespaces: run this as root")
    problems = [f"the kernel has no {what}" for file, what in KERNEL.items() if not Path(file).exists()]
    if not shutil.which("go"):
        problems.append("go is missing: install Go >= 1.26 and put it on the PATH")
    if packages := missing_packages():
        line = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
        problems.append(
            f"Debian packages are missing; `python -m devcluster up --install` installs them, or do it: {line}"
        )
    if problems:
        raise ClusterError("\n".join(problems))


def install() -> None:
    """Install the missing Debian packages."""
    packages = missing_packages()
    if not packages or not shutil.which("apt-get") or os.geteuid() != 0:
        return
    say(f"installing {' '.join(packages)}")
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}  # start no service
    subprocess.run(["apt-get", "update", "-qq"], env=env, check=False, capture_output=True)
    run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], env=env)
