"""The log of a whole task on standard error."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trainer.roles import dispatch
from trainer.runtime.errors import ConfigError
from trainer.runtime.signals import StopSignal

LINE = re.compile(r"\d\d:\d\d:\d\d chief-0 \S.*")


def stderr_of_a_run(tmp_path: Path, raw: dict[str, Any], log_format: str) -> list[str]:
    raw["identity"]["trainer"] |= {"steps": 2, "batchSize": 8}
    record = tmp_path / "run.json"
    record.write_text(json.dumps(raw))
    env = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    env |= {"TRAINER_RECORD": str(record), "RUN_DIR": str(tmp_path / "little"), "TRAINER_LOG_FORMAT": log_format}
    command = [sys.executable, "-m", "trainer"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=True)
    return done.stderr.splitlines()


@pytest.mark.slow
def test_text_log_has_only_lines_of_the_trainer(tmp_path: Path, raw: dict[str, Any]) -> None:
    lines = stderr_of_a_run(tmp_path, raw, "text")
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert "exit 0: " in lines[-1]


@pytest.mark.slow
def test_json_log_has_one_object_per_line(tmp_path: Path, raw: dict[str, Any]) -> None:
    lines = [json.loads(line) for line in stderr_of_a_run(tmp_path, raw, "json")]
    assert {line["task"] for line in lines} == {"chief-0"}
    assert lines[-1]["exitCode"] == 0


def test_minimum_above_the_number_of_workers_is_refused(tmp_path: Path, raw: dict[str, Any]) -> None:
    raw["identity"]["strategy"] = "MultiWorkerMirrored"
    (tmp_path / "run.json").write_text(json.dumps(raw))
    tf_config = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}
    env = {
        "TF_CONFIG": json.dumps(tf_config),
        "TRAINER_RECORD": str(tmp_path / "run.json"),
        "RUN_DIR": "/runs/little",
        "TRAINER_MIN_WORKERS": "3",
    }
    with pytest.raises(ConfigError, match="TRAINER_MIN_WORKERS: got 3; expected at most 2, the number of workers"):
        dispatch.read_context((), env, StopSignal())
