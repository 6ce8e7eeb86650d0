"""Everything a role needs to do its part of the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

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


@dataclass(slots=True, kw_only=True)
class Context:
    """One task of one run."""

    cluster: Cluster
    env: RuntimeEnv
    record: RunRecord
    run_dir: RunDir
    stop: StopSignal
    restarts: InPlaceRestartState
    started: str
    """When this process started, as status.json writes times."""
    script: tuple[str, ...] = ()
    """An own script and its arguments, empty when the run record names a task."""
    status: Status | None = None
    """Set in the one task that writes the run directory, as soon as it has claimed it."""
    lease: Lease | None = None
    """Set in that task, too: nobody else may write there meanwhile."""
    waiting: bool = False
    """Whether this task waits for its peers: a peer lost now is no restart."""
    directory: str = "."
    """Where this process was started."""
    connected: float = 0.0
    """When all tasks of the run were there, by `time.monotonic`."""
    startup: dict[str, float | None] = field(
        default_factory=lambda: dict.fromkeys(("importSeconds", "barrierSeconds", "traceSeconds"))
    )
    """How long the parts of this start took, as status.json tells them."""

    @property
    def parameter_server(self) -> bool:
        """Whether the run's strategy is ParameterServer."""
        return self.record.strategy == "ParameterServer"

    @property
    def is_server(self) -> bool:
        """Whether this task is a pure TensorFlow server."""
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
    def hold_seconds(self) -> float:
        """How long the loop may take to save after a signal."""
        return max(1.0, self.env.grace_period - _GRACE_RESERVE)

    def claim(self, on_lost: Callable[[LostLease], None]) -> None:
        """Claim the run directory, if this task writes it, and begin status.json; call `on_lost` if the lease is lost.

        Raises:
            ConfigError: it can't be written, holds another run, or another chief is at work in it.

        """
        if not self.writes:
            return
        with self.run_dir.must_be_writable():
            self.run_dir.claim()
            self.restarts = replace(self.restarts, token=self.restarts.token or new_token())
            lease = Lease(path=self.run_dir.at("lease.json"), token=self.restarts.token)
            lease.take()
            self.lease = lease
            lease.start(on_lost)
            files.make_directory(self.run_dir.checkpoints)
        # How far an own script is, it alone knows.
        self.status = Status(self.run_dir, None if self.script else self.record.trainer.steps)
        self.status.update(state="starting", exitCode=None, message="", startup=dict(self.startup))
        self.status.start_heartbeat()

    def set_waiting(self, waiting: bool, message: str = "") -> None:
        """Note that this task waits for its peers, or no longer does."""
        self.waiting = waiting
        if self.status:
            self.status.update(message=message)

    def note_startup(self, part: str, seconds: float) -> None:
        """Note how long a `part` of this start took."""
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
        """Write DONE with the result of the run; a custom script has only a restart count."""
        self.run_dir.write_done(
            {
                "run": self.record.run,
                "hash": self.record.hash,
                "step": step,
                "steps": None if self.script else self.record.trainer.steps,
                "metrics": metrics,
                "stepsPerSecond": steps_per_second and round(steps_per_second, 3),
                "restarts": self.status["restarts"] if self.status else 0,
                "export": export,
                "finished": now(),
            }
        )
