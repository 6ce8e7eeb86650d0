"""Fixtures of the trainer's unit tests, which run in one process and use only the loopback network."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer.runtime.config import RunRecord, parse_record

RECORD: dict[str, Any] = {
    "run": "little",
    "hash": "sha256:1111",
    "identity": {
        "strategy": "OneDevice",
        "trainer": {"task": "digits", "steps": 100, "checkpointEvery": 20, "summaryEvery": 10},
        "replicas": {"chief": 1, "ps": 0, "worker": 0, "evaluator": 0},
    },
}


@pytest.fixture
def raw() -> dict[str, Any]:
    """A run record as decoded JSON, which the test may change."""
    return copy.deepcopy(RECORD)


@pytest.fixture
def record(raw: dict[str, Any]) -> RunRecord:
    """A run record."""
    return parse_record(raw)


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    """A clock that only the test moves."""
    return Clock()


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines that the trainer logs."""
    from trainer.runtime.logs import log

    logged: list[str] = []
    monkeypatch.setattr(log, "info", lambda text, *args, **_: logged.append(text % args))
    return logged


@pytest.fixture
def checkpoint_files(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that creates empty checkpoint files in a directory."""

    def make(*steps: int, shards: int = 1) -> Path:
        for step in steps:
            (tmp_path / f"ckpt-{step}.index").write_text("")
            for shard in range(shards):
                (tmp_path / f"ckpt-{step}.data-{shard:05d}-of-{shards:05d}").write_text("")
        return tmp_path

    return make
