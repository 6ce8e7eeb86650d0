"""The parser of the environment variable `TF_CONFIG`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from trainer.runtime.errors import NOTHING, ConfigError, Words, one_of
from trainer.runtime.types import Json

ROLES: Final = ("chief", "ps", "worker", "evaluator")
_FIX: Final = (
    'Set TF_CONFIG to {"cluster":{"chief":["host:port"],...},"task":{"type":"chief","index":0}} or leave it unset'
)
_MAX_PORT: Final = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """The tasks of the run, and the role and index of this task."""

    role: str = "chief"
    """One of `ROLES`."""
    index: int = 0
    """Number within the role, from 0."""
    tasks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Role -> `host:port` of each task of that role, by index. It never contains the evaluator."""

    @property
    def name(self) -> str:
        """The name of this task, such as `worker-1`."""
        return f"{self.role}-{self.index}"

    @property
    def address(self) -> str | None:
        """The `host:port` of this task, None if it accepts no connections."""
        addresses = self.tasks.get(self.role, ())
        return addresses[self.index] if self.index < len(addresses) else None

    @property
    def chief_address(self) -> str | None:
        """The `host:port` of the chief, or of worker 0 in a cluster without a chief."""
        addresses = self.tasks.get("chief") or self.tasks.get("worker") or ()
        return addresses[0] if addresses else None

    @property
    def is_chief(self) -> bool:
        """Whether this task writes the run directory: the chief, or worker 0 in a cluster without a chief."""
        if self.role == "worker":
            return self.index == 0 and not self.tasks.get("chief")
        return self.role == "chief"

    @property
    def hosts(self) -> list[str]:
        """The hosts of all tasks, without ports and brackets, each once."""
        addresses = [address for tasks in self.tasks.values() for address in tasks]
        return list(dict.fromkeys(split(address)[0] for address in addresses))

    def peers(self, *roles: str) -> dict[str, str]:
        """Return name -> address (host:port) of all tasks of `roles` except this task."""
        named = {f"{role}-{i}": a for role in roles for i, a in enumerate(self.tasks.get(role, ()))}
        named.pop(self.name, None)
        return named


def split(address: str) -> tuple[str, int]:
    """Return the host and the port of `address` (host:port). The brackets of an IPv6 address are left out."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def parse(text: str | None) -> Cluster:
    """Return the cluster in `text`, the value of TF_CONFIG. If `text` is None or empty, return a single chief.

    Raises:
        ConfigError: `text` is not valid JSON, or TensorFlow does not accept a role, index or address in it.

    """
    if not text:
        return Cluster()
    try:
        config = json.loads(text)
    except ValueError as error:
        raise ConfigError(
            "TF_CONFIG", got=Words(f"invalid JSON ({error})"), expected="a JSON object", fix=_FIX
        ) from error
    if not isinstance(config, dict):
        raise ConfigError("TF_CONFIG", got=config, expected="a JSON object", fix=_FIX)
    tasks = _tasks(config.get("cluster") or {})
    role, index = _task(config.get("task", NOTHING), tasks)
    return Cluster(role=role, index=index, tasks=tasks)


def _tasks(cluster: Json) -> dict[str, tuple[str, ...]]:
    if not isinstance(cluster, dict):
        raise ConfigError(
            "TF_CONFIG.cluster", got=cluster, expected="a mapping of roles to lists of host:port", fix=_FIX
        )
    tasks: dict[str, tuple[str, ...]] = {}
    for role, addresses in cluster.items():
        if role not in ROLES[:-1]:
            raise ConfigError(
                f"TF_CONFIG.cluster.{role}", got=Words("an unknown key"), expected=one_of(ROLES[:-1]), fix=_FIX
            )
        if not isinstance(addresses, list) or not addresses:
            raise ConfigError(f"TF_CONFIG.cluster.{role}", got=addresses, expected="a list of host:port", fix=_FIX)
        for i, address in enumerate(addresses):
            if not _is_address(address):
                raise ConfigError(
                    f"TF_CONFIG.cluster.{role}[{i}]",
                    got=address,
                    expected="host:port, with an IPv6 address in brackets",
                    fix=_FIX,
                )
        tasks[role] = tuple(addresses)
    if len(tasks.get("chief", ())) > 1:
        raise ConfigError("TF_CONFIG.cluster.chief", got=list(tasks["chief"]), expected="one address", fix=_FIX)
    return tasks


def _is_address(address: object) -> bool:
    host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
    bare = host[1:-1] if host[:1] == "[" and host[-1:] == "]" else host
    literal = bare != host
    return bool(bare) and (":" in bare) is literal and port.isdecimal() and 0 < int(port) <= _MAX_PORT


def _task(task: Json, tasks: Mapping[str, tuple[str, ...]]) -> tuple[str, int]:
    if not isinstance(task, dict):
        raise ConfigError("TF_CONFIG.task", got=task, expected="a mapping with type and index", fix=_FIX)
    role, index = task.get("type", NOTHING), task.get("index", 0)
    if role not in ROLES:
        raise ConfigError("TF_CONFIG.task.type", got=role, expected=one_of(ROLES), fix=_FIX)
    if isinstance(index, bool) or not isinstance(index, int) or index < 0:
        raise ConfigError("TF_CONFIG.task.index", got=index, expected="an integer, 0 or more", fix=_FIX)
    if role != "evaluator" and tasks and index >= len(tasks.get(role, ())):
        known = len(tasks.get(role, ()))
        raise ConfigError(
            "TF_CONFIG.task.index", got=index, expected=f"less than {known}, the number of {role} addresses", fix=_FIX
        )
    return str(role), index
