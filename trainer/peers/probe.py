"""A probe that detects whether a process answers at an address.

A successful connection is not enough, because the kernel accepts connections for a frozen process too.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Final

from trainer.runtime import tf_config

ANSWER_SECONDS: Final = 3.0
SILENT: Final = "no answer"
NO_CONNECTION: Final = "no connection"
_HOST_LOST: Final = frozenset(map(os.strerror, (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN)))
# The HTTP/2 connection preface, followed by an empty SETTINGS frame.
HTTP2_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))

probing: set[int] = set()
"""Local ports of the open connections of `probe`."""

Probe = Callable[[str], str | None]


def is_silent(reason: str | None) -> bool:
    """Return whether `reason` of a probe means that nothing came back: the process hangs, or its host is lost.

    Then open connections to the address stay open, and TensorFlow waits at them.
    """
    return reason == SILENT or is_cut_off(reason)


def is_cut_off(reason: str | None) -> bool:
    """Return whether `reason` of a probe means that the network between the two is away.

    For a process that hangs, the kernel still accepts connections.
    """
    return reason == NO_CONNECTION or reason in _HOST_LOST


def probe(address: str, timeout: float = ANSWER_SECONDS, hung_up: str | None = None) -> str | None:
    """Return the reason why no process answers at `address` (host:port), None if one answers.

    The function sends the HTTP/2 preface, as gRPC does, and waits for the first byte of a reply. A task that does not
    run a TensorFlow server yet (`ReadinessListener`) closes the connection instead.

    Args:
        address: The host and the port.
        timeout: Seconds to wait for the connection, and again for the reply.
        hung_up: The result when the other side closes the connection without a reply.

    """
    try:
        with _connection(address, timeout) as connection:
            own = connection.getsockname()[1]
            probing.add(own)
            try:
                connection.sendall(HTTP2_PREFACE)
                return None if connection.recv(1) else hung_up
            finally:
                probing.discard(own)
    except (ConnectionResetError, BrokenPipeError):
        return hung_up
    except OSError as error:
        return _reason(error)


class _NoConnectionError(TimeoutError):
    """Nothing answered to a request for a connection."""


def _reason(error: OSError) -> str:
    known: tuple[tuple[type[OSError], str], ...] = (
        (socket.gaierror, "no DNS name"),
        (ConnectionRefusedError, "connection refused"),
        (_NoConnectionError, NO_CONNECTION),
        (TimeoutError, SILENT),
    )
    return next((words for kind, words in known if isinstance(error, kind)), error.strerror or str(error))


def _connection(address: str, timeout: float) -> socket.socket:
    try:
        return socket.create_connection(tf_config.split(address), timeout=timeout)
    except TimeoutError as error:
        raise _NoConnectionError from error


def hosts(address: str) -> frozenset[str]:
    """Return the IP addresses of `address` (host:port); none if its name has none now."""
    try:
        return frozenset(str(info[4][0]) for info in socket.getaddrinfo(*tf_config.split(address)))
    except OSError:
        return frozenset()
