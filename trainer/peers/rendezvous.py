"""Which workers of an elastic MultiWorkerMirrored run train together, as a state machine without input and output.

Every worker that waits runs this machine. It answers the others on its own port with a token, which is unique for each
start of a process. One of them, the leader, takes the lease of the run directory. When enough workers wait, the leader
writes a decision with the numbers and the tokens of the group. A worker joins the group when the decision contains its
own token. So no worker takes an old decision for a new one.

The leader keeps the lease while the group trains. So at most one group trains at a time, also in a split network.

The rules that keep this right are functions of this module. So a test can replace each of them and find what breaks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

BEAT_SECONDS: Final = 2.0
"""Seconds between two renewals of the lease."""
VISIBLE_SECONDS: Final = 2.0
"""Seconds after which every worker sees what another one wrote to the run directory."""
NEWCOMER_SECONDS: Final = 60.0
"""Seconds that a restart of a group may take: the import of TensorFlow on a busy machine."""
_ARRIVAL_SECONDS: Final = 3.0
"""Seconds without a new worker before a group that is not complete starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseContent:
    """The content of the lease file."""

    token: str
    """The process that holds the lease; it keeps the token when it restarts in place."""
    beat: object = 0
    """A value that changes with each renewal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """The last renewal of the lease that a process has seen. It stays known through an in-place restart."""

    beat: object
    """`LeaseContent.beat`; empty if no process held the lease."""
    since: float
    """The time at which the process saw this value first, of the clock of `View.now`."""

    def after(self, lease: LeaseContent | None, now: float) -> Sighting:
        """Return the sighting after the process has read `lease` at the time `now`."""
        beat = lease.beat if lease else ""
        return self if beat == self.beat else Sighting(beat=beat, since=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The newest decision of a leader."""

    leader: int
    """The number of the worker that decided; it is the first of the group and writes the run directory."""
    workers: Mapping[int, str]
    """Number -> token of each worker of the group."""
    lease: str
    """The token with which the leader held the lease when it decided."""
    expected: frozenset[int] = frozenset()
    """The workers of the next group, if the leader has announced a change."""

    @property
    def group(self) -> tuple[int, ...]:
        """The numbers of the group in the order of their ranks: the leader, then the others in ascending order."""
        return (self.leader, *sorted(self.workers.keys() - {self.leader}))


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What one worker observes in one round."""

    now: float
    """A monotonic time in seconds."""
    waiting: Mapping[int, str] = field(default_factory=dict)
    """Number -> token of the other workers that wait."""
    starting: Collection[int] = ()
    """The numbers of the other workers whose process has started and will wait."""
    training: Collection[int] = ()
    """The numbers of the other workers that have joined a group already."""
    lease: LeaseContent | None = None
    """None if no process holds the lease."""
    decision: Decision | None = None
    """None if no leader has decided yet."""
    done: bool = False
    """Whether the run is done."""


class Action(Enum):
    """What a worker does in a round."""

    WAIT = "wait for the next round"
    HOLD = "write the lease: take it, or renew it"
    DECIDE = "write the decision"
    JOIN = "train with the group of the decision"
    END = "end, because the run is done"
    GIVE_UP = "end, because too few workers came"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The settings of a rendezvous; times are in seconds."""

    own: int
    """The number of this worker."""
    token: str
    """The token of this start of the process."""
    holder: str
    """The token with which this process holds the lease."""
    most: int
    """The number of workers of the run."""
    least: int
    """The number of workers without which no group trains."""
    rescale_after: float
    """How long a group that is not complete waits for the others."""
    start_timeout: float
    """How long a worker waits for a group."""
    lease_timeout: float
    """How long a lease that is not renewed stays valid."""


def is_done(view: View) -> bool:
    """Return whether there is nothing to wait for: the run may end while this worker waits."""
    return view.done


def is_joined(terms: Terms, view: View) -> bool:
    """Return whether this worker is in the group that the holder of the lease has decided.

    A decision of a process that has lost the lease in the meantime does not count.
    """
    decision, lease = view.decision, view.lease
    return (
        decision is not None
        and decision.workers.get(terms.own) == terms.token
        and lease is not None
        and lease.token == decision.lease
    )


def patience(terms: Terms, last: Collection[int], waiting: Collection[int]) -> float:
    """Return the seconds that this worker waits before it leads.

    To a newcomer, the restart of a group looks like its end. It gives the group time to return. The time counts from
    the last sign of the group.
    """
    returned = not last or any(number in last for number in waiting)
    return 0.0 if returned else terms.rescale_after + NEWCOMER_SECONDS


def settle_seconds() -> float:
    """Return the seconds between the first write of the lease and a decision.

    Two workers may find the lease free at the same time, and each sees the other's write only after a while. After
    this time both see the same one.
    """
    return 2 * VISIBLE_SECONDS


def must_renew(since: float) -> bool:
    """Return whether to renew the lease `since` seconds after the last write, also while the holder only waits."""
    return since >= BEAT_SECONDS


def is_leader(terms: Terms, lease: LeaseContent | None, first: int) -> bool:
    """Return whether this worker leads: the holder of the lease does, also if worker `first` is lower and waits.

    If another one led, the lease would change hands, or its holder would keep it and decide nothing.
    """
    del first
    return lease is not None and lease.token == terms.holder


def is_stale(terms: Terms, unchanged: float) -> bool:
    """Return whether a lease without a renewal for `unchanged` seconds is free: its holder is dead or blocked."""
    return unchanged >= terms.lease_timeout


class Rendezvous:
    """The state of one worker that waits for its group."""

    def __init__(self, terms: Terms, *, now: float, waited: float = 0.0, seen: Sighting | None = None) -> None:
        """Begin to wait at the time `now`.

        Args:
            terms: The settings.
            now: The time of the clock that `View.now` shows.
            waited: Seconds that this task waited before an in-place restart. They count toward the start timeout.
            seen: What this task saw of the lease before an in-place restart.

        """
        self._terms = terms
        self._began = now
        self._gives_up_at = now + terms.start_timeout - waited
        self._seen = seen or Sighting(beat="", since=now)
        self._written: float | None = None
        self._held_since: float | None = None
        self._arrived: dict[int, float] = {}
        self._sign = now

    def step(self, view: View) -> Action:
        """Return what this worker does after it has observed `view`."""
        if is_done(view):
            return Action.END
        if is_joined(self._terms, view):
            return Action.JOIN
        self._seen = self._seen.after(view.lease, view.now)
        waiting = self._waiting(view)
        if view.training or (view.decision and any(number in view.decision.workers for number in view.starting)):
            self._sign = view.now
        for number in waiting:
            self._arrived.setdefault(number, view.now)
        if is_leader(self._terms, view.lease, min(waiting)):
            return self._lead(view, waiting)
        self._held_since = None
        if self._may_take(view, waiting):
            return self._hold(view)
        return self._wait(view)

    def _waiting(self, view: View) -> dict[int, str]:
        return {**view.waiting, self._terms.own: self._terms.token}

    def _may_take(self, view: View, waiting: Mapping[int, str]) -> bool:
        """Return whether this worker takes the lease: it is free, and this worker is the first of those that wait."""
        if view.lease is not None and not is_stale(self._terms, view.now - self._seen.since):
            return False
        last = view.decision.workers.keys() if view.decision else ()
        first = min({number for number in waiting if number in last} or set(waiting))
        delay = patience(self._terms, last, waiting)
        return first == self._terms.own and not view.training and view.now - self._sign >= delay

    def _hold(self, view: View) -> Action:
        self._written = view.now
        return Action.HOLD

    def _lead(self, view: View, waiting: Mapping[int, str]) -> Action:
        if self._held_since is None:
            self._held_since = view.now
        if self._written is None:
            return self._hold(view)
        # A renewal in this time would hide the write of another worker, which would do the same.
        if view.now - self._held_since < settle_seconds():
            return self._wait(view)
        since = view.now - self._written
        # A worker that hangs makes each round as long as a renewal lasts, so the decision comes before the renewal.
        if since < self._terms.lease_timeout / 2 and self._is_time(view, waiting):
            return Action.DECIDE
        return self._hold(view) if must_renew(since) else self._wait(view)

    def _is_time(self, view: View, waiting: Mapping[int, str]) -> bool:
        terms, decision = self._terms, view.decision
        if len(waiting) < terms.least:
            return False
        expected = (decision.expected or decision.workers.keys()) if decision else range(terms.most)
        if not view.training and all(number in waiting for number in expected):
            return True
        comes = view.training or any(number in expected for number in view.starting)
        delay = terms.rescale_after + (NEWCOMER_SECONDS if comes else 0)
        quiet = view.now - max(self._arrived[number] for number in waiting) >= _ARRIVAL_SECONDS
        return quiet and view.now - self._began >= delay

    def _wait(self, view: View) -> Action:
        """Return WAIT, or GIVE_UP after the start timeout if no other process leads a group."""
        lease, unchanged = view.lease, view.now - self._seen.since
        others = lease is not None and lease.token != self._terms.holder and not is_stale(self._terms, unchanged)
        late = view.now >= self._gives_up_at
        return Action.GIVE_UP if late and not others and not view.training else Action.WAIT

    def decision(self, view: View) -> Decision:
        """Return the decision for the action DECIDE after `view`."""
        terms = self._terms
        return Decision(leader=terms.own, workers=self._waiting(view), lease=terms.holder)
