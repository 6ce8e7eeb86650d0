"""The file status.json: the current state of a run, for people and programs."""

from __future__ import annotations

import threading
from typing import Any, Final

from trainer.runtime.logs import log
from trainer.runtime.serialize import now, to_json
from trainer.runtime.types import Json
from trainer.storage import files
from trainer.storage.run_dir import RunDir

HEARTBEAT_EVERY: Final = 10.0


class Status:
    """Writes status.json. Only one task of a run does so: the chief, or worker 0."""

    def __init__(self, run_dir: RunDir, steps: int | None, *, counts: bool = True) -> None:
        """Continue the file in `run_dir`, or begin with no steps.

        Args:
            run_dir: The run directory.
            steps: The last step; None for a custom script.
            counts: Whether this start of a process counts as a restart if the run was active before.

        """
        self._path = run_dir.at("status.json")
        self._lock = threading.Lock()
        self._stop = threading.Event()
        before = run_dir.read_status() or {}
        # The state "starting" means that the task only waited for its peers. That does not count as a restart.
        self.was_active = before.get("state") not in (None, "starting")
        restarts = int(before.get("restarts") or 0) + (counts and self.was_active)
        self._fields: dict[str, Any] = {
            "state": "starting", "exitCode": None, "step": int(before.get("step") or 0), "steps": steps,
            "stepsPerSecond": None, "examplesPerSecond": None, "etaSeconds": None, "loss": None,
            "lossIsNotANumber": False,
            "lastCheckpoint": before.get("lastCheckpoint"), "restarts": restarts, "metrics": None, "message": "",
            "startup": None, "inputWaitShare": None, "replicas": before.get("replicas"),
            "data": before.get("data"), "leader": before.get("leader"),
            "workers": None, "workerChanges": int(before.get("workerChanges") or 0),
        }  # fmt: skip

    def __getitem__(self, name: str) -> Json:
        return self._fields[name]

    def fields(self) -> dict[str, Any]:
        """Return a copy of all fields. It takes no lock, because `update` keeps the lock while the storage is slow."""
        return dict(self._fields)

    def update(self, **fields: Json) -> None:
        """Change `fields` and write the file. Errors are only logged, because they must not end the training."""
        with self._lock:
            self._fields.update(fields)
            text = to_json({**self._fields, "updated": now()})
            try:
                files.write_text(self._path, text)
            except Exception as error:  # noqa: BLE001, RUF100 - gfile has its own error classes
                log.info("cannot write %s: %s", self._path, error)

    def note(self, **fields: Json) -> None:
        """Change `fields`. The next `update` or heartbeat writes them to the file."""
        with self._lock:
            self._fields.update(fields)

    def start_heartbeat(self, every: float = HEARTBEAT_EVERY) -> None:
        """Write the file every `every` seconds, so that readers can distinguish a slow step from a dead chief."""

        def beat() -> None:
            while not self._stop.wait(every):
                self.update()

        threading.Thread(target=beat, name="heartbeat", daemon=True).start()

    def stop_heartbeat(self) -> None:
        """Stop the heartbeat, because the state is final."""
        self._stop.set()
