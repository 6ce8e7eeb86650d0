from __future__ import annotations

from abc import abstractmethod

import pytest

from trainer import task
from trainer.runtime.errors import ConfigError
from trainer.tasks.digits import Digits

DEFAULTS = {"learning_rate": 1e-3, "width": 32, "name": "adam", "nesterov": False}


BUILT_IN = "digits, inception_v3, recommender, resnet50"
KNOWN = "the task's hyper-parameters are learning_rate, name, nesterov, width"


class Half(Digits):
    """A task with a method that is still to be written."""

    @abstractmethod
    def missing(self) -> None: ...


class NoTask:
    """A class that is none."""


def test_a_built_in_task_by_its_short_name() -> None:
    assert isinstance(task.load("digits", {}), Digits)


def test_a_task_of_one_s_own_by_module_and_class() -> None:
    loaded = task.load("trainer.tasks.digits:Digits", {"width": 8})
    assert loaded.hp == {"learning_rate": 1e-3, "width": 8, "dropout": 0.2}
    assert Digits.defaults["width"] == 32


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("digit", f"must be one of {BUILT_IN} or package.module:Class"),
        ("trainer.tasks.digits:", f"must be one of {BUILT_IN} or package.module:Class"),
        ("no_such_package.module:Thing", "no Python module no_such_package.module here"),
        ("trainer.tasks.nothing:Thing", "no Python module trainer.tasks.nothing here"),
        ("trainer.tasks.digits:Digit", "trainer.tasks.digits has no class Digit derived from trainer.task.Task"),
        ("tests.unit.trainer.test_task:Half", "Half lacks missing()"),
        ("tests.unit.trainer.test_task:NoTask", "tests.unit.trainer.test_task has no class NoTask derived from"),
    ],
)
def test_what_is_no_task_is_named(name: str, rule: str) -> None:
    with pytest.raises(ConfigError) as error:
        task.load(name, {})
    assert str(error.value).startswith(f"trainer.task: got {name!r}: {rule}")


def test_values_of_the_default_s_type_are_taken() -> None:
    given = {"learning_rate": 1, "width": 64.0, "name": "sgd", "nesterov": True}
    merged = task.merge(DEFAULTS, given)
    assert merged == given
    assert [type(merged[name]) for name in DEFAULTS] == [float, int, str, bool]


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("learning_rat", 1.0, f"{KNOWN}: did you mean learning_rate?"),
        ("momentum", 0.9, f"{KNOWN}: remove it"),
        ("learning_rate", "1e-3", "must be a number like its default 0.001"),
        ("learning_rate", True, "must be a number"),
        ("width", 1.5, "must be a whole number like its default 32"),
        ("width", True, "must be a whole number"),
        ("name", 3, "must be a text"),
        ("nesterov", 1, "must be true or false"),
    ],
)  # fmt: skip
def test_wrong_hyper_parameters_are_named(name: str, value: object, rule: str) -> None:
    with pytest.raises(ConfigError) as error:
        task.merge(DEFAULTS, {name: value})  # type: ignore[dict-item]
    assert str(error.value).startswith(f"trainer.hyperparameters.{name}: got {value!r}: {rule}")


def test_a_task_without_hyper_parameters_says_so() -> None:
    with pytest.raises(ConfigError, match="the task's hyper-parameters are none"):
        task.merge({}, {"a": 1})
