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
    return reason == SILENT or reason in _HOST_LOST


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
        with socket.create_connection(tf_config.split(address), timeout=timeout) as connection:
            own = connection.getsockname()[1]
            probing.add(own)
            try:
                connection.sendall(HTTP2_PREFACE)
                return None if connection.recv(1) else hung_up
            finally:
                probing.discard(own)
    except socket.gaierror:
        return "no DNS name"
    except ConnectionRefusedError:
        return "connection refused"
    except (ConnectionResetError, BrokenPipeError):
        return hung_up
    except TimeoutError:
        return SILENT
    except OSError as error:
        return error.strerror or str(error)
