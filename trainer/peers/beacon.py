"""The port of a worker without a group: it answers that the worker starts, then its token, until TensorFlow opens it.

The import of TensorFlow takes seconds, and minutes on a busy machine. A TensorFlow server answers with HTTP/2 instead.
So the others can distinguish a worker that starts, one that waits and one that trains.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final

from trainer.peers.barrier import listen
from trainer.peers.probe import HTTP2_PREFACE, SILENT
from trainer.runtime import tf_config

_MARK: Final = b"TRAINER WAITS "
_STARTS: Final = b"TRAINER STARTS\n"
_ANSWER_SECONDS: Final = 1.5
_PATIENCE_SECONDS: Final = 0.5
_MOST_BYTES: Final = 256


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of another worker: exactly one field is set."""

    token: str = ""
    """The token of a worker that waits."""
    starts: bool = False
    trains: bool = False
    missing: str = ""
    """The reason why no process answers."""


class Beacon:
    """Answers every connection at this task's port."""

    def __init__(self, address: str) -> None:
        """Open the port of `address` (host:port).

        Raises:
            OSError: The port is in use.

        """
        self._socket = listen(tf_config.split(address)[1])
        self._line = _STARTS
        threading.Thread(target=self._accept, name="beacon", daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # `close` closed the socket
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(_ANSWER_SECONDS)
                connection.sendall(self._line)
                connection.recv(_MOST_BYTES)  # A close with unread data would reset the connection, and lose the token.

    def wait_as(self, token: str) -> None:
        """Answer with `token` from now on."""
        self._line = _MARK + token.encode() + b"\n"

    def close(self) -> None:
        """Close the port, so that TensorFlow can open it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def ask(address: str) -> Answer:
    """Return what answers at `address` (host:port)."""
    try:
        with socket.create_connection(tf_config.split(address), timeout=_ANSWER_SECONDS) as connection:
            connection.sendall(HTTP2_PREFACE)
            data = connection.recv(_MOST_BYTES)
    except socket.gaierror:
        return Answer(missing="no DNS name")
    except TimeoutError:
        return Answer(missing=SILENT)
    except OSError as error:
        return Answer(missing=(error.strerror or str(error)).lower())
    if data.startswith(_MARK):
        return Answer(token=data[len(_MARK) :].decode(errors="replace").strip())
    if data == _STARTS:
        return Answer(starts=True)
    return Answer(trains=True) if data else Answer(missing="hung up")


class Asker:
    """Asks the other workers again and again. A worker that hangs does not delay the answers of the others."""

    def __init__(self, addresses: Mapping[int, str]) -> None:
        """Ask nothing yet.

        Args:
            addresses: Number -> address (host:port) of each worker.

        """
        self._addresses = dict(addresses)
        self._pool = ThreadPoolExecutor(max_workers=min(32, max(1, len(self._addresses))))
        self._asked: dict[int, Future[Answer]] = {}
        self._answers = dict.fromkeys(self._addresses, Answer(missing=SILENT))

    def answers(self) -> dict[int, Answer]:
        """Return number -> newest answer of each worker, after at most half a second."""
        for number in self._addresses.keys() - self._asked.keys():
            self._asked[number] = self._pool.submit(ask, self._addresses[number])
        done, _ = wait(self._asked.values(), _PATIENCE_SECONDS)
        for number in [number for number, answer in self._asked.items() if answer in done]:
            self._answers[number] = self._asked.pop(number).result()
        return dict(self._answers)

    def close(self) -> None:
        """Ask nobody any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)
