from __future__ import annotations

from abc import abstractmethod

import pytest

from trainer import task
from trainer.runtime.errors import ConfigError
from trainer.tasks.digits import Digits

DEFAULTS = {"learning_rate": 1e-3, "width": 32, "name": "adam", "nesterov": False}


BUILT_IN = 'one of "digits", "inception_v3", "recommender", "resnet50"'
KNOWN = 'one of "learning_rate", "name", "nesterov", "width"'


class Half(Digits):
    """A task with an abstract method."""

    @abstractmethod
    def missing(self) -> None: ...


class NoTask:
    """A class that is not a task."""


def test_built_in_task_loads_by_its_short_name() -> None:
    assert isinstance(task.load("digits", {}), Digits)


def test_task_loads_by_module_and_class() -> None:
    loaded = task.load("trainer.tasks.digits:Digits", {"width": 8})
    assert loaded.hp == {"learning_rate": 1e-3, "width": 8, "dropout": 0.2}
    assert Digits.defaults["width"] == 32


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("digit", f"{BUILT_IN} or package.module:Class."),
        ("trainer.tasks.digits:", f"{BUILT_IN} or package.module:Class."),
        ("no_such_package.module:Thing", "an installed Python module; no_such_package.module was not found."),
        ("trainer.tasks.nothing:Thing", "an installed Python module; trainer.tasks.nothing was not found."),
        (
            "trainer.tasks.digits:Digit",
            "a class of trainer.tasks.digits that is derived from trainer.task.Task.",
        ),
        (
            "tests.unit.trainer.test_task:Half",
            "a class with all abstract methods of",
        ),
        (
            "tests.unit.trainer.test_task:NoTask",
            "a class of tests.unit.trainer.test_task that",
        ),
    ],
)
def test_refusal_of_an_invalid_task_has_its_name_and_the_rule(name: str, rule: str) -> None:
    with pytest.raises(ConfigError) as error:
        task.load(name, {})
    assert str(error.value).startswith(f'trainer.task: got "{name}"; expected {rule}')


def test_hyperparameters_are_converted_to_the_types_of_the_defaults() -> None:
    given = {"learning_rate": 1, "width": 64.0, "name": "sgd", "nesterov": True}
    merged = task.merge(DEFAULTS, given)
    assert merged == given
    assert [type(merged[name]) for name in DEFAULTS] == [float, int, str, bool]


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("learning_rat", 1.0, f"an unknown key; expected {KNOWN}. Rename it to learning_rate."),
        ("momentum", 0.9, f"an unknown key; expected {KNOWN}. Remove it"),
        ("learning_rate", "1e-3", '"1e-3"; expected a number like its default 0.001.'),
        ("learning_rate", True, "true; expected a number"),
        ("width", 1.5, "1.5; expected an integer like its default 32."),
        ("width", True, "true; expected an integer"),
        ("name", 3, "3; expected a string"),
        ("nesterov", 1, "1; expected true or false"),
    ],
)  # fmt: skip
def test_refusal_of_an_invalid_hyperparameter_has_its_name_and_the_rule(name: str, value: object, rule: str) -> None:
    with pytest.raises(ConfigError) as error:
        task.merge(DEFAULTS, {name: value})  # type: ignore[dict-item]
    assert str(error.value).startswith(f"trainer.hyperparameters.{name}: got {rule}")


def test_task_without_hyperparameters_refuses_every_name() -> None:
    with pytest.raises(ConfigError, match="expected no hyperparameters for this task"):
        task.merge({}, {"a": 1})
