"""Observe the run directory: who holds the lease, which checkpoints appear, and when the run takes steps."""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from pathlib import Path

from tfd import records

_LOOK_EVERY = 0.1
_INDEX = re.compile(r"ckpt-(\d+)\.index")


class Observer:
    """A thread that looks at a run directory ten times per second."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)
        self.holders: list[tuple[float, float, int]] = []
        """(last look without it, first look with it, process ID) of each holder of the lease; 0 for a free lease."""
        self.saves: dict[int, set[float]] = {}
        """Step of each checkpoint -> the times at which its index was written."""
        self.steps: list[float] = []
        """The times at which status.json showed a higher step than before."""
        self._step = 0

    def __enter__(self) -> Observer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look(time.time())

    def _run(self) -> None:
        before = time.time()
        while not self._stop.wait(_LOOK_EVERY):
            self._look(before)
            before = time.time()

    def _look(self, before: float) -> None:
        holder = self._holder()
        if holder is not None and (not self.holders or self.holders[-1][2] != holder):
            self.holders.append((before, time.time(), holder))
        for path in self._run_dir.glob("checkpoints/ckpt-*.index"):
            if match := _INDEX.fullmatch(path.name):
                try:
                    self.saves.setdefault(int(match[1]), set()).add(path.stat().st_mtime)
                except FileNotFoundError:  # an old checkpoint was deleted
                    continue
        step = records.read(self._run_dir / "status.json").get("step")
        if isinstance(step, int):
            if step > self._step:
                self.steps.append(time.time())
            self._step = step  # lower after a restart from a checkpoint, which is not a new step

    def _holder(self) -> int | None:
        """Return the process that holds the lease, 0 if it is free, None if the file is not complete."""
        try:
            text = (self._run_dir / "lease.json").read_text()
        except FileNotFoundError:
            return None
        if not text.strip():
            return 0 if text else None
        try:
            return int(json.loads(text)["pid"])
        except (KeyError, TypeError, ValueError):
            return None

    def held(self, pid: int, when: float) -> bool:
        """Return whether the process `pid` may have held the lease at the time `when`."""
        ends = [first for _, first, _ in self.holders[1:]] + [float("inf")]
        return any(
            holder == pid and before - _LOOK_EVERY <= when <= end + _LOOK_EVERY
            for (before, _, holder), end in zip(self.holders, ends, strict=True)
        )

    def pause(self, begin: float, end: float) -> float:
        """Return the longest time without a step that was not over at `begin`, and that began before `end`."""
        pairs = itertools.pairwise(self.steps)
        return max((later - earlier for earlier, later in pairs if later > begin and earlier < end), default=0.0)
