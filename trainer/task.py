"""The contract between the trainer and what it trains: subclass `Task`.

A job file names the class: `trainer.task: my_package.my_module:MyTask`. The same class trains on one CPU, on several
GPUs and on hundreds of workers; the trainer decides how, the task says what:

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

Try it without a run: `python -m trainer check my_package.my_module:MyTask`. A guide: docs/writing-a-task.md.
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
from trainer.runtime.errors import ConfigError
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
"""Short name -> class, for the tasks that come with the trainer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataContext:
    """What a task needs to know to build the part of a dataset that one input pipeline reads."""

    batch_size: int
    """Examples per batch that this pipeline must yield: those of one replica and one step."""
    pipelines: int = 1
    """How many pipelines read the split together: each must yield its own share. See `trainer.inputs`, or use
    `dataset.shard(pipelines, pipeline)`. Each worker of a ParameterServer run is alone (1) and reads everything."""
    pipeline: int = 0
    """Number of this pipeline, from 0."""
    seed: int | None = None
    """Seed for `shuffle`, `random` and the like; another one for each pipeline and after each restart. None where every
    pipeline draws its own order (ParameterServer): pass it on as it is, TensorFlow understands None."""
    data_dir: str | None = None
    """DATA_DIR: where the user's data is, None when the run has none."""


class Task(ABC):
    """What is trained. Methods are called in this order; `model` and `optimizer` under the strategy's scope.

    The model is built a second time, outside the strategy, for the evaluation and the export at the end.
    """

    defaults: ClassVar[Mapping[str, Scalar]] = {}
    """The task's hyper-parameters with their defaults. A job file may set these names and no others, to values of the
    default's type."""
    settings: TrainerConfig = TrainerConfig()
    """The run's `trainer` block: `self.settings.steps` for a schedule, `.batch_size` (examples per step over all
    replicas) for a learning rate that grows with it. Set once the task is made: not yet in `__init__`."""

    def __init__(self, hp: Mapping[str, Scalar]) -> None:
        self.hp: dict[str, Scalar] = dict(hp)
        """The hyper-parameters: `defaults` with the job file's values over them."""

    @abstractmethod
    def model(self) -> Model:
        """Return a new `keras.Model`: features as `dataset` yields them, `[batch, ...]` -> outputs `[batch, ...]`.

        It must be built, so that its variables exist: begin it with `keras.Input`. In mixed precision let the last
        layer compute in float32 (`dtype="float32"`). Large embeddings: `trainer.embedding.Embedding`.
        """

    @abstractmethod
    def optimizer(self) -> Optimizer:
        """Return a new `keras.Optimizer`. Its learning rate may be a schedule, which counts steps.

        Under ParameterServer each worker's batch is a step, so a run of `trainer.steps` makes as many updates under
        every strategy. Loss scaling for mixed_float16 is added by the trainer.
        """

    @abstractmethod
    def loss(self, labels: Tensor, outputs: Tensor) -> Tensor:
        """Return the loss of each example: labels and outputs `[batch, ...]` -> float `[batch]`.

        A result `[batch, ...]` is averaged over the rest. No mean over the batch: the trainer takes it over all
        replicas. Regularisers of the model come on top.
        """

    @abstractmethod
    def dataset(self, context: DataContext, split: str) -> Dataset | None:
        """Return the `tf.data.Dataset` of `split`: tuples `(features, labels)` or `(features, labels, weights)`.

        Each is `[context.batch_size, ...]`; weights `[batch]` multiply the losses. `"train"` never ends (`repeat()`)
        and has full batches only (`drop_remainder=True`). `"eval"` ends and holds every held-out example once; return
        None when there is no such data. End it with `prefetch`: what the steps wait for data is `inputWaitShare` in
        status.json.
        """

    def metrics(self) -> list[Metric]:
        """Return new Keras metrics for the evaluation, updated with labels and outputs (and weights) of each batch.

        Their names are the names in TensorBoard, in DONE and for `trainer.earlyStopping`.
        """
        return []

    def signature(self) -> object | None:
        """Return the `input_signature` of the exported model, None for the one Keras derives."""
        return None


def load(name: str, hyperparameters: Mapping[str, Scalar], settings: TrainerConfig | None = None) -> Task:
    """Return the task called `name` with `hyperparameters` over its defaults.

    Raises:
        ConfigError: there is no such class, or it lacks a method, or a hyper-parameter is unknown or of the wrong type.

    """
    target = BUILT_IN.get(name, name)
    module_name, colon, class_name = target.partition(":")
    if not colon or not module_name or not class_name:
        known = ", ".join(BUILT_IN)
        raise ConfigError(
            f"trainer.task: got {name!r}: must be one of {known} or package.module:Class: set trainer.task"
        )
    cls = getattr(_import(module_name, name), class_name, None)
    if not (isinstance(cls, type) and issubclass(cls, Task)):
        raise ConfigError(
            f"trainer.task: got {name!r}: {module_name} has no class {class_name} derived from trainer.task.Task: "
            "set trainer.task to one that is"
        )
    if missing := sorted(cls.__abstractmethods__):
        methods = " and ".join(f"{method}()" for method in missing)
        raise ConfigError(
            f"trainer.task: got {name!r}: {class_name} lacks {methods}: write what trainer.task.Task says"
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
            f"trainer.task: got {name!r}: no Python module {module_name} here: put it in the image, or on PYTHONPATH"
        )
    return importlib.import_module(module_name)


def merge(defaults: Mapping[str, Scalar], given: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Return `defaults` with `given` over them.

    Raises:
        ConfigError: a name that `defaults` lacks, or a value of another type.

    """
    merged = dict(defaults)
    for name, value in given.items():
        key = f"trainer.hyperparameters.{name}"
        if name not in defaults:
            close = get_close_matches(name, defaults, n=1)
            hint = f"did you mean {close[0]}?" if close else "remove it, or add it to the task's defaults"
            known = ", ".join(sorted(defaults)) or "none"
            raise ConfigError(f"{key}: got {value!r}: the task's hyper-parameters are {known}: {hint}")
        merged[name] = _like(defaults[name], value, key)
    return merged


def _like(default: Scalar, value: Scalar, key: str) -> Scalar:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(default, bool):
        fits, rule = isinstance(value, bool), "true or false"
    elif isinstance(default, int):
        fits, rule = number and float(value).is_integer(), "a whole number"
    elif isinstance(default, float):
        fits, rule = number, "a number"
    else:
        fits, rule = isinstance(value, str), "a text"
    if not fits:
        raise ConfigError(f"{key}: got {value!r}: must be {rule} like its default {default!r}: set {key} to one")
    return type(default)(value)
