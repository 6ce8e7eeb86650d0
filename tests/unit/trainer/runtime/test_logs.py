"""Log lines, the termination log, command-line arguments and the GPU check."""

from __future__ import annotations

import inspect
import json
import logging
import re
import sys
from collections.abc import Iterator

import pytest

from trainer import __main__
from trainer.runtime import devices, logs
from trainer.runtime.config import RuntimeEnv, load_log_format, load_runtime_env
from trainer.runtime.errors import ConfigError
from trainer.storage import termination_log


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """Restore the state of Python's logging after the test."""
    root, handlers = logging.getLogger(), list(logging.getLogger().handlers)
    own, propagate, raises = list(logs.log.handlers), logs.log.propagate, logging.raiseExceptions
    yield
    logging.raiseExceptions = raises
    root.handlers[:], logs.log.handlers[:], logs.log.propagate = handlers, own, propagate
    logging.captureWarnings(False)


def test_text_line_has_time_task_and_message(restored_logging: None, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("worker-1")
    logs.log.info("step %d", 3, extra=logs.fields(step=3))
    assert capsys.readouterr().err[8:] == " worker-1 step 3\n"


def test_json_lines_have_all_fields_and_are_valid_json(
    restored_logging: None, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("worker-1", "json")
    logs.log.info('step %d\nand "quotes"', 3, extra=logs.fields(step=3, loss=float("nan"), rate=2.5))
    try:
        raise ValueError("boom")
    except ValueError as error:
        logs.show(error)
    logging.getLogger("some.library").warning("slow")
    lines = [json.loads(line, parse_constant=pytest.fail) for line in capsys.readouterr().err.splitlines()]
    first, second, third = lines
    assert {name: first[name] for name in ("task", "level", "message", "step", "loss", "rate")} == {
        "task": "worker-1", "level": "info", "message": 'step 3\nand "quotes"', "step": 3, "loss": None, "rate": 2.5,
    }  # fmt: skip
    assert first["time"].endswith("Z")
    assert (second["level"], second["message"]) == ("error", "ValueError")
    assert second["exception"].endswith("ValueError: boom\n")
    assert (third["level"], third["message"]) == ("warning", "slow")


@pytest.mark.parametrize("character", ["x", '"', "\n", "é", "😀"])
@pytest.mark.parametrize("length", [10, 4000, 100_000])
def test_result_fits_into_the_termination_log(character: str, length: int) -> None:
    text = termination_log.line(1, character * length, {"step": 5, "metrics": {"loss": float("nan")}})
    assert len(text.encode()) <= 4096
    assert text.count("\n") == 1
    result = json.loads(text, parse_constant=pytest.fail)
    assert (result["exitCode"], result["step"], result["metrics"]) == (1, 5, {"loss": None})
    assert result["message"]
    assert (character * length).startswith(result["message"])


def test_long_details_are_removed_and_the_message_stays() -> None:
    result = json.loads(termination_log.line(0, "done", {"metrics": {f"metric_{i}": 0.5 for i in range(500)}}))
    assert result == {"exitCode": 0, "message": "done"}


def test_log_format_comes_from_the_arguments_or_the_environment() -> None:
    assert load_log_format({}) == "text"
    assert load_log_format({"TRAINER_LOG_FORMAT": "json"}) == "json"
    assert load_log_format({"TRAINER_LOG_FORMAT": "json"}, "text") == "text"
    with pytest.raises(ConfigError, match=r'TRAINER_LOG_FORMAT: got "xml"; expected one of "text", "json"\.'):
        load_log_format({"TRAINER_LOG_FORMAT": "xml"})
    with pytest.raises(ConfigError, match='--log-format: got "xml"'):
        load_log_format({}, "xml")


@pytest.mark.parametrize("words", [["train.py"], ["--log"], ["--log-format"], ["--verbose"]])
def test_invalid_arguments_raise_config_error(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["trainer", *words])
    with pytest.raises(
        ConfigError,
        match=r"args: got an invalid command line \(.*\); expected ",
    ):
        __main__.parser().parse_args(words)


def test_help_lists_every_variable_and_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        __main__.parser().parse_args(["--help"])
    text = capsys.readouterr().out
    documented = set(re.findall(r"TRAINER_[A-Z_]+", inspect.getsource(RuntimeEnv)))
    assert "TRAINER_GPUS" in documented
    assert documented <= set(text.split())
    for word in ("RUN_DIR", "TF_CONFIG", "TRAINER_GPUS", "TRAINER_LOG_FORMAT", "0", "1", "2", "75", "76", "143"):
        assert f"  {word} " in text, word
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.slow
def test_missing_gpus_are_refused_unless_they_are_optional(lines: list[str]) -> None:
    env = {"RUN_DIR": "/runs/x", "TRAINER_GPUS": "64"}
    with pytest.raises(ConfigError, match=r"TRAINER_GPUS: got \d+ visible GPUs.*; expected 64\. Set image to one"):
        devices.check(load_runtime_env(env))
    devices.check(load_runtime_env({**env, "TRAINER_GPUS_OPTIONAL": "1"}))
    assert "warning: the job requests 64 GPUs" in lines[-1]
    devices.check(load_runtime_env({"RUN_DIR": "/runs/x"}))
