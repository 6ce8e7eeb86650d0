"""The prerequisites of the machine, checked before anything is started."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from devcluster.shell import DevclusterError, log, refusal, run

# Program -> the Debian package that contains it.
COMMANDS = {
    "containerd": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "nft": "nftables",
    "ip": "iproute2",
    "ipset": "ipset",
    "iptables": "iptables",
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
# Header file -> the Debian package that contains it.
FILES = {
    "/usr/include/seccomp.h": "libseccomp-dev",
    "/usr/include/stdlib.h": "libc6-dev",
}
# Kernel setting -> the kernel module that provides it.
KERNEL_MODULES = {
    "/proc/sys/net/bridge/bridge-nf-call-iptables": "br_netfilter",
    "/proc/sys/net/netfilter/nf_conntrack_max": "nf_conntrack",
}


def missing_packages() -> list[str]:
    """Return the Debian packages that are missing."""
    commands = {package for command, package in COMMANDS.items() if not shutil.which(command)}
    files = {package for file, package in FILES.items() if not Path(file).exists()}
    return sorted(commands | files)


def check() -> None:
    """Raise DevclusterError with all missing prerequisites and the commands that install them."""
    if os.geteuid() != 0:
        raise DevclusterError(refusal("user", f"UID {os.geteuid()}", "root", "Run this command as root."))
    problems = [
        refusal(file, "nothing", f"the kernel module {module}", f"Run modprobe {module}.")
        for file, module in KERNEL_MODULES.items()
        if not Path(file).exists()
    ]
    if not shutil.which("go"):
        problems.append(refusal("go", "nothing", "Go 1.26 or newer on the PATH", "Install Go."))
    if packages := missing_packages():
        names = " ".join(packages)
        fix = f"Run apt-get install -y --no-install-recommends {names}, or add the option --install."
        problems.append(refusal("Debian packages", f"a machine without {names}", "all of them", fix))
    if problems:
        raise DevclusterError("\n".join(problems))


def install() -> None:
    """Install the missing Debian packages."""
    packages = missing_packages()
    if not packages or not shutil.which("apt-get") or os.geteuid() != 0:
        return
    log(f"installing {' '.join(packages)}")
    env = os.environ | {
        "DEBIAN_FRONTEND": "noninteractive",
        "RUNLEVEL": "1",
    }  # Package scripts start no service in this run level.
    subprocess.run(["apt-get", "update", "-qq"], env=env, check=False, capture_output=True)
    wait = "DPkg::Lock::Timeout=600"  # another installation may run
    run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "-o", wait, *packages], env=env)
