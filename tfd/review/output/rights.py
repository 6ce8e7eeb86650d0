"""Writes what runs take: one line for all runs that take the same, above everything that can be cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from ipaddress import ip_network

from tfd.review.analysis.actions import ADDING, STARTING, Action
from tfd.review.analysis.pull_request import PullRequestReview
from tfd.review.analysis.rights import Right, Rights
from tfd.review.analysis.run_review import RunReview
from tfd.review.output.redaction import Redactor
from tfd.review.output.shown import Shown, count, counted, joined
from tfd.review.sources.quantities import decimal, gibibytes
from tfd.review.sources.workloads import ResourceRequest

# The fields of Rights, the most powerful first, with their titles and whether the place of each is shown.
_FIELDS = (
    ("secrets", "Secrets", True),
    ("tokens", "Token in Secret", False),
    ("service_accounts", "Service account", False),
    ("priority_classes", "Priority class", False),
    ("schedulers", "Scheduler", False),
    ("queues", "Queue", False),
    ("queue_priorities", "Queue priority", False),
    ("taints", "Tolerated taints", False),
    ("repositories", "Code", False),
    ("code_files", "Files", False),
    ("images", "Images", True),
    ("claims", "Claims", True),
    ("new_claims", "New claims", True),
    ("buckets", "Buckets", False),
    ("config_maps", "ConfigMaps", True),
    ("nodes", "Nodes", False),
    ("labels", "Labels", False),
    ("annotations", "Annotations", False),
    ("incoming", "Reached by", False),
    ("outgoing", "Reaches", False),
)
# Their absence is written out, because a reader may not expect them.
_ALWAYS = ("secrets", "service_accounts", "priority_classes", "taints")
_NONE = {
    "secrets": "Secrets",
    "service_accounts": "service account",
    "priority_classes": "priority class",
    "taints": "taints",
}
# A field is cut after this number of values, or after the value that fills it.
_MOST_VALUES = 12
_FULL = 500
_LONGEST = 260
_MOST_LINES = 4
_MOST_BYTES = 24_000
RANKS = (STARTING, frozenset([Action.CHANGES]), frozenset([Action.ADDED_SUSPENDED]), ADDING)


def rank(run: RunReview) -> int:
    """Return a number that sorts runs by what matters: those that start, that change while they run, and the rest."""
    return next((number for number, actions in enumerate(RANKS) if run.action in actions), len(RANKS))


def lines(review: PullRequestReview, redactor: Redactor, shown: Shown) -> Iterator[str]:
    """Yield one line for each group of runs that take the same; if there are many, first one for all together.

    Runs that are added archived have a line as well, because a later pull request can start them.
    """
    runs = [run for run in sorted(review.runs, key=rank) if run.rights and rank(run) < len(RANKS)]
    groups: dict[tuple[int, str], list[RunReview]] = {}
    for run in runs:
        groups.setdefault((rank(run), _line(run, redactor, shown)), []).append(run)
    found = [f"- {_names(same, redactor)}{_verb(same)} {text}" for (_, text), same in groups.items()]
    if len(found) > _MOST_LINES:
        together = _union([_of(run, run.rights) for run in runs if run.rights])
        yield f"- {counted(run.kind.noun for run in runs)} together take {_rights(together, redactor, shown)}"
    size = 0
    for number, line in enumerate(found):
        size += len(line.encode())
        if number and size > _MOST_BYTES:
            left = [run.kind.noun for same in list(groups.values())[number:] for run in same]
            shown.cut(f"what {counted(left)} take one by one")
            return
        yield line


def _names(runs: list[RunReview], redactor: Redactor) -> str:
    """Return all names of runs that start or change, and some of the others, which the table has too."""
    most = len(runs) if rank(runs[0]) <= 1 else 3
    more = f" and {counted((run.kind.noun for run in runs[most:]), 'more ')}" if len(runs) > most else ""
    return ", ".join(redactor.code(run.name) for run in runs[:most]) + more


def _verb(runs: list[RunReview]) -> str:
    later = ", once active," if rank(runs[0]) > 1 else ""
    return f"{later} {'takes' if len(runs) == 1 else 'each take'}"


def _line(run: RunReview, redactor: Redactor, shown: Shown) -> str:
    before = _of(run, run.base_rights) if run.base_rights and run.action is Action.CHANGES else None
    return _rights(_of(run, run.rights), redactor, shown, before) if run.rights else ""


def _of(run: RunReview, rights: Rights) -> Rights:
    return _with_own_peers(rights, f"app.kubernetes.io/instance={run.merged.run}" if run.merged else "")


def _with_own_peers(rights: Rights, own: str) -> Rights:
    """Return rights in which the pods of the run itself and DNS have short names, which are the same for all runs."""

    def short(peers: tuple[Right, ...]) -> tuple[Right, ...]:
        return tuple(replace(each, value=_peer(each.value, own)) for each in peers)

    return replace(rights, incoming=short(rights.incoming), outgoing=short(rights.outgoing))


def _peer(value: str, own: str) -> str:
    if own and own in value:
        return "its own pods"
    name, _, ports = value.removesuffix(")").partition(" (")
    if ports and set(ports.split(", ")) <= {"UDP 53", "TCP 53"} and (name.startswith("all pods") or _is_private(name)):
        return "DNS"
    return value


def _is_private(network: str) -> bool:
    try:
        return not ip_network(network).is_global and network not in ("0.0.0.0/0", "::/0")
    except ValueError:
        return False


def _rights(rights: Rights, redactor: Redactor, shown: Shown, before: Rights | None = None) -> str:
    """Return rights as one line; for a change, with what was there before."""
    parts = [_request(rights)]
    if before and _request(before) != parts[0]:
        parts = [f"**{parts[0]}**", f"Before: {_request(before)}"]
    for name, title, place in _FIELDS:
        values: tuple[Right, ...] = getattr(rights, name)
        text = _values(values, redactor, shown, place, title)
        old = _values(getattr(before, name), redactor, shown, place, title) if before else text
        if old != text:
            parts.append(f"{title}: **{text or 'none'}** instead of {old or 'none'}")
        elif text:
            parts.append(f"{title}: {text}")
    if rights.command:
        parts.append(f"Command: {shown.value(' '.join(rights.command), redactor, 'a command')}")
    if rights.warm_start:
        parts.append(f"Weights of {redactor.code(rights.warm_start)}")
    if not rights.incoming:
        parts.append("Reached by: no pod")
    if absent := [_NONE[name] for name in _ALWAYS if not getattr(rights, name)]:
        parts.append(f"No {joined(absent, 'or')}")
    return f"{'. '.join(parts)}."


def _request(rights: Rights) -> str:
    request = rights.request
    words = [f"{count(request.gpus, 'GPU')} in {count(request.pods, 'pod')}"]
    words += [f"for at most {decimal(rights.hours)} h"] if rights.hours else []
    words += ["without a bound of hours"] if request.endless_gpus else []
    text = " ".join(words)
    text += f", {decimal(request.cpus)} CPUs, {gibibytes(request.memory)} of memory"
    return text + (f", {gibibytes(request.storage)} of storage" if request.storage else "")


def _values(values: Iterable[Right], redactor: Redactor, shown: Shown, place: bool, title: str) -> str:
    """Return each value once, with all its places if they are shown."""
    places: dict[str, list[str]] = {}
    for each in values:
        found = places.setdefault(each.value, [])
        if place and each.where and each.where not in found:
            found.append(each.where)
    texts: list[str] = []
    for value, found in list(places.items())[:_MOST_VALUES]:
        if sum(map(len, texts)) > _FULL:
            break
        where = f" ({', '.join(redactor.code(name) for name in found[:3])}{' ...' * (len(found) > 3)})" if found else ""  # noqa: PLR2004
        texts.append(f"{shown.value(value, redactor, title, longest=_LONGEST)}{where}")
    if more := len(places) - len(texts):
        shown.cut(f"{more} of {len(places)} {title}")
        texts.append(f"and {more:,} more")
    return ", ".join(texts)


def _union(rights: list[Rights]) -> Rights:
    """Return what all runs take together."""
    all_of = {
        each.name: tuple(sorted({right for one in rights for right in getattr(one, each.name)}))
        for each in fields(Rights)
        if isinstance(getattr(rights[0], each.name), tuple) and each.name != "command"
    }
    commands = sorted({" ".join(one.command) for one in rights if one.command})
    return replace(
        rights[0],
        **all_of,
        command=(" ; ".join(commands),) if commands else (),
        warm_start=", ".join(sorted({one.warm_start for one in rights if one.warm_start})),
        request=sum((one.request for one in rights), start=ResourceRequest()),
        hours=max(one.hours for one in rights),
    )
