"""A simulated run of workers that meet by `trainer.peers.rendezvous`: clock, processes, network and storage.

One tick is a second. A process takes seconds to start, and gets a new token at each start. The storage shows the writes
of others late. The network may be split, a process may be killed, or stopped between an observation and its action.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import Any

from trainer.peers import rendezvous
from trainer.peers.rendezvous import Action, Decision, LeaseContent, Rendezvous, Sighting, Terms, View

RESCALE, LEASE, CONNECT, HEARTBEAT, GROW = 40.0, 10.0, 60.0, 10.0, 10.0
STORED: tuple[str, ...] = ("lease", "decision", "done")


class Storage:
    """Files that a worker sees at once if it wrote them, and up to `late` seconds later otherwise."""

    def __init__(self) -> None:
        self._writes: dict[str, list[tuple[float, int, Any]]] = {name: [(-1e9, -1, None)] for name in STORED}

    def write(self, name: str, worker: int, content: Any, now: float) -> None:
        self._writes[name].append((now, worker, content))

    def read(self, name: str, worker: int, now: float, late: float) -> Any:
        seen = [content for at, by, content in self._writes[name] if by == worker or at <= now - late]
        return seen[-1]


@dataclass
class Worker:
    """One worker: a process, and the pod that starts it again."""

    number: int
    state: str = "dead"
    """dead, starting, waiting, connecting, training or ended."""
    at: float = 0.0
    """The time at which the state began or, while starting, ends."""
    process: str = ""
    token: str = ""
    machine: Rendezvous | None = None
    decision: Decision | None = None
    seen: float = 0.0
    """The last time at which all of the group answered."""
    sighting: Sighting | None = None
    """What the process saw of the lease while it trained; it keeps it when it restarts in place."""
    late: float = 0.0
    stopped_until: float = 0.0
    slow_action: float = 0.0
    pending: list[tuple[float, Action, View]] = field(default_factory=list)
    written: float = 0.0
    visible: bool = False
    """Whether a process that starts answers, which it does only now and then."""
    side: int = 0
    stored: bool = True
    first_wait: float | None = None


@dataclass
class World:
    """The run: `most` workers, of which `least` are enough."""

    most: int = 3
    least: int = 1
    now: float = 0.0
    work: float = 0.0
    enough: float = 500.0
    overlap: float = 0.0
    restart_seconds: float = 5.0
    faults: int = 0
    """The number of faults so far, which the test counts."""
    stalled: float = -1e9
    """The time at which the last process ran again after a stop, or acted late, or reached the storage again."""
    holder: tuple[str, float] = ("", 0.0)
    """The process that wrote the lease, and since when."""
    announced: tuple[frozenset[int], int] | None = None
    """The workers of the last announced change, and the faults until then."""
    names: Any = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.storage = Storage()
        self.workers = [Worker(number) for number in range(self.most)]

    # What a test does to the run.

    def start(self, number: int, seconds: float) -> None:
        worker = self.workers[number]
        if worker.state == "dead":
            self.faults += 1  # it may be in the last group by its number
            worker.process = f"p{next(self.names)}"
            worker.first_wait = None
            worker.sighting = None
            self._exec(worker, seconds)

    def kill(self, number: int) -> None:
        worker = self.workers[number]
        if worker.state != "ended":
            worker.state, worker.at, worker.pending = "dead", self.now, []
            worker.stopped_until = 0.0
            self.faults += 1

    def stop(self, number: int, seconds: float) -> None:
        self.workers[number].stopped_until = self.now + seconds
        self.stall(seconds)

    def stall(self, seconds: float) -> None:
        self.stalled = max(self.stalled, self.now + seconds)
        self.faults += 1

    def split(self, number: int, side: int) -> None:
        self.workers[number].side = side
        self.faults += 1

    def store(self, number: int, stored: bool) -> None:
        if self.workers[number].stored != stored:
            self.workers[number].stored = stored
            self.stall(0)

    def heal(self) -> None:
        self.stall(0)
        for worker in self.workers:
            worker.side, worker.stored, worker.stopped_until, worker.slow_action = 0, True, 0.0, 0.0

    def advance(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1.0
            for worker in self.workers:
                if self.now >= worker.stopped_until:
                    self._tick(worker)
            self._measure()

    # The rules of the world.

    def reaches(self, one: Worker, other: Worker) -> bool:
        return one.side == other.side and self.now >= other.stopped_until

    def _exec(self, worker: Worker, seconds: float | None = None) -> None:
        worker.state, worker.pending = "starting", []
        worker.at = self.now + (self.restart_seconds if seconds is None else seconds)

    def _read(self, worker: Worker, name: str) -> Any:
        return self.storage.read(name, worker.number, self.now, worker.late)

    def _write(self, worker: Worker, name: str, content: Any) -> None:
        if worker.stored:
            self.storage.write(name, worker.number, content, self.now)

    def _tick(self, worker: Worker) -> None:
        if worker.state == "starting":
            worker.visible = self.now % 4 == 0
            if self.now >= worker.at:
                self._begin(worker)
        elif worker.state == "waiting":
            self._wait(worker)
        elif worker.state == "connecting":
            self._connect(worker)
        elif worker.state == "training":
            self._train(worker)

    def _begin(self, worker: Worker) -> None:
        worker.state, worker.at, worker.token = "waiting", self.now, f"t{next(self.names)}"
        worker.first_wait = self.now if worker.first_wait is None else worker.first_wait
        terms = Terms(
            own=worker.number, token=worker.token, holder=worker.process, most=self.most, least=self.least,
            rescale_after=RESCALE, start_timeout=1e6, lease_timeout=LEASE,
        )  # fmt: skip
        worker.machine = Rendezvous(terms, now=self.now, waited=self.now - worker.first_wait, seen=worker.sighting)

    def _view(self, worker: Worker) -> View:
        others = [each for each in self.workers if each is not worker and self.reaches(worker, each)]
        return View(
            now=self.now,
            waiting={each.number: each.token for each in others if each.state == "waiting"},
            starting=[each.number for each in others if each.state == "starting" and each.visible],
            training=[each.number for each in others if each.state in ("connecting", "training")],
            lease=self._read(worker, "lease"),
            decision=self._read(worker, "decision"),
            done=bool(self._read(worker, "done")),
        )

    def _wait(self, worker: Worker) -> None:
        assert worker.machine is not None
        if worker.stored and not worker.pending:
            view = self._view(worker)
            worker.pending.append((self.now + worker.slow_action, worker.machine.step(view), view))
            worker.slow_action = 0.0
        while worker.pending and self.now >= worker.pending[0][0] and worker.state == "waiting":
            _, action, view = worker.pending.pop(0)
            self._act(worker, action, view)

    def _act(self, worker: Worker, action: Action, view: View) -> None:
        assert worker.machine is not None
        assert action is not Action.GIVE_UP, "a worker gave up"
        if action is Action.HOLD:
            self._renew(worker)
        elif action is Action.DECIDE:
            self._require_holder(worker)
            decision = worker.machine.decision(view)
            self._write(worker, "decision", decision)
            self._require_expected(decision)
        elif action is Action.JOIN:
            worker.state, worker.at, worker.decision = "connecting", self.now, view.decision
        elif action is Action.END:
            worker.state = "ended"

    def _renew(self, worker: Worker) -> None:
        if worker.stored:
            self._require_free(worker)
        worker.written = self.now if worker.stored else worker.written
        self._write(worker, "lease", LeaseContent(token=worker.process, beat=self.now))

    def _group(self, worker: Worker) -> list[Worker]:
        assert worker.decision is not None
        return [self.workers[number] for number in worker.decision.group]

    def _complete(self, worker: Worker) -> bool:
        """Whether all of the group of `worker` have joined it and reach each other."""
        return all(
            each.state in ("connecting", "training")
            and each.decision == worker.decision
            and each.side == worker.side
            and self.now >= each.stopped_until
            for each in self._group(worker)
        )

    def _keeps_lease(self, worker: Worker) -> bool:
        """Renew the lease of a group; return whether it still holds it, as far as it can see."""
        if self.now - worker.written < rendezvous.BEAT_SECONDS:
            return True
        lease = self._read(worker, "lease")
        if worker.stored and (lease is None or lease.token != worker.process):
            return False
        self._renew(worker)
        return self.now - worker.written < LEASE

    def _leads(self, worker: Worker) -> bool:
        return worker.decision is not None and worker.decision.leader == worker.number

    def _connect(self, worker: Worker) -> None:
        """Wait until the group is complete. TensorFlow blocks the renewal of the lease meanwhile."""
        if self._complete(worker):
            if self._leads(worker):
                worker.written = -1e9
            if self._leads(worker) and not self._keeps_lease(worker):
                self._exec(worker)
            else:
                worker.state, worker.at, worker.seen = "training", self.now, self.now
        elif self.now - worker.at >= CONNECT:
            self._exec(worker)

    def _train(self, worker: Worker) -> None:
        if worker.stored and not self._leads(worker):
            sighting = worker.sighting or Sighting(beat="", since=self.now)
            worker.sighting = sighting.after(self._read(worker, "lease"), self.now)
        if self._leads(worker) and not self._keeps_lease(worker):
            self._exec(worker)
            return
        if not self._complete(worker):
            lost = any(each.state not in ("connecting", "training") for each in self._group(worker))
            if lost or self.now - worker.seen >= HEARTBEAT:
                self._exec(worker)
            return
        worker.seen = self.now
        if self._leads(worker) and all(each.state == "training" for each in self._group(worker)):
            self.work += 1
            self._lead_group(worker)

    def _lead_group(self, worker: Worker) -> None:
        if self.work >= self.enough:
            self._write(worker, "done", True)
            for each in self._group(worker):
                each.state = "ended"
            return
        group = set(worker.decision.group) if worker.decision else set()
        back = {each.number for each in self.workers if each.state == "waiting" and self.reaches(worker, each)} - group
        if back and worker.stored and worker.decision and self.work % GROW == 0:
            self._write(worker, "decision", replace(worker.decision, expected=frozenset(group | back)))
            whole = len({each.side for each in self.workers}) == 1 and all(each.stored for each in self.workers)
            self.announced = (frozenset(group | back), self.faults) if whole and self.quiet() else None
            for each in self._group(worker):
                self._exec(each)

    # What the test checks.

    def quiet(self) -> bool:
        """Whether no process was stopped, late or without storage recently: then nothing excuses a leader."""
        return self.now > self.stalled + 30 and all(worker.stored for worker in self.workers)

    def _require_free(self, worker: Worker) -> None:
        """Nobody takes the lease from a process that renews it or should."""
        name, since = self.holder
        if name == worker.process:
            return
        for each in self.workers:
            if each.process == name and each.state in ("waiting", "training") and self.quiet():
                new = self.now - since <= 2 * rendezvous.VISIBLE_SECONDS or self.now - each.at <= LEASE
                assert new, f"worker {worker.number} takes the lease of worker {each.number}: {self}"
        self.holder = (worker.process, self.now)

    def _require_holder(self, worker: Worker) -> None:
        """Who decides holds the lease, also if it has not seen the write of another one yet."""
        if self.quiet():
            assert self.holder[0] == worker.process, f"worker {worker.number} decides without the lease: {self}"

    def _require_expected(self, decision: Decision) -> None:
        """An announced change without a fault loses no worker, so nobody takes the restart of others for their end."""
        if self.announced and self.announced[1] == self.faults:
            expected = self.announced[0]
            assert expected <= decision.workers.keys(), f"{decision} without some of {sorted(expected)}"
        self.announced = None

    def leaders_at_work(self) -> list[Worker]:
        """The leaders of complete groups whose process is not stopped."""
        return [
            worker
            for worker in self.workers
            if worker.state == "training"
            and self._leads(worker)
            and self.now >= worker.stopped_until
            and self._complete(worker)
        ]

    def _measure(self) -> None:
        """Add up the seconds in which two groups train. A leader that was stopped notices within one renewal."""
        several = len(self.leaders_at_work()) > 1
        self.overlap = self.overlap + 1 if several else 0.0
        limit = 0 if self.quiet() else rendezvous.BEAT_SECONDS + rendezvous.VISIBLE_SECONDS + 1
        assert self.overlap <= limit, f"two groups train for {self.overlap:.0f} s: {self}"

    def settled(self) -> bool:
        """Whether the run is done, or one group trains that has all living workers."""
        living = [worker for worker in self.workers if worker.state not in ("dead", "ended")]
        if any(worker.state == "ended" for worker in self.workers):
            return not living
        return len(living) < self.least or all(
            worker.state == "training" and worker.decision == living[0].decision for worker in living
        )
