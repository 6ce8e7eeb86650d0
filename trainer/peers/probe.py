"""Whether a process answers at an address, as opposed to a kernel that accepts connections for it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final

ANSWER_SECONDS: Final = 3.0
SILENT: Final = "no answer"
# The HTTP/2 connection preface, followed by an empty SETTINGS frame.
_HTTP2_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))

probing: set[int] = set()
"""Local ports of the connections that `probe` has open."""

Probe = Callable[[str], str | None]


def probe(address: str, timeout: float = ANSWER_SECONDS, hung_up: str | None = None) -> str | None:
    """Return why nobody answers at `address` (host:port), None when somebody does.

    A connection alone proves nothing: the kernel also accepts it for a process that hangs. So this function sends the
    HTTP/2 preface, as gRPC does, and waits for the first byte of a reply. A task that is not a server yet
    (`ReadinessListener`) closes the connection instead; then the result is `hung_up`.
    """
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=timeout) as connection:
            own = connection.getsockname()[1]
            probing.add(own)
            try:
                connection.sendall(_HTTP2_PREFACE)
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
