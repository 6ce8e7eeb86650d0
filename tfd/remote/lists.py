"""Whole lists of the Kubernetes API. The number of requests depends on the pages and not on the runs."""

from __future__ import annotations

from urllib.parse import quote

from tfd.kubernetes import KUEUE, Object
from tfd.remote.kubectl import Kubectl

Place = str | None
"""A namespace; None for all."""

AT_ONCE = 8
"""Requests at a time."""
_APIS = {
    "configmaps": "api/v1",
    "pods": "api/v1",
    "events": "api/v1",
    "jobs": "apis/batch/v1",
    "workloads": f"apis/{KUEUE}/v1beta2",
}


def listed(kind: str, place: Place, **query: str) -> list[Object]:
    """Return all objects of a kind in a namespace. The objects have no `kind`.

    Args:
        kind: the plural, such as `pods`.
        place: the namespace; None for all.
        query: parameters of the list, such as `labelSelector`.

    Raises:
        ClusterError: kubectl failed.

    """
    namespace = f"namespaces/{quote(place, safe='')}/" if place else ""
    return Kubectl().listed(f"/{_APIS[kind]}/{namespace}{kind}", **query)
