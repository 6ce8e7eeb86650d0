"""Gradients are summed over the replicas first, and everything else acts on the sum.

Keras clips, accumulates and checks a replica's own share, and sums afterward. So N replicas clip differently than one.
Replicas that disagree on whether a gradient is finite block each other indefinitely. Here the optimizer receives the
sum, so all replicas take the same decision. The result is that of one device with the global batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import keras
import tensorflow as tf

from trainer.runtime.errors import ConfigError, Words
from trainer.runtime.types import Model, Optimizer, Strategy, Tensor, Variable


def nested(optimizer: Optimizer) -> Iterator[Optimizer]:
    """Yield `optimizer` and the optimizers that it wraps."""
    yield optimizer
    if inner := getattr(optimizer, "inner_optimizer", None):
        yield from nested(inner)
    for each in getattr(optimizer, "optimizers", ()):
        yield from nested(each)


def scaled(optimizer: Optimizer, precision: str) -> Optimizer:
    """Return `optimizer` with the loss scaling that `precision` needs."""
    loss_scaling = keras.mixed_precision.LossScaleOptimizer
    if precision != "mixed_float16" or isinstance(optimizer, loss_scaling):
        return optimizer
    return loss_scaling(optimizer)


def count_from_0(optimizer: Optimizer) -> None:
    """Set the iterations of `optimizer` to 0, and with them the gradients that it has accumulated."""
    optimizer._iterations.assign(0)
    if optimizer.gradient_accumulation_steps:
        optimizer._backend_reset_gradient_accumulators()


def refuse(model: Model, optimizer: Optimizer, strategy: Strategy, *, jit_compile: bool) -> None:
    """Refuse by name what the replicas of `strategy` cannot do right; call it when `optimizer` is built.

    Raises:
        ConfigError: the model or the optimizer has such an option.

    """
    server = isinstance(strategy, tf.distribute.ParameterServerStrategy)
    for each in nested(optimizer):
        if not isinstance(each, keras.optimizers.Optimizer) or not hasattr(each, "_all_reduce_sum_gradients"):
            raise ConfigError(
                "optimizer()",
                got=Words(type(each).__name__),
                expected="a keras.optimizers.Optimizer",
                fix="Return an optimizer that is derived from keras.optimizers.Optimizer",
            )
        for option in ("gradient_accumulation_steps", "ema_overwrite_frequency") if server else ():
            if value := getattr(each, option):
                # Each worker applies its own step, so there is no step that all of them share.
                raise ConfigError(
                    f"optimizer().{option}",
                    got=value,
                    expected="no value for ParameterServer",
                    fix=f"Remove {option}, or set strategy: MultiWorkerMirrored",
                )
    if not server and strategy.num_replicas_in_sync > 1:
        _refuse_layers(model, jit_compile=jit_compile)


def _refuse_layers(model: Model, *, jit_compile: bool) -> None:
    """Refuse what layers cannot do right with several replicas."""
    for variable in model.trainable_variables:
        if getattr(variable, "overwrite_with_gradient", False):
            raise ConfigError(
                "model()",
                got=Words(f"the float8 variable {variable.path}"),
                expected="no float8 for several replicas",
                fix="Set strategy: OneDevice, or trainer.precision: mixed_bfloat16",
            )
    for layer in model._flatten_layers() if jit_compile else ():
        if getattr(layer, "synchronized", False):
            raise ConfigError(
                "trainer.jitCompile",
                got=True,
                expected="false for BatchNormalization(synchronized=True) and several replicas",
                fix=f"Set trainer.jitCompile: false, or remove synchronized from the layer {layer.name}",
            )


def reduce(gradients: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Return the sums of `gradients` over all replicas, the same ones in each; to be called in a replica."""
    context = tf.distribute.get_replica_context()
    present = [each for each in gradients if each is not None]
    if context.num_replicas_in_sync == 1 or not present:
        return list(gradients)
    sums = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, present))
    return [None if each is None else next(sums) for each in gradients]


def divided(rows: Sequence[Tensor | None], scale: Tensor) -> list[Tensor | None]:
    """Return the gradients of a table's pieces without the loss scaling, which the table's own update lacks."""
    return [
        None if each is None else tf.IndexedSlices(each.values / scale, each.indices, each.dense_shape) for each in rows
    ]


def take_sums(optimizer: Optimizer) -> None:
    """Have `optimizer`, which is built, take gradients that are summed already.

    Keras has no public option for this, and its optimizers do not work outside of a replica. `refuse` fails when Keras
    has renamed the method.
    """
    for each in nested(optimizer):
        each._all_reduce_sum_gradients = _unchanged
        if each.gradient_accumulation_steps or each.ema_overwrite_frequency:
            each._backend_apply_gradients = partial(_apply, each)


def _unchanged(pairs: list[tuple[Tensor, Variable]]) -> list[tuple[Tensor, Variable]]:
    return pairs


def _apply(optimizer: Optimizer, gradients: Sequence[Tensor], variables: Sequence[Variable]) -> None:
    """Do what the method `_backend_apply_gradients` of Keras does, with each decision taken once for all replicas.

    Keras decides in each replica. TensorFlow refuses that: an update waits for the other replicas, and may not do so
    in one branch of a condition.
    """
    trained = optimizer._trainable_variables
    if steps := optimizer.gradient_accumulation_steps:
        _accumulate(optimizer, gradients, variables, steps)
    else:
        _update(optimizer, gradients, variables)
    if not optimizer.use_ema:
        return
    optimizer._update_model_variables_moving_average(trained)
    if every := optimizer.ema_overwrite_frequency:

        def overwrite() -> None:
            for variable, average in zip(trained, optimizer._model_variables_moving_average, strict=True):
                if average is not None:
                    variable.assign(average)

        _choose(lambda: tf.equal((optimizer.iterations + 1) % every, 0), overwrite, lambda: None)


def _update(optimizer: Optimizer, gradients: Sequence[Tensor], variables: Sequence[Variable]) -> None:
    clipped = optimizer._clip_gradients(list(gradients))
    optimizer._apply_weight_decay(variables)
    optimizer._backend_update_step(clipped, variables, optimizer.learning_rate)


def _accumulate(optimizer: Optimizer, gradients: Sequence[Tensor], variables: Sequence[Variable], steps: int) -> None:
    sums = [optimizer._accumulated_gradients[optimizer._get_variable_index(each)] for each in variables]

    def update(*gradients: Tensor) -> None:
        means = [(each + total) / steps for each, total in zip(gradients, sums, strict=True)]
        _update(optimizer, means, variables)
        optimizer._backend_reset_gradient_accumulators()

    def add(*gradients: Tensor) -> None:
        for total, each in zip(sums, gradients, strict=True):
            total.assign(total + each)

    dense = [tf.convert_to_tensor(each) for each in gradients]
    _choose(lambda: tf.equal((optimizer._iterations + 1) % steps, 0), update, add, *dense)


def _choose(
    condition: Callable[[], Tensor], true: Callable[..., None], false: Callable[..., None], *args: Tensor
) -> None:
    """Call `true` or `false` with `args` in all replicas, whatever `condition` is for the first one."""

    def together(strategy: Strategy, *args: Tensor) -> None:
        def call(function: Callable[..., None]) -> Tensor:
            strategy.extended.call_for_each_replica(function, args=args)
            return tf.constant(0)  # both branches must return something

        tf.cond(condition(), lambda: call(true), lambda: call(false))

    tf.distribute.get_replica_context().merge_call(together, args=args)
