"""Who may reach the pods of a run and what they may reach, by the rendered NetworkPolicies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tfd.kubernetes import Object
from tfd.review.sources.workloads import Workload

ANYWHERE = "anywhere"


def peers(pods: Iterable[Workload], objects: Iterable[Object], direction: str) -> Iterator[tuple[str, str]]:
    """Yield each peer that the policies allow for the pods, in words, and the component of the pods.

    The policies that select a pod add up. A pod that none selects reaches all and is reached by all.

    Args:
        pods: the pod templates of a run.
        objects: its rendered objects.
        direction: Ingress or Egress.

    """
    side, ends = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    policies = [item for item in objects if item["kind"] == "NetworkPolicy"]
    for pod in pods:
        selecting = [
            policy["spec"]
            for policy in policies
            if _selects(policy["spec"].get("podSelector") or {}, pod.labels) and direction in _types(policy["spec"])
        ]
        for rule in (rule for spec in selecting for rule in spec.get(side) or []):
            ports = ", ".join(f"{p.get('protocol', 'TCP')} {p.get('port', 'all')}" for p in rule.get("ports") or [])
            for peer in rule.get(ends) or [{}]:
                yield f"{_peer(peer)}{f' ({ports})' if ports else ''}", pod.component
        if not selecting:
            yield ANYWHERE, pod.component


def _types(spec: dict[str, Any]) -> list[str]:
    """Return the directions of a policy. Without the field, Kubernetes takes egress only where rules of it exist."""
    return list(spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])])


def _selects(selector: dict[str, Any], labels: Mapping[str, str]) -> bool:
    tests = {
        "In": lambda each: labels.get(each["key"]) in each["values"],
        "NotIn": lambda each: labels.get(each["key"]) not in each["values"],
        "Exists": lambda each: each["key"] in labels,
        "DoesNotExist": lambda each: each["key"] not in labels,
    }
    return all(labels.get(name) == value for name, value in (selector.get("matchLabels") or {}).items()) and all(
        tests[each["operator"]](each) for each in selector.get("matchExpressions") or []
    )


def _peer(peer: dict[str, Any]) -> str:
    """Return a peer of a policy in words."""
    if block := peer.get("ipBlock"):
        return str(block["cidr"]) + "".join(f" without {each}" for each in block.get("except") or [])
    pods, spaces = peer.get("podSelector"), peer.get("namespaceSelector")
    if pods is None and spaces is None:
        return ANYWHERE
    words = f"pods {_selector(pods)}" if pods else "all pods"
    if spaces is None:
        return words
    return f"{words} of {f'namespaces {_selector(spaces)}' if spaces else 'all namespaces'}"


def _selector(selector: dict[str, Any]) -> str:
    words = [f"{name}={value}" for name, value in (selector.get("matchLabels") or {}).items()]
    words += [
        " ".join([each["key"], each["operator"], *(each.get("values") or [])])
        for each in selector.get("matchExpressions") or []
    ]
    return ", ".join(sorted(words))
