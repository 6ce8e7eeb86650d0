from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from trainer.runtime.config import EarlyStopping, TrainerConfig, load_record, load_runtime_env, parse_record
from trainer.runtime.errors import ConfigError
from trainer.runtime.exit_codes import BAD_CONFIG


def test_record_without_a_trainer_block_has_the_defaults(raw: dict[str, Any]) -> None:
    del raw["identity"]["trainer"]
    settings = parse_record(raw).trainer
    assert (settings.task, settings.steps, settings.batch_size, settings.seed) == ("digits", 1000, 64, 0)
    assert (settings.checkpoint_every, settings.keep_checkpoints, settings.summary_every) == (200, 3, 50)
    assert (settings.precision, settings.jit_compile, settings.hyperparameters) == ("float32", False, {})


def test_integer_may_be_written_as_a_float(raw: dict[str, Any]) -> None:
    raw["identity"]["trainer"]["steps"] = 1e6
    assert parse_record(raw).trainer.steps == 1_000_000


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("steps", 0, "trainer.steps: got 0; expected an integer, 1 to 1000000000000."),
        ("steps", 1.5, "trainer.steps: got 1.5; expected an integer"),
        ("steps", True, "trainer.steps: got true; expected an integer"),
        ("steps", "10", 'trainer.steps: got "10"; expected an integer'),
        ("steps", float("nan"), "trainer.steps: got NaN; expected an integer"),
        ("steps", float("inf"), "trainer.steps: got Infinity; expected an integer"),
        ("steps", 10**400, "trainer.steps: got 1000"),
        ("steps", -(10**400), "trainer.steps: got -1000"),
        ("batchSize", -1, "trainer.batchSize: got -1; expected an integer"),
        ("seed", -1, "trainer.seed: got -1; expected an integer, 0 to 4294967295."),
        ("checkpointEvery", 0, "trainer.checkpointEvery: got 0"),
        ("keepCheckpoints", 0, "trainer.keepCheckpoints: got 0"),
        ("summaryEvery", 0, "trainer.summaryEvery: got 0"),
        (
            "precision",
            "float8",
            'trainer.precision: got "float8"; expected one of "float32", "mixed_bfloat16", "mixed_float16".',
        ),
        ("jitCompile", "yes", 'trainer.jitCompile: got "yes"; expected true or false.'),
        ("task", "", 'trainer.task: got ""'),
        ("hyperparameters", [1], "trainer.hyperparameters: got [1]"),
        ("hyperparameters", {"a": [1]}, "trainer.hyperparameters.a: got [1]"),
        (
            "hyperparameters",
            {"a": 2**63},
            "trainer.hyperparameters.a: got 9223372036854775808; expected an integer bet",
        ),
        ("hyperparameters", {"a": -(10**400)}, "trainer.hyperparameters.a: got -1000"),
        ("earlyStopping", {"metric": "a", "minDelta": 10**400}, "trainer.earlyStopping.minDelta: got 1000"),
    ],
)
def test_refusal_of_an_invalid_value_has_its_key_and_the_rule(
    raw: dict[str, Any], key: str, value: object, rule: str
) -> None:
    raw["identity"]["trainer"][key] = value
    with pytest.raises(ConfigError) as error:
        parse_record(raw)
    assert str(error.value).startswith(rule)
    assert error.value.code == BAD_CONFIG


@pytest.mark.parametrize("strategy", ["None", None, "mirrored"])
def test_unknown_strategy_is_refused(raw: dict[str, Any], strategy: str | None) -> None:
    raw["identity"]["strategy"] = strategy
    with pytest.raises(ConfigError, match=r'strategy: got .*; expected one of "OneDevice", "Mirrored"'):
        parse_record(raw)


@pytest.mark.parametrize("broken", [None, [], {}, {"identity": 3}])
def test_record_without_an_identity_is_refused(broken: object) -> None:
    with pytest.raises(ConfigError, match=r"run\.json: identity: got "):
        parse_record(broken)


def test_record_file_must_be_readable_json(tmp_path: Path, raw: dict[str, Any]) -> None:
    path = tmp_path / "run.json"
    with pytest.raises(ConfigError, match="TRAINER_RECORD: got nothing"):
        load_record({})
    with pytest.raises(ConfigError, match=r"TRAINER_RECORD: got .*, which cannot be read \(No such file"):
        load_record({"TRAINER_RECORD": str(path)})
    path.write_text("{")
    with pytest.raises(ConfigError, match=r"TRAINER_RECORD: got .*, which is invalid JSON"):
        load_record({"TRAINER_RECORD": str(path)})
    path.write_text(json.dumps(raw))
    assert load_record({"TRAINER_RECORD": str(path)}).run == "little"


def test_settings_come_from_the_environment() -> None:
    settings = load_runtime_env(
        {"RUN_DIR": "/runs/a/", "TRAINER_START_TIMEOUT": "7", "TRAINER_MAX_IN_PLACE_RESTARTS": "0"}
    )
    assert settings.run_dir == "/runs/a"
    assert (settings.start_timeout, settings.orphan_timeout, settings.grace_period) == (7, 1800, 60)
    assert settings.max_in_place_restarts == 0
    assert settings.data_dir is None
    assert settings.termination_log is None


@pytest.mark.parametrize("value", ["-1", "1.5", "x", "0", "1000000001", "9" * 5000])
def test_refusal_of_an_invalid_setting_has_its_variable_and_the_rule(value: str) -> None:
    with pytest.raises(
        ConfigError, match=rf'TRAINER_START_TIMEOUT: got "{value[:79]}.*; expected an integer, 1 to 1000000000'
    ):
        load_runtime_env({"RUN_DIR": "/runs/a", "TRAINER_START_TIMEOUT": value})


def test_run_directory_is_required() -> None:
    with pytest.raises(ConfigError, match="RUN_DIR: got nothing"):
        load_runtime_env({})


def test_early_stopping_has_defaults_except_for_its_metric(raw: dict[str, Any]) -> None:
    assert parse_record(raw).trainer.early_stopping is None
    raw["identity"]["trainer"]["earlyStopping"] = {"metric": "auc"}
    found = parse_record(raw).trainer.early_stopping
    assert found is not None
    assert (found.metric, found.mode, found.patience, found.min_delta) == ("auc", "max", 1, 0.0)


@pytest.mark.parametrize(
    ("block", "key"),
    [
        ({}, "metric"),
        ({"metric": ""}, "metric"),
        ({"metric": "auc", "mode": "best"}, "mode"),
        ({"metric": "auc", "patience": 0}, "patience"),
        ({"metric": "auc", "minDelta": -0.1}, "minDelta"),
        ({"metric": "auc", "minDelta": True}, "minDelta"),
    ],
)
def test_refusal_of_an_invalid_early_stopping_has_its_key(raw: dict[str, Any], block: dict[str, Any], key: str) -> None:
    raw["identity"]["trainer"]["earlyStopping"] = block
    with pytest.raises(ConfigError, match=rf"^trainer\.earlyStopping\.{key}: got "):
        parse_record(raw)


@pytest.mark.parametrize("steps", [-1, 1001, 1.5, "5"])
def test_profile_steps_have_bounds(raw: dict[str, Any], steps: object) -> None:
    raw["identity"]["trainer"]["profileSteps"] = 1000
    assert parse_record(raw).trainer.profile_steps == 1000
    raw["identity"]["trainer"]["profileSteps"] = steps
    with pytest.raises(ConfigError, match=r"trainer\.profileSteps: got .*; expected an integer, 0 to 1000"):
        parse_record(raw)


def test_gpus_come_from_the_environment() -> None:
    assert load_runtime_env({"RUN_DIR": "/runs/x"}).gpus == 0
    found = load_runtime_env({"RUN_DIR": "/runs/x", "TRAINER_GPUS": "2", "TRAINER_GPUS_OPTIONAL": "1"})
    assert (found.gpus, found.gpus_optional) == (2, True)


ROOT = Path(__file__).parents[4]


def camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


@pytest.mark.parametrize(("cls", "path"), [(TrainerConfig, ()), (EarlyStopping, ("earlyStopping",))])
def test_config_classes_have_the_keys_and_bounds_of_the_schema(cls: type, path: tuple[str, ...]) -> None:
    schema = json.loads((ROOT / "schema" / "job.schema.json").read_text())["properties"]["trainer"]
    for key in path:
        schema = schema["properties"][key]
    assert {camel(each.name) for each in fields(cls)} == set(schema["properties"])
    for each in fields(cls):
        rules = schema["properties"][camel(each.name)]
        found = (each.metadata.get("least"), each.metadata.get("most"), list(each.metadata.get("choices", ())))
        assert found == (rules.get("minimum"), rules.get("maximum"), rules.get("enum", [])), each.name


def test_trainer_config_has_the_defaults_of_the_chart() -> None:
    values = yaml.safe_load((ROOT / "charts" / "tf-distributed" / "values.yaml").read_text())["trainer"]
    defaults = {camel(name): value for name, value in asdict(TrainerConfig()).items() if value is not None}
    # It is in values.yaml as a comment only, so that the key changes no hash of a run without it.
    assert defaults.pop("warmStartIterations") == "reset"
    assert defaults == values
