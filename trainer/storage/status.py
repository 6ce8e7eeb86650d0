"""status.json: where the run is, for people and programs."""

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
    """Writes status.json, by one task only: the chief, or worker 0."""

    def __init__(self, run_dir: RunDir, steps: int | None) -> None:
        self._path = run_dir.at("status.json")
        self._lock = threading.Lock()
        self._stop = threading.Event()
        before = run_dir.read_status() or {}
        # A task that only waited for its peers has not run yet, so that was no restart.
        restarts = int(before.get("restarts") or 0) + (before.get("state") not in (None, "starting"))
        self._fields: dict[str, Any] = {
            "state": "starting", "exitCode": None, "step": int(before.get("step") or 0), "steps": steps,
            "stepsPerSecond": None, "examplesPerSecond": None, "etaSeconds": None, "loss": None,
            "lastCheckpoint": before.get("lastCheckpoint"), "restarts": restarts, "metrics": None, "message": "",
            "startup": None, "inputWaitShare": None,
        }  # fmt: skip

    def __getitem__(self, name: str) -> Json:
        return self._fields[name]

    def update(self, **fields: Json) -> None:
        """Change `fields` and write the file; a storage that fails now and then must not end a training."""
        with self._lock:
            self._fields.update(fields)
            text = to_json({**self._fields, "updated": now()})
            try:
                files.write_text(self._path, text)
            except Exception as error:  # noqa: BLE001, RUF100 - gfile has its own error classes
                log.info("can't write %s: %s", self._path, error)

    def note(self, **fields: Json) -> None:
        """Change `fields` and leave the writing to the next `update` or heartbeat."""
        with self._lock:
            self._fields.update(fields)

    def start_heartbeat(self, every: float = HEARTBEAT_EVERY) -> None:
        """Write the file again and again, so that readers can tell a slow step from a dead chief."""

        def beat() -> None:
            while not self._stop.wait(every):
                self.update()

        threading.Thread(target=beat, name="heartbeat", daemon=True).start()

    def stop_heartbeat(self) -> None:
        """Write no more on one's own: the state is final."""
        self._stop.set()
