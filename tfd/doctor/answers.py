"""The answers of the Kubernetes API that the checks read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tfd.doctor.finding import Finding, warn
from tfd.kubernetes import Object
from tfd.remote.kubectl import ClusterError, Kubectl

_MISSING = "(NotFound)"
_ANSWERED = "Error from server"
_OVERLOADED = ("(ServiceUnavailable)", "(Timeout)", "(TooManyRequests)")


def read(path: str) -> Object | None:
    """Return the answer for a path of the API; None if there is no such object.

    Raises:
        ClusterError: the cluster did not answer, or a right is missing.

    """
    try:
        return Kubectl().answer("get", "--raw", path)
    except ClusterError as error:
        if _MISSING in str(error):
            return None
        raise


def items(path: str) -> list[Object]:
    """Return the objects of a list; none if the API does not serve the kind. Raises the errors of `read`."""
    return list((read(path) or {}).get("items") or [])


def serves(path: str, resource: str) -> bool:
    """Return whether a version of an API group, such as `/apis/batch/v1`, has a resource."""
    found: list[dict[str, Any]] = (read(path) or {}).get("resources", [])
    return any(each["name"] == resource for each in found)


def allowed(check: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    """Return the findings of a check; a warning if the cluster refuses it. Raises the errors without an answer."""
    try:
        return look()
    except ClusterError as error:
        if not str(error).startswith(_ANSWERED) or any(each in str(error) for each in _OVERLOADED):
            raise
        # Only a missing right has these words. A quota, a LimitRange and an admission webhook refuse others too.
        if " cannot " in str(error):
            return [warn(check, f"refused: {error}", "Ask an administrator to run this command.")]
        return [warn(check, f"refused: {error}", "Ask an administrator to remove this cause.")]
