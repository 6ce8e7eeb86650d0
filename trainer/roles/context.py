"""The context of a task: its configuration, its run directory, its lease and its status."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from trainer.peers.beacon import Beacon
from trainer.peers.rendezvous import Decision
from trainer.roles.restart import InPlaceRestartState
from trainer.runtime.config import RunRecord, RuntimeEnv
from trainer.runtime.errors import LostLease
from trainer.runtime.serialize import now
from trainer.runtime.signals import StopSignal
from trainer.runtime.tf_config import Cluster
from trainer.storage import files
from trainer.storage.lease import Lease, new_token
from trainer.storage.run_dir import RunDir
from trainer.storage.status import Status

SERVER_ROLES = ("ps", "worker")
_GRACE_RESERVE = 2.0
_SAFE_SHARE = 0.6
"""The share of the lease timeout after which a leader that cannot renew its lease stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The workers of an elastic run that train together."""

    whole: Cluster
    """The cluster with all workers of the run, and the number of this worker in it."""
    decision: Decision
    tf_config: str
    """TF_CONFIG of the whole cluster, for the next restart."""
    changes: int = 0
    """Workers that have joined and workers that were lost since the last group; only the leader counts them."""


@dataclass(slots=True, kw_only=True)
class Context:
    """The configuration and the state of one task of a run."""

    cluster: Cluster
    env: RuntimeEnv
    record: RunRecord
    run_dir: RunDir
    stop: StopSignal
    restarts: InPlaceRestartState
    started: str
    """The time at which this process started, in the format of status.json."""
    script: tuple[str, ...] = ()
    """A custom script and its arguments; empty if the run record names a `Task` class."""
    status: Status | None = None
    """None until `claim`, and in tasks that do not write the run directory."""
    lease: Lease | None = None
    """The lease of the run directory, which keeps a second chief out; None where `status` is None."""
    beacon: Beacon | None = None
    """The port of a worker of an elastic run until it is in a group."""
    group: Group | None = None
    """The group of an elastic run, which `cluster` then describes; None before, and in other runs."""
    waiting: bool = False
    """Whether this task waits for its peers; an in-place restart is not counted during that time."""
    directory: str = "."
    """The working directory in which this process started."""
    connected: float = 0.0
    """The value of `time.monotonic` at which the strategy was ready, and the trial was done."""
    absent: set[int] = field(default_factory=set)
    """The indexes of the workers of an elastic run that were missing at its start."""
    replicas: int | None = None
    """The number of replicas in sync; None until the strategy is ready."""
    startup: dict[str, float | None] = field(
        default_factory=lambda: dict.fromkeys(("importSeconds", "barrierSeconds", "trialSeconds", "traceSeconds"))
    )
    """Seconds that each part of the startup took, as in status.json; None until measured."""

    @property
    def parameter_server(self) -> bool:
        """Whether the run's strategy is ParameterServer."""
        return self.record.strategy == "ParameterServer"

    @property
    def workers(self) -> int:
        """The number of workers of the run, with those that are absent."""
        return len((self.group.whole if self.group else self.cluster).tasks.get("worker", ()))

    @property
    def min_workers(self) -> int:
        """The number of workers without which the run does not start: all of them, unless it is elastic."""
        is_elastic = self.env.min_workers and not self.script
        return min(self.workers, self.env.min_workers) if is_elastic else self.workers

    @property
    def is_server(self) -> bool:
        """Whether this task only runs a TensorFlow server."""
        return self.parameter_server and self.cluster.role in SERVER_ROLES

    @property
    def is_evaluator(self) -> bool:
        """Whether this task evaluates checkpoints."""
        return self.cluster.role == "evaluator"

    @property
    def writes(self) -> bool:
        """Whether this task writes the run directory."""
        return self.cluster.is_chief

    @property
    def elastic(self) -> bool:
        """Whether the workers train with those that are there (`trainer.roles.elastic`)."""
        return self.env.min_workers > 0 and self.record.strategy == "MultiWorkerMirrored" and not self.script

    @property
    def name(self) -> str:
        """The name of this task in the whole cluster, such as `worker-1`."""
        return (self.group.whole if self.group else self.cluster).name

    @property
    def hold_seconds(self) -> float:
        """Seconds that the loop may take to save a checkpoint after SIGTERM."""
        return max(1.0, self.env.grace_period - _GRACE_RESERVE)

    def claim(self, on_lost: Callable[[LostLease], None]) -> None:
        """Claim the run directory and start status.json, if this task writes the run directory.

        Args:
            on_lost: Called in another thread if another chief takes the lease.

        Raises:
            ConfigError: The run directory is not writable, contains another run, or another chief is active in it.
            LostLease: Another group of an elastic run has formed.

        """
        if not self.writes:
            return
        with self.run_dir.must_be_writable():
            self.run_dir.claim()
            self.restarts = replace(self.restarts, token=self.restarts.token or new_token())
            lease = self.lease or Lease(
                path=self.run_dir.at("lease.json"), token=self.restarts.token, stale_after=self.env.lease_timeout
            )
            if self.lease:  # the leader of an elastic run took it before its decision
                lease.check()
                lease.renew()
            else:
                lease.take()
            self.lease = lease
            # Another group may take the lease of an elastic run, so a leader without storage must stop before.
            lease.start(on_lost, limit=self.env.lease_timeout * _SAFE_SHARE if self.elastic else math.inf)
            files.make_directory(self.run_dir.checkpoints)
        status = self.open_status()
        if self.group:
            self.note_workers(len(self.group.decision.workers), self.group.changes)
            if status.was_active and not self.group.changes:
                status.note(restarts=status["restarts"] + 1)
        status.start_heartbeat()

    def open_status(self) -> Status:
        """Start status.json with the state `starting`, and return it. Only the holder of the lease may call this."""
        # The number of steps of a custom script is unknown.
        steps = None if self.script else self.record.trainer.steps
        # A changed group restarts as well, so `claim` counts the restarts of an elastic run.
        status = self.status or Status(self.run_dir, steps, counts=not self.elastic)
        status.update(state="starting", exitCode=None, message="", startup=dict(self.startup), leader=self.name)
        self.status = status
        return status

    def set_waiting(self, waiting: bool, message: str = "") -> None:
        """Record whether this task waits for its peers, and write `message` to status.json."""
        self.waiting = waiting
        if self.status:
            self.status.update(message=message)

    def set_replicas(self, replicas: int) -> None:
        """Record the number of replicas in sync, in status.json too: the evaluator reads it there."""
        self.replicas = replicas
        if self.status:
            self.status.update(replicas=replicas)

    def note_workers(self, there: int, changes: int = 0) -> None:
        """Record in status.json how many workers of an elastic run take part, and that `changes` came or were lost."""
        if self.status and self.env.min_workers:
            self.status.note(
                workers={"there": there, "least": self.min_workers, "most": self.workers},
                workerChanges=self.status["workerChanges"] + changes,
            )

    @property
    def replica_batch_size(self) -> int:
        """The number of examples per step of one replica.

        If this process made no strategy, the last process of the run that made one wrote the number to status.json.
        """
        known = self.replicas or (self.run_dir.read_status() or {}).get("replicas") or 1
        return max(1, self.record.trainer.batch_size // int(known))

    def note_startup(self, part: str, seconds: float) -> None:
        """Record the seconds that a `part` of the startup took."""
        self.startup[part] = round(seconds, 3)
        if self.status:
            self.status.note(startup=dict(self.startup))

    def write_done(
        self,
        *,
        step: int | None = None,
        metrics: dict[str, float] | None = None,
        steps_per_second: float | None = None,
        export: str | None = None,
    ) -> None:
        """Write DONE with the result of the run.

        Args:
            step: The last step; None for a custom script.
            metrics: The metrics of the last checkpoint; None for a custom script.
            steps_per_second: The mean rate; None for a custom script and if no step was left to train.
            export: The path of the exported model; None for a custom script.

        """
        self.run_dir.write_done(
            {
                "step": step,
                "steps": None if self.script else self.record.trainer.steps,
                "metrics": metrics,
                "stepsPerSecond": steps_per_second and round(steps_per_second, 3),
                "restarts": self.status["restarts"] if self.status else 0,
                "export": export,
                "finished": now(),
            }
        )
