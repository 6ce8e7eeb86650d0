"""The network of one run: its own namespace where the machine allows one, and ports that the kernel chose.

TensorFlow's gRPC servers listen on every interface without authentication. In a network namespace with only a
loopback device, no other process can reach them.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1


def isolate() -> str | None:
    """Move this process and its future children into a new network namespace.

    Returns:
        None, or why that was not possible; then nothing has changed.

    """
    if sys.platform != "linux":
        return "only Linux has network namespaces"
    uid, gid = os.getuid(), os.getgid()
    # Root needs no user namespace, and would lose its rights over other users' files in one.
    flags = _CLONE_NEWNET if uid == 0 else _CLONE_NEWNET | _CLONE_NEWUSER
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        return os.strerror(ctypes.get_errno())
    if uid != 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", _IFF_UP))
    return None


def loopback_addresses(addresses: Iterable[str]) -> dict[str, str]:
    """Return a loopback address with a free port for each task address ``host:port`` of the cluster.

    All ports are open at the same time, so no two tasks get the same one. TensorFlow listens on both address families,
    so each port is free on both.
    """
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    with contextlib.ExitStack() as held:
        chosen: dict[str, str] = {}
        for address in addresses:
            listener = held.enter_context(socket.socket(family))
            if dual:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listener.bind(("", 0))
            chosen[address] = f"127.0.0.1:{listener.getsockname()[1]}"
        return chosen
