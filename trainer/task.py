"""The interface between the trainer and user code: subclass `Task`.

A job file names the class: `trainer.task: my_package.my_module:MyTask`. The same class trains on one CPU, on several
GPUs and on hundreds of workers. The task defines the model and the data, and the trainer distributes the training:

    class MyTask(Task):
        defaults = {"learning_rate": 1e-3}

        def model(self):
            return keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])

        def optimizer(self):
            return keras.optimizers.Adam(self.hp["learning_rate"])

        def loss(self, labels, outputs):
            return keras.losses.sparse_categorical_crossentropy(labels, outputs, from_logits=True)

        def dataset(self, context, split):
            ...

Test the class without a run: `python -m trainer check my_package.my_module:MyTask`. See docs/writing-a-task.md.
"""

from __future__ import annotations

import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import ClassVar, Final

from trainer.runtime.config import Scalar, TrainerConfig
from trainer.runtime.errors import ConfigError, Words, one_of
from trainer.runtime.types import Dataset, Metric, Model, Optimizer, Tensor

__all__ = [
    "ConfigError",
    "DataContext",
    "Dataset",
    "Metric",
    "Model",
    "Optimizer",
    "Scalar",
    "Task",
    "Tensor",
    "load",
]

BUILT_IN: Final = {
    "digits": "trainer.tasks.digits:Digits",
    "inception_v3": "trainer.tasks.inception_v3:InceptionV3",
    "recommender": "trainer.tasks.recommender:Recommender",
    "resnet50": "trainer.tasks.resnet50:ResNet50",
}
"""Short name -> class of each built-in task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataContext:
    """The parameters of one input pipeline."""

    batch_size: int
    """Number of examples in each batch of this pipeline: the examples of one replica in one step."""
    pipelines: int = 1
    """Number of pipelines that divide the split. Each must yield its own share: use `trainer.inputs`, or
    `dataset.shard(pipelines, pipeline)`. It is 1 in a ParameterServer run, in which each worker reads all examples."""
    pipeline: int = 0
    """Index of this pipeline, from 0."""
    seed: int | None = None
    """Seed for random operations such as `shuffle`. It differs for each pipeline and stays the same after a restart.
    None in a ParameterServer run, in which each pipeline has a random order: TensorFlow accepts None as a seed."""
    start: int = 0
    """Number of batches that this pipeline has yielded before the restart. Only the functions of `trainer.inputs` leave
    them out by this number. For other datasets it is 0, and the trainer leaves them out."""
    data_dir: str | None = None
    """DATA_DIR: the directory of the user's data. None: the run has no data directory."""


class Task(ABC):
    """The base class of tasks: it defines model, optimizer, loss and data.

    The trainer calls the methods in the order of this class. It calls `model` and `optimizer` in the strategy's scope.
    For the evaluation and the final export it calls `model` again, outside the strategy.
    """

    defaults: ClassVar[Mapping[str, Scalar]] = {}
    """The task's hyperparameters with their defaults. A job file may set only these names, to values of the same type
    as the default."""
    settings: TrainerConfig = TrainerConfig()
    """The run's `trainer` block. For example, a schedule may use `steps` and `batch_size` (examples per step over all
    replicas). The trainer sets it after `__init__`."""

    def __init__(self, hp: Mapping[str, Scalar]) -> None:
        self.hp: dict[str, Scalar] = dict(hp)
        """The hyperparameters: the values of the job file, or else the `defaults`."""

    @abstractmethod
    def model(self) -> Model:
        """Return a new `keras.Model`: features as `dataset` yields them, `[batch, ...]` -> outputs `[batch, ...]`.

        The model must be built, so that its variables exist: begin it with `keras.Input`. For mixed precision, set
        `dtype="float32"` in the last layer. For large embedding tables, use `trainer.embedding.Embedding`.
        """

    @abstractmethod
    def optimizer(self) -> Optimizer:
        """Return a new `keras.Optimizer`. Its learning rate may be a schedule over training steps.

        With every strategy, a run makes `trainer.steps` updates. In a ParameterServer run, each batch of a worker is a
        step. The trainer adds loss scaling for mixed_float16.
        """

    @abstractmethod
    def loss(self, labels: Tensor, outputs: Tensor) -> Tensor:
        """Return the loss of each example: labels and outputs `[batch, ...]` -> float `[batch]`.

        The trainer averages further dimensions of the result. Do not average over the batch, because the trainer does
        so over all replicas. The trainer also adds the regularization losses of the model.
        """

    @abstractmethod
    def dataset(self, context: DataContext, split: str) -> Dataset | None:
        """Return the `tf.data.Dataset` of `split`: tuples `(features, labels)` or `(features, labels, weights)`.

        Each element is `[context.batch_size, ...]`. Weights `[batch]` multiply the losses. End the dataset with
        `prefetch`. The field `inputWaitShare` of status.json is the share of time in which the steps wait for data.

        Args:
            context: The parameters of this input pipeline.
            split: `"train"` or `"eval"`. The training data must be endless (`repeat()`) and have only full batches
                (`drop_remainder=True`). The evaluation data must contain each example once. Return None for `"eval"` if
                there is no evaluation data.

        """

    def metrics(self) -> list[Metric]:
        """Return new Keras metrics for the evaluation.

        The trainer updates them with the labels, outputs and weights of each batch. TensorBoard, the DONE marker and
        `trainer.earlyStopping` use their names.
        """
        return []

    def signature(self) -> object | None:
        """Return the `input_signature` of the exported model, or None for the signature that Keras derives."""
        return None


def load(name: str, hyperparameters: Mapping[str, Scalar], settings: TrainerConfig | None = None) -> Task:
    """Return a new instance of the task `name`.

    Args:
        name: The name of a built-in task, or `package.module:Class`.
        hyperparameters: Values that replace defaults of the task.
        settings: The run's `trainer` block. None: the defaults.

    Raises:
        ConfigError: the class does not exist or has unimplemented methods, or a hyperparameter is unknown or has a
            value of the wrong type.

    """
    target = BUILT_IN.get(name, name)
    module_name, colon, class_name = target.partition(":")
    if not colon or not module_name or not class_name:
        known = one_of(BUILT_IN)
        raise ConfigError(
            "trainer.task",
            got=name,
            expected=f"{known} or package.module:Class",
            fix="Set trainer.task to one of them",
        )
    cls = getattr(_import(module_name, name), class_name, None)
    if not (isinstance(cls, type) and issubclass(cls, Task)):
        raise ConfigError(
            "trainer.task",
            got=name,
            expected=f"a class of {module_name} that is derived from trainer.task.Task",
            fix=f"Define class {class_name}(Task) in {module_name}, or name another class",
        )
    if missing := sorted(cls.__abstractmethods__):
        methods = " and ".join(f"{method}()" for method in missing)
        raise ConfigError(
            "trainer.task",
            got=name,
            expected=f"a class with all abstract methods of trainer.task.Task; {class_name} lacks {methods}",
            fix=f"Define {methods}",
        )
    task = cls(merge(cls.defaults, hyperparameters))
    if settings:
        task.settings = settings
    return task


def _import(module_name: str, name: str) -> object:
    try:
        found = importlib.util.find_spec(module_name) is not None
    except ModuleNotFoundError:
        found = False
    if not found:
        raise ConfigError(
            "trainer.task",
            got=name,
            expected=f"an installed Python module; {module_name} was not found",
            fix="Add the module to the image or to PYTHONPATH",
        )
    return importlib.import_module(module_name)


def merge(defaults: Mapping[str, Scalar], given: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Return `defaults`, with the values of `given` in place of their defaults.

    Raises:
        ConfigError: `defaults` does not contain a name of `given`, or a value has another type than its default.

    """
    merged = dict(defaults)
    for name, value in given.items():
        key = f"trainer.hyperparameters.{name}"
        if name not in defaults:
            close = get_close_matches(name, defaults, n=1)
            fix = f"Rename it to {close[0]}" if close else "Remove it, or add it to the task's defaults"
            known = one_of(sorted(defaults)) if defaults else "no hyperparameters for this task"
            raise ConfigError(key, got=Words("an unknown key"), expected=known, fix=fix)
        merged[name] = _like(defaults[name], value, key)
    return merged


def _like(default: Scalar, value: Scalar, key: str) -> Scalar:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(default, bool):
        fits, rule = isinstance(value, bool), "true or false"
    elif isinstance(default, int):
        fits, rule = number and float(value).is_integer(), "an integer"
    elif isinstance(default, float):
        fits, rule = number, "a number"
    else:
        fits, rule = isinstance(value, str), "a string"
    if not fits:
        raise ConfigError(key, got=value, expected=f"{rule} like its default {default!r}", fix=f"Set {key} to {rule}")
    return type(default)(value)
