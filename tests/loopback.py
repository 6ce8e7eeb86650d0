"""The loopback addresses of both families, for tests of what listens and connects."""

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest


def _exists(host: str) -> bool:
    family = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0][0]
    try:
        with closing(socket.socket(family, socket.SOCK_STREAM)) as each:
            each.bind((host, 0))
    except OSError:
        return False
    return True


def _parameters() -> Iterator[object]:
    for host in ("127.0.0.1", "::1"):
        missing = pytest.mark.skipif(not _exists(host), reason=f"the kernel has no address {host}")
        yield pytest.param(host, marks=missing, id=host)


LOOPBACKS = list(_parameters())
"""The parameters of a test that runs for each family; one without a loopback address is skipped with its reason."""


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port of the loopback address `host` on which nothing listens."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_STREAM)) as each:
        each.bind((host, 0))
        return int(each.getsockname()[1])
