"""The rules of review.yaml that list what the runs of a team may use: images, Secrets, nodes, storage and more."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tfd.review.analysis.fleet import bucket_folder
from tfd.review.analysis.rights import Right, Rights
from tfd.review.sources.job_files import CommittedJobFile

OTHER_TEAMS = "otherTeams"
"""The rule about storage and runs of other teams. What it judges depends on their job files, too."""

_PUSH = "Push it there and set {key}."


@dataclass(frozen=True)
class AllowRule:
    """A rule with a list of allowed names."""

    none: str
    """What is expected where the list is empty."""
    taken: Callable[[Rights], tuple[Right, ...]] = lambda _: ()
    """What a run takes, from its rights."""
    some: str = "one of {}"
    """What is expected where the list has names."""
    normal: Callable[[str], str] = str
    """The value in the one form that patterns are compared with; empty for a value that no pattern allows."""
    ends: str = "/"
    """The characters after which a pattern allows anything; empty if it allows only itself."""
    fix: str = "Set another value, or add this one to {rule} in review.yaml first."


def image_name(image: str) -> str:
    """Return registry and name of an image, without tag and digest, as a node completes them."""
    name = image.partition("@")[0]
    folder, slash, last = name.rpartition("/")
    parts = f"{folder}{slash}{last.partition(':')[0]}".split("/")
    if len(parts) == 1:
        return f"docker.io/library/{parts[0]}"
    has_registry = "." in parts[0] or ":" in parts[0] or parts[0] == "localhost"
    return "/".join(parts if has_registry else ["docker.io", *parts])


def repository_name(address: str) -> str:
    """Return host and path of a git repository; empty for a path that leads elsewhere."""
    host, _, path = address.partition("://")[2].partition("/")
    host = host.lower().removesuffix(":443").rstrip(".")
    return f"{host}/{path.rstrip('/').removesuffix('.git')}" if _is_plain(path) else ""


def bucket_name(address: str) -> str:
    """Return a folder of a bucket; empty for a path that leads elsewhere."""
    return address.rstrip("/") if _is_plain(address.partition("://")[2]) else ""


def _is_plain(path: str) -> bool:
    """Return whether a path has no empty part and no part that a server or a library could resolve."""
    return not {"", ".", ".."} & set(path.rstrip("/").split("/")) and "%" not in path


RULES = {
    "registries": AllowRule("no image", lambda rights: rights.images, "an image from {}", image_name, fix=_PUSH),
    "priorityClasses": AllowRule("no priority class", lambda rights: rights.priority_classes),
    "queues": AllowRule("no queue", lambda rights: rights.queues),
    "queuePriorities": AllowRule("no priority in a queue", lambda rights: rights.queue_priorities),
    "serviceAccounts": AllowRule("no service account", lambda rights: rights.service_accounts),
    "secrets": AllowRule("no Secret", lambda rights: rights.secrets),
    "taints": AllowRule("no toleration", lambda rights: rights.taints, ends="/="),
    "claims": AllowRule("no existing claim", lambda rights: rights.claims),
    "buckets": AllowRule("no bucket", lambda rights: rights.buckets, "a folder in {}", bucket_name),
    "gitHosts": AllowRule(
        "no git repository", lambda rights: rights.repositories, "a repository in {}", repository_name
    ),
    "egress": AllowRule("no more addresses", lambda rights: rights.egress, ends=""),
    "metricsNamespaces": AllowRule("no namespace", lambda rights: rights.metrics_namespaces),
    "ingressNamespaces": AllowRule("no namespace", lambda rights: rights.ingress_namespaces),
    "labels": AllowRule("no label", lambda rights: rights.labels),
    OTHER_TEAMS: AllowRule("nothing of another team", normal=bucket_name),
}
"""Every rule with a list of allowed names, by its name in review.yaml."""


def expected(rule: AllowRule, patterns: Iterable[str], team: str) -> tuple[str, list[str]]:
    """Return what a rule expects of a team, as words with `{}` for a value, and the value."""
    names = ", ".join(_of_team(patterns, team))
    return (rule.some, [names]) if names else (rule.none, [])


def denied(rule: AllowRule, patterns: Iterable[str], team: str, taken: Iterable[Right]) -> Iterator[Right]:
    """Yield what no pattern allows, each once for its key."""
    allowed = _of_team(patterns, team)
    seen = set()
    for right in sorted(taken):
        value = rule.normal(right.value)
        is_allowed = "*" in allowed or (value and any(_matches(each, value, rule.ends) for each in allowed))
        if not is_allowed and (right.value, right.key) not in seen:
            seen.add((right.value, right.key))
            yield right


def _of_team(patterns: Iterable[str], team: str) -> list[str]:
    return [pattern.replace("{team}", team) for pattern in patterns]


def _matches(pattern: str, value: str, ends: str) -> bool:
    """Return whether a pattern is a value or its beginning up to an end; `*` is any characters but `/`."""
    words = "[^/]*".join(re.escape(word) for word in pattern.rstrip("/").split("*"))
    rest = f"([{ends}].*)?" if ends else ""
    return re.fullmatch(words + rest, value, re.DOTALL) is not None


def of_other_teams(job: CommittedJobFile, rights: Rights, jobs: Iterable[CommittedJobFile]) -> Iterator[Right]:
    """Yield the buckets of a run that another team's runs use, and another team's run that it starts from."""
    others = [(other, folder) for other in jobs if other.team != job.team and (folder := bucket_folder(other))]
    for right in rights.buckets:
        if any(_overlap(right.value, folder) for _, folder in others):
            yield right
    storage = bucket_folder(job)
    for other, folder in others:
        if storage and rights.warm_start == other.run and _overlap(storage, folder):
            yield Right(other.name, "", ("warmStartFrom",))


def _overlap(mine: str, theirs: str) -> bool:
    """Return whether two folders are equal or one contains the other, also once `..` is resolved."""
    first, second = (f"{posixpath.normpath(each)}/" for each in (mine, theirs))
    return first.startswith(second) or second.startswith(first)
