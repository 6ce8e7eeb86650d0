"""Keep the traffic between the tasks of a run away from HTTP proxies.

gRPC, and so TensorFlow, sends all of its connections to the proxy that `https_proxy` or `http_proxy` names. A proxy
cannot reach the pods of the cluster, and TensorFlow would wait for its peers indefinitely. The proxy remains in use for
all other hosts, such as those of `gs://`.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Final

_PROXIES: Final = ("grpc_proxy", "https_proxy", "http_proxy", "all_proxy")
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")
_ALL: Final = "*"


def in_use(env: MutableMapping[str, str]) -> list[str]:
    """Return the names of the variables in `env` that set a proxy, in either case of letters."""
    return sorted(name for name, value in env.items() if value and name.lower() in _PROXIES)


def exempt(hosts: Iterable[str], env: MutableMapping[str, str]) -> None:
    """Add the hosts of the run's tasks to the variables that name the hosts without a proxy.

    gRPC reads `no_grpc_proxy`, or else `no_proxy`; it compares the end of a name with each entry, and has no `*`. Other
    libraries read `no_proxy`, or else `NO_PROXY`. A variable that would hide the entries of another one starts with
    these entries. Call this before TensorFlow is imported.

    Args:
        hosts: Names or IP addresses of the tasks, without ports.
        env: The environment variables to change.

    """
    if not in_use(env):
        return
    ours = list(dict.fromkeys([*hosts, *_LOCAL]))
    theirs = env.get("no_proxy") or env.get("NO_PROXY") or ""
    env["no_grpc_proxy"] = _with(env.get("no_grpc_proxy") or theirs, ours)
    env["no_proxy"] = theirs if theirs.strip() == _ALL else _with(theirs, ours)
    if env.get("NO_PROXY"):
        env["NO_PROXY"] = env["no_proxy"]


def _with(entries: str, more: list[str]) -> str:
    """Return the comma-separated `entries` with those of `more` that are missing, `*` left out."""
    known = [each for entry in entries.split(",") if (each := entry.strip()) and each != _ALL]
    return ",".join(dict.fromkeys([*known, *more]))
