"""An elastic MultiWorkerMirrored run: the workers that are there train, and others join and leave.

`trainer.peers.rendezvous` decides which workers train together. This module gives it the network and the run directory.
A group that changes saves a checkpoint if it can, restarts in place, and waits for its new members.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from trainer.peers import members
from trainer.peers.barrier import describe
from trainer.peers.beacon import Answer, Asker, Beacon
from trainer.peers.rendezvous import Action, Decision, LeaseContent, Rendezvous, Sighting, Terms, View
from trainer.roles.context import Context, Group
from trainer.roles.restart import InPlaceRestartState
from trainer.runtime.errors import GaveUp, GroupChange, LostPeer, TrainerExit
from trainer.runtime.logs import log
from trainer.storage import files
from trainer.storage.lease import Lease, holder_of, new_token

_ROUND_SECONDS: Final = 0.5
"""Seconds between the beginnings of two rounds."""
_LOOK_SECONDS: Final = 2.0
_GROW_AFTER: Final = 10.0
"""Seconds that a group trains before it takes in others, because each change costs a restart."""
_LEADER_SECONDS: Final = 30.0
"""Seconds without a renewal of the lease after which the leader, which evaluates and exports, counts as lost."""


def announce(context: Context) -> None:
    """Open the port of this worker, before the import of TensorFlow, so that others wait for it."""
    address = context.cluster.address
    if context.elastic and address:
        context.beacon = Beacon(address)


def join(context: Context) -> bool:
    """Wait until this worker is in a group, and make the group the cluster of `context`.

    Returns:
        False if the run is done instead.

    Raises:
        GaveUp: Too few workers came within the start timeout.

    """
    context.restarts = replace(context.restarts, token=context.restarts.token or new_token())
    context.set_waiting(True)
    started = time.monotonic()
    waiting = _Waiting(context)
    try:
        decision = waiting.wait()
    finally:
        waiting.close()
    if decision is None:
        return False
    context.note_startup("barrierSeconds", time.monotonic() - started)
    _enter(context, decision, waiting.changes)
    if not context.writes:
        threading.Thread(target=_watch_lease, args=(context,), name="lease-watch", daemon=True).start()
    return True


class _Waiting:
    """A worker that waits: its port, its lease if it leads, and its state machine."""

    def __init__(self, context: Context) -> None:
        own, env = context.cluster.index, context.env
        self._context = context
        self._addresses = dict(enumerate(context.cluster.tasks["worker"]))
        token = f"{context.restarts.token}.{new_token()}"
        self._terms = Terms(
            own=own,
            token=token,
            holder=context.restarts.token,
            most=len(self._addresses),
            least=env.min_workers,
            rescale_after=env.rescale_after,
            start_timeout=env.start_timeout,
            lease_timeout=env.lease_timeout,
        )
        self._lease = Lease(
            path=context.run_dir.at("lease.json"), token=context.restarts.token, stale_after=env.lease_timeout
        )
        self._machine = Rendezvous(
            self._terms, now=time.monotonic(), waited=context.restarts.waited, seen=_seen(context.restarts)
        )
        self._beacon = context.beacon or Beacon(self._addresses[own])
        self._beacon.wait_as(token)
        self._asker = Asker({number: address for number, address in self._addresses.items() if number != own})
        self._shown: object = None
        self._words = ""
        self.changes = 0
        """Processes in the decisions of this worker that were not in the decision before, and the other way around."""

    def wait(self) -> Decision | None:
        """Return the decision about the group of this worker; None if the run is done."""
        while True:
            began = time.monotonic()
            answers = self._asker.answers()
            view = self._view(answers)
            if view.lease is None or view.lease.token != self._terms.holder:
                self._context.status = None  # another worker may write it
            self._show(view)
            action = self._machine.step(view)
            if action is Action.END:
                return None
            if action is Action.JOIN:
                leads = view.decision is not None and view.decision.leader == self._terms.own
                self._context.lease = self._lease if leads else None
                return view.decision
            if action is Action.GIVE_UP:
                missing = {f"worker-{n}": answer.missing for n, answer in answers.items() if answer.missing}
                raise GaveUp(
                    f"gave up after {self._context.env.start_timeout} s: fewer than {self._terms.least} workers came: "
                    f"missing {describe(missing)}"
                )
            if action is Action.HOLD:
                self._hold()
            elif action is Action.DECIDE:
                self._decide(view)
                continue
            self._context.stop.wait(max(0.0, began + _ROUND_SECONDS - time.monotonic()))

    def _view(self, answers: Mapping[int, Answer]) -> View:
        run_dir = self._context.run_dir
        # The decision before the lease: a lease that is read first may be older than the decision.
        decision = members.read(run_dir.at(members.NAME))
        return View(
            now=time.monotonic(),
            waiting={number: answer.token for number, answer in answers.items() if answer.token},
            starting=[number for number, answer in answers.items() if answer.starts],
            training=[number for number, answer in answers.items() if answer.trains],
            lease=lease_content(run_dir.at("lease.json")),
            decision=decision,
            done=run_dir.done() is not None,
        )

    def _hold(self) -> None:
        context = self._context
        if context.lease is None:
            with context.run_dir.must_be_writable():
                context.run_dir.claim()
            context.lease = self._lease  # `finish` gives it back
        self._lease.renew()
        if context.status:
            context.status.update()  # so that readers see that this worker still waits
        else:
            context.open_status()
            context.note_workers(0)
            context.set_waiting(True, self._words)

    def _decide(self, view: View) -> None:
        decision = self._machine.decision(view)
        if view.decision:
            self.changes += len(_processes(decision) ^ _processes(view.decision))
        members.write(self._context.run_dir.at(members.NAME), decision)

    def _show(self, view: View) -> None:
        shown = (sorted(view.waiting), sorted(view.training))
        if shown != self._shown:
            self._shown = shown
            here = ", ".join(f"worker-{number}" for number in sorted([*view.waiting, self._terms.own]))
            trains = ", ".join(f"worker-{number}" for number in sorted(view.training))
            self._words = f"waiting for a group: {here}" + (f"; {trains} trains" if trains else "")
            log.info("%s", self._words)
            self._context.set_waiting(True, self._words)

    def close(self) -> None:
        """Close the port."""
        self._beacon.close()
        self._asker.close()


def lease_content(path: str) -> LeaseContent | None:
    """Return the content of the lease file at `path`; None if no process holds the lease."""
    text = files.read_text(path) or ""
    if not text.strip():
        return None
    return LeaseContent(token=holder_of(text), beat=hashlib.sha256(text.encode()).hexdigest())


def _seen(restarts: InPlaceRestartState) -> Sighting | None:
    return Sighting(beat=restarts.lease_beat, since=restarts.lease_since) if restarts.lease_since else None


def _watch_lease(context: Context) -> None:
    """Note when the leader renews the lease. A worker that loses its leader then need not watch the lease for long."""
    while True:
        try:
            _look_at_lease(context)
        except Exception as error:  # noqa: BLE001, RUF100 - gfile has its own classes
            log.debug("cannot read the lease: %s", error)
        time.sleep(_LOOK_SECONDS)


def _look_at_lease(context: Context) -> LeaseContent | None:
    lease = lease_content(context.run_dir.at("lease.json"))
    seen = _seen(context.restarts) or Sighting(beat=None, since=0.0)
    seen = seen.after(lease, time.monotonic())
    context.restarts = replace(context.restarts, lease_beat=str(seen.beat), lease_since=seen.since)
    return lease


def _processes(decision: Decision) -> set[str]:
    """Return the processes of a group; a process that restarts in place stays the same one."""
    return {f"{number}:{token.partition('.')[0]}" for number, token in decision.workers.items()}


def _enter(context: Context, decision: Decision, changes: int) -> None:
    """Make the group of `decision` the cluster of this process, with the leader as worker 0."""
    whole, group = context.cluster, decision.group
    addresses = whole.tasks["worker"]
    tf_config = os.environ.get("TF_CONFIG", "")
    context.group = Group(whole=whole, decision=decision, tf_config=tf_config, changes=changes)
    context.cluster = replace(
        whole, tasks={"worker": tuple(addresses[number] for number in group)}, index=group.index(whole.index)
    )
    os.environ["TF_CONFIG"] = json.dumps(
        {
            "cluster": {role: list(tasks) for role, tasks in context.cluster.tasks.items()},
            "task": {"type": "worker", "index": context.cluster.index},
        }
    )
    processes = " ".join(sorted(_processes(decision)))
    if processes != context.restarts.group:  # the restarts of another group do not count for this one
        context.restarts = replace(context.restarts, count=0, group=processes)
    names = ", ".join(f"worker-{number}" for number in sorted(group))
    log.info("starting with %d of %d workers: %s", len(group), len(addresses), names)


class Growth:
    """Finds the workers that wait while a group trains; only the leader looks for them."""

    def __init__(self, context: Context, group: Group) -> None:
        self._group = group
        self._path = context.run_dir.at(members.NAME)
        self._waiting: frozenset[int] = frozenset()
        outside = {n: a for n, a in enumerate(group.whole.tasks["worker"]) if n not in group.decision.workers}
        self._outside = outside
        self._leads = context.writes
        if self._leads and outside:
            threading.Thread(target=self._look, name="growth", daemon=True).start()

    def _look(self) -> None:
        before: frozenset[int] = frozenset()
        asker = Asker(self._outside)
        time.sleep(_GROW_AFTER)
        while True:
            found = frozenset(n for n, answer in asker.answers().items() if answer.token)
            self._waiting, before = found & before, found  # one that waits twice has not just restarted
            time.sleep(_LOOK_SECONDS)

    def requested(self) -> bool:
        """Return whether others wait to join."""
        return bool(self._waiting)

    def change(self, step: int) -> TrainerExit:
        """Announce the change if this worker leads; return the error that restarts this worker after `step`."""
        if self._leads:
            decision = self._group.decision
            members.write(self._path, replace(decision, expected=frozenset(decision.workers) | self._waiting))
        return GroupChange(f"other workers join: saved checkpoint {step}")


def wait_for_done(context: Context) -> None:
    """Wait until the leader has evaluated and exported, because the first worker that exits with 0 ends the Job.

    Raises:
        LostPeer: The leader is lost.

    """
    while context.run_dir.done() is None:
        lease = _look_at_lease(context)
        limit = _LOOK_SECONDS if lease is None else max(_LEADER_SECONDS, context.env.lease_timeout)
        if time.monotonic() - context.restarts.lease_since > limit and context.run_dir.done() is None:
            raise LostPeer("the leader is lost before the run is done")
        context.stop.wait(_ROUND_SECONDS)
