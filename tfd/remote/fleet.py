"""The objects of all runs of some namespaces. The number of requests does not depend on the number of tasks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from tfd.kubernetes import ALL_RUNS, COMPONENT_LABEL, INSTANCE_LABEL, KUEUE, Object
from tfd.remote.kubectl import ClusterError, Kubectl
from tfd.remote.lists import AT_ONCE, Place, listed
from tfd.remote.queue import in_line
from tfd.remote.snapshot import Objects, assemble, is_record, newest_warnings

Run = tuple[str, str]
"""Namespace and name of a run."""

_LINES = f"apis/visibility.{KUEUE}/v1beta2"
_LINE = 1000
_MANY = 4
"""More namespaces than this are read with the lists of all namespaces. One process of kubectl reads one page."""


@dataclass(frozen=True)
class Fleet:
    """All runs at one moment."""

    runs: list[Objects]
    positions: dict[Run, int]
    """Place in the line of the ClusterQueue, from 1. A run that is not in line has none."""
    notes: list[str]
    """What could not be read, and why."""


def look(places: Sequence[Place], labels: str = "") -> Fleet:
    """Return the runs in some namespaces.

    Args:
        places: the namespaces.
        labels: label selector for the labels of the job files; empty for all runs.

    Raises:
        ClusterError: the cluster did not answer, or a right is missing. Warnings and queues may be missing.

    """
    if len(places) > _MANY:
        try:
            return _look([None], labels, frozenset(places))
        except ClusterError as error:
            # The user may have no right to list all namespaces.
            if "(Forbidden)" not in str(error):
                raise
    return _look(places, labels, frozenset(places))


def _look(places: Sequence[Place], labels: str, asked: frozenset[Place]) -> Fleet:
    """Return the runs of some namespaces, from the lists of some places; None stands for all namespaces."""
    chosen = ",".join(filter(None, (ALL_RUNS, f"{COMPONENT_LABEL}=record", labels)))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        records, jobs, pods, events = (
            [pool.submit(listed, kind, place, **query) for place in places]
            for kind, query in (
                ("configmaps", {"labelSelector": chosen}),
                ("jobs", {"labelSelector": ALL_RUNS}),
                ("pods", {"labelSelector": ALL_RUNS}),
                ("events", {"fieldSelector": "type=Warning"}),
            )
        )
        warnings, notes = _optional(events, "Warnings")
        runs, unreadable = _assembled(_within(_all(records), asked), _all(jobs), _all(pods), warnings)
        runs, unknown = _with_workloads(pool, places, runs)
        positions, unplaced = _positions(pool, runs)
    return Fleet(runs, positions, [*notes, *unreadable, *unknown, *unplaced])


def _all(answers: Iterable[Future[list[Object]]]) -> list[Object]:
    return [item for answer in answers for item in answer.result()]


def _within(items: list[Object], asked: frozenset[Place]) -> list[Object]:
    """Return the objects in some namespaces."""
    return [item for item in items if None in asked or item["metadata"]["namespace"] in asked]


def _optional(answers: Iterable[Future[list[Object]]], what: str) -> tuple[list[Object], list[str]]:
    """Return the objects that could be read, and a note for each reason why others could not."""
    found: list[Object] = []
    errors: dict[str, None] = {}
    for answer in answers:
        try:
            found += answer.result()
        except ClusterError as error:
            errors[str(error)] = None
    return found, [f"{what} could not be read: {error}" for error in errors]


def _assembled(
    records: list[Object], jobs: list[Object], pods: list[Object], events: list[Object]
) -> tuple[list[Objects], list[str]]:
    """Return the runs, and a note for each ConfigMap that is not a run record."""
    run_jobs, run_pods = _by_run(jobs), _by_run(pods)
    per_namespace: dict[str, list[Object]] = defaultdict(list)
    for event in events:
        per_namespace[event["metadata"]["namespace"]].append(event)
    warnings = {namespace: newest_warnings(each) for namespace, each in per_namespace.items()}
    found, notes = [], []
    for record in records:
        metadata = record["metadata"]
        namespace, run = metadata["namespace"], metadata["name"]
        if is_record(record):
            own = run_jobs.get((namespace, run), []), run_pods.get((namespace, run), [])
            found.append(assemble(record, *own, warnings.get(namespace, {})))
        else:
            notes.append(f"ConfigMap {run} in {namespace} is not a run record, so its run is left out")
    return found, notes


def _by_run(items: Iterable[Object]) -> dict[Run, list[Object]]:
    found: dict[Run, list[Object]] = defaultdict(list)
    for item in items:
        metadata = item["metadata"]
        found[metadata["namespace"], metadata["labels"].get(INSTANCE_LABEL, "")].append(item)
    return found


def _with_workloads(
    pool: ThreadPoolExecutor, places: Sequence[Place], runs: list[Objects]
) -> tuple[list[Objects], list[str]]:
    """Return the runs with their Workloads. A cluster without queues is not asked for them."""
    namespaces = {each.namespace for each in runs if each.queue}
    asked = [place for place in places if namespaces and (place is None or place in namespaces)]
    found, notes = _optional([pool.submit(listed, "workloads", place) for place in asked], "Workloads")
    workloads = {(each["metadata"]["namespace"], each["metadata"]["name"]): each for each in found}
    return [
        replace(each, workload=workloads.get((each.namespace, each.run), {}), workload_error=" ".join(notes))
        if each.queue
        else each
        for each in runs
    ], notes


def _positions(pool: ThreadPoolExecutor, runs: list[Objects]) -> tuple[dict[Run, int], list[str]]:
    queues = sorted({(each.namespace, each.queue) for each in runs if in_line(each)})
    found, notes = _optional([pool.submit(_line, *queue) for queue in queues], "Positions in queues")
    return {
        (each["metadata"]["namespace"], each["metadata"]["name"]): each["positionInClusterQueue"] + 1 for each in found
    }, notes


def _line(namespace: str, queue: str) -> list[Object]:
    """Return what waits in a LocalQueue, from the visibility API of Kueue."""
    place = f"namespaces/{quote(namespace, safe='')}/localqueues/{quote(queue, safe='')}/pendingworkloads"
    found: list[dict[str, Any]] = []
    while True:
        page = Kubectl().answer("get", "--raw", f"/{_LINES}/{place}?limit={_LINE}&offset={len(found)}")
        items = page.get("items") or []
        found += items
        if len(items) < _LINE:
            return found
