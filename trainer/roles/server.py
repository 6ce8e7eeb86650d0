"""A ps or worker of a ParameterServer run: a TensorFlow server that runs until the run ends or the chief is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from trainer.peers.probe import hosts, is_cut_off, is_silent, probe
from trainer.runtime import errors, exit_codes, malloc
from trainer.runtime.errors import CutOff, GaveUp, Stopped, TrainerExit
from trainer.runtime.logs import log
from trainer.runtime.signals import StopSignal
from trainer.storage.run_dir import RunDir

PROBE_EVERY = 5.0
_PROBE_EVERY_CUT_OFF = 1.0
_POLL_EVERY = 0.25
_REST_OF_GRACE = 5.0
# The chief must receive its answer before this process exits.
_ANSWER_SECONDS = 0.2


@dataclass(slots=True, kw_only=True)
class ChiefMonitor:
    """Decides when a server exits. Timeouts are in seconds; `clock` is monotonic."""

    start_timeout: float
    orphan_timeout: float
    grace_period: float
    probe: Callable[[], str | None]
    """Returns the reason why the chief is unreachable; None if it is reachable."""
    ended: Callable[[], TrainerExit | bool]
    """Reads the run directory: returns True if the run is done, and an error if it failed."""
    clock: Callable[[], float] = time.monotonic
    hosts: Callable[[], frozenset[str]] | None = None
    """Returns the IP addresses of the chief. None: this server stays when its network was away."""
    _hosts: frozenset[str] = field(default=frozenset(), init=False)
    _cut_off: bool = field(default=False, init=False)
    _seen: float | None = field(default=None, init=False)
    _since: float | None = field(default=None, init=False)
    _probe_at: float = field(default=0.0, init=False)
    _reason: str | None = field(default=None, init=False)
    _probe_requested: bool = field(default=False, init=False)
    _probed_since_request: bool = field(default=False, init=False)

    def poll(self) -> bool:
        """Probe the chief if a probe is due; return whether the run is done.

        Raises:
            GaveUp: The chief was unreachable for longer than the timeout.
            CutOff: The network was away, and is back.
            TrainerExit: The run failed.

        """
        now = self.clock()
        if self._since is None:  # set here, because the import of TensorFlow may take a minute
            self._since = now
        if now < self._probe_at:
            return False
        before, self._reason = self._reason, self.probe()
        self._probe_at = now + (_PROBE_EVERY_CUT_OFF if is_cut_off(self._reason) else PROBE_EVERY)
        self._probed_since_request = self._probe_requested
        self._look_at_network()
        if self._reason is None:
            if self._seen is None or before is not None:
                log.info("the chief is reachable")
            self._seen = now
            return False
        if before is None and self._seen is not None:
            log.info(
                "the chief is unreachable (%s): waiting %.0f s for it to restart", self._reason, self.orphan_timeout
            )
        ended = self.ended()
        if isinstance(ended, TrainerExit):
            raise ended
        self._check_patience(now)
        return ended

    def _look_at_network(self) -> None:
        """Raise `CutOff` if the same chief answers again after the network was away.

        The kernel repeats what it could not send in longer and longer intervals. So an open connection may stay silent
        for as long again. Meanwhile the chief would wait for a step of this worker.
        """
        if self.hosts is None or self._probe_requested:  # A server that received SIGTERM leaves anyway.
            return
        if self._reason is None:
            before, self._hosts = self._hosts, self.hosts()
            if self._cut_off and before & self._hosts:  # The pod of another chief has another address.
                raise CutOff("the network was away, and the chief is reachable again")
            self._cut_off = False
        elif not is_silent(self._reason):  # the process of the chief, or its pod, is another one
            self._cut_off = False
        elif is_cut_off(self._reason):
            self._cut_off = self._seen is not None

    def _check_patience(self, now: float) -> None:
        if self._seen is None:
            patience, what = max(self.start_timeout, self.orphan_timeout), "did not start within"
        else:
            patience, what = self.orphan_timeout, "was unreachable for"
        since = self._since or now if self._seen is None else self._seen
        if now - since >= patience:
            raise GaveUp(f"the chief {what} {now - since:.0f} s ({self._reason})")

    def may_leave(self, stopped_for: float) -> bool:
        """Return whether a server that received SIGTERM `stopped_for` seconds ago may exit now.

        The server must not exit immediately: the chief may have received SIGTERM too and needs the ps to save a
        checkpoint.
        """
        chief_unreachable = self._probed_since_request and self._reason is not None
        return chief_unreachable or stopped_for >= max(1.0, self.grace_period - _REST_OF_GRACE)

    def probe_soon(self) -> None:
        """Schedule the next probe within one second, because the last result may be outdated."""
        self._probe_requested = True
        self._probe_at = min(self._probe_at, self.clock() + 1.0)


def outcome(code: int, stop_requested: bool) -> str | None:
    """Return the exit message of a server that received `code` from the chief; None if the server must keep running.

    Raises:
        TrainerExit: The server must exit with a code other than 0.

    """
    if code == exit_codes.DONE:
        return "the run is done"
    if code == exit_codes.STOPPED:
        # Only the chief received SIGTERM; its replacement needs this server.
        if not stop_requested:
            return None
        raise Stopped("received SIGTERM, and the chief has saved a checkpoint")
    raise errors.from_code(code, f"the chief exited with {code}: see the log of the chief")


def run_ended(run_dir: RunDir, started: str) -> Callable[[], TrainerExit | bool]:
    """Return a function that reads from the run directory whether the run ended after the time `started`."""

    def ended() -> TrainerExit | bool:
        try:
            done, status = run_dir.done(), run_dir.read_status() or {}
        except Exception as error:
            if not errors.is_storage_failure(error):
                raise
            log.info("cannot read the state of the run: %s", errors.summary(error))
            return False
        if done is not None:
            return True
        # An older failure belongs to an earlier attempt.
        if status.get("state") == "failed" and str(status.get("updated")) > started:
            code = int(status.get("exitCode") or exit_codes.FAILED)
            return errors.from_code(code, f"the run failed: {status.get('message')}")
        return False

    return ended


def serve(
    tasks: dict[str, list[str]],
    role: str,
    index: int,
    *,
    limit: AbstractContextManager[None],
    watch: ChiefMonitor,
    stop: StopSignal,
) -> str:
    """Run a TensorFlow server until the run ends; return the exit message.

    Args:
        tasks: The addresses of all tasks by role, as in TF_CONFIG.
        role: The role of this server, `ps` or `worker`.
        index: The index of this server in its role.
        limit: Ends the process if the server does not start in time.
        watch: Decides when the server exits.
        stop: The flag that SIGTERM sets.

    Raises:
        TrainerExit: The run did not end with exit code 0.

    """
    import tensorflow as tf

    from trainer.peers.control_queue import LEAVING, ControlQueue

    with limit:
        server = tf.distribute.Server(tf.train.ClusterSpec(tasks), job_name=role, task_index=index, protocol="grpc")
        messages = ControlQueue(server.target, role, index)
    leaving: ControlQueue | None = None
    log.info("serving on %s", tasks[role][index])
    while True:
        code = messages.take()
        if code is not None:
            time.sleep(_ANSWER_SECONDS)
            if (words := outcome(code, stop.is_set())) is not None:
                return words
        if watch.poll():
            return "the run is done (found DONE)"
        if stop.is_set():
            if leaving is None:
                leaving = ControlQueue(server.target, role, index, LEAVING)
                leaving.put(exit_codes.STOPPED)
            watch.probe_soon()
            if watch.may_leave(stop.seconds_since()):
                raise Stopped("received SIGTERM")
        malloc.keep_large_blocks()  # TensorFlow changes the allocator at a worker's first batch.
        time.sleep(_POLL_EVERY)


def chief_hosts(address: str | None) -> Callable[[], frozenset[str]] | None:
    """Return a function that returns the IP addresses of the chief."""
    return (lambda: hosts(address)) if address else None


def chief_probe(address: str | None) -> Callable[[], str | None]:
    """Return a function that returns the reason why the chief is unreachable, or None if it is reachable."""
    return lambda: probe(address) if address else "TF_CONFIG has no chief"
