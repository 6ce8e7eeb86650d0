"""A network of hosts on this machine that a test can split: each host is a network namespace.

A user namespace gives the right to create it, so root is not needed. Bridges connect the hosts. A host that a split
moves to another bridge keeps its link, and its packets reach nobody, as after the loss of a switch.
"""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

_PREFIX = "10.78.0"
_FIRST = 11


class NetworkError(Exception):
    """This machine allows no network namespace, or a change of the network failed."""


class Network:
    """The hosts, each with an address that the others reach."""

    def __init__(self, hosts: Sequence[str]) -> None:
        """Create the namespaces and connect them.

        Raises:
            NetworkError: This machine allows no network namespace.

        """
        self._ports = {host: number for number, host in enumerate(hosts)}
        self._hub = _hold("unshare", "--map-root-user", "--net")
        self._holders = [self._hub]
        self._pids: dict[str, int] = {}
        for host in hosts:
            holder = _hold(*_inside(self._hub.pid), "unshare", "--net")
            self._holders.append(holder)
            self._pids[host] = holder.pid
        _ip(self._hub.pid, *(f"link add side{number} up type bridge" for number in self._ports.values()))
        for host, number in self._ports.items():
            _ip(
                self._hub.pid,
                f"link add port{number} type veth peer name eth0 netns {self._pids[host]}",
                f"link set port{number} master side0 up",
            )
            _ip(
                self._pids[host],
                "link set lo up",
                f"address add {self.address(host)}/24 dev eth0",
                "link set eth0 up",
            )

    def address(self, host: str) -> str:
        """Return the address of `host`."""
        return f"{_PREFIX}.{_FIRST + self._ports[host]}"

    def enter(self, host: str) -> tuple[str, ...]:
        """Return the words that start a program on `host`; the program keeps the process ID of the first word."""
        return _inside(self._pids[host])

    def split(self, *sides: Collection[str]) -> None:
        """Let only the hosts of the same side reach each other; the first side has all hosts that no side names."""
        place = {host: number for number, side in enumerate(sides) for host in side}
        moves = (f"link set port{port} master side{place.get(host, 0)}" for host, port in self._ports.items())
        _ip(self._hub.pid, *moves)

    def close(self) -> None:
        """Delete the namespaces."""
        for holder in self._holders:
            holder.kill()
            holder.communicate()


@contextmanager
def network(hosts: Sequence[str]) -> Iterator[Network]:
    """Return a network of `hosts` that ends with the block."""
    made = Network(hosts)
    try:
        yield made
    finally:
        made.close()


def _hold(*words: str) -> subprocess.Popen[str]:
    """Start a process that holds the namespace that `words` create; it ends when this process ends."""
    holder = subprocess.Popen(
        [*words, "sh", "-c", "echo ready; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    if not holder.stdout.readline():
        raise NetworkError(f"{' '.join(words)}: {holder.communicate()[1].strip()}")
    return holder


def _inside(pid: int) -> tuple[str, ...]:
    return ("nsenter", f"--target={pid}", "--user", "--net", "--preserve-credentials")


def _ip(pid: int, *lines: str) -> None:
    done = subprocess.run(
        [*_inside(pid), "ip", "-batch", "-"], input="\n".join(lines) + "\n", text=True, capture_output=True
    )
    if done.returncode:
        raise NetworkError(f"ip {'; '.join(lines)}: {done.stderr.strip()}")
