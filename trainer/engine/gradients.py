"""Gradients are summed over the replicas first, and everything else acts on the sum.

Keras clips, accumulates and checks a replica's own share, and sums afterward. So N replicas clip differently than one.
Replicas that disagree on whether a gradient is finite block each other indefinitely. Here the optimizer receives the
sum, so all replicas take the same decision. The result is that of one device with the global batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import keras
import tensorflow as tf

from trainer import embedding
from trainer.runtime.errors import ConfigError, Words, one_of
from trainer.runtime.types import Model, Optimizer, Strategy, Tensor, Variable

LOWEST_SCALE: Final = 2.0**-24
"""The lower bound of the loss scale, the smallest positive number of float16. A scale of 0 makes gradients NaN."""
HIGHEST_SCALE: Final = 2.0**64
"""The upper bound of the loss scale. A scale that overflows would never be finite again."""


def nested(optimizer: Optimizer) -> list[Optimizer]:
    """Return `optimizer` and the optimizers that it wraps, in whatever attribute it keeps them."""
    found: list[Optimizer] = []

    def search(value: object) -> None:
        if isinstance(value, keras.optimizers.Optimizer):
            if not any(value is each for each in found):
                found.append(value)
                search(vars(value))
        elif isinstance(value, Mapping):
            search(list(value.values()))
        elif isinstance(value, list | tuple | set):
            for each in value:
                search(each)

    search(optimizer)
    return found


def scaled(optimizer: Optimizer, precision: str) -> Optimizer:
    """Return `optimizer`, which the task returned, with the loss scaling that `precision` needs.

    Raises:
        ConfigError: It is not an optimizer of Keras.

    """
    if not isinstance(optimizer, keras.optimizers.Optimizer) or not hasattr(optimizer, "_all_reduce_sum_gradients"):
        raise ConfigError(
            "optimizer()",
            got=Words(type(optimizer).__name__),
            expected="a keras.optimizers.Optimizer",
            fix="Return an optimizer that is derived from keras.optimizers.Optimizer",
        )
    loss_scaling = keras.mixed_precision.LossScaleOptimizer
    if precision != "mixed_float16" or isinstance(optimizer, loss_scaling):
        return optimizer
    return loss_scaling(optimizer)


def refuse_skipped_steps(model: Model, optimizer: Optimizer, precision: str) -> None:
    """Refuse loss scaling for a `model` with embedding tables: their own update does not skip a step.

    Raises:
        ConfigError: `model` has such a table, and the task or `precision` scales the loss.

    """
    if not isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer) or not embedding.tables(model):
        return
    half = precision == "mixed_float16"
    raise ConfigError(
        "trainer.precision" if half else "optimizer()",
        got=precision if half else Words(type(optimizer).__name__),
        expected=(
            f"{one_of(('mixed_bfloat16', 'float32'))} for a model with embedding tables"
            if half
            else "an optimizer without loss scaling for a model with embedding tables"
        ),
        fix="Set trainer.precision: mixed_bfloat16" if half else "Return the optimizer that it wraps",
    )


def count_from_0(optimizer: Optimizer) -> None:
    """Set the iterations of `optimizer` to 0, and with them the gradients that it has accumulated."""
    optimizer._iterations.assign(0)
    if optimizer.gradient_accumulation_steps:
        optimizer._backend_reset_gradient_accumulators()


def refuse(model: Model, optimizer: Optimizer, strategy: Strategy, *, jit_compile: bool) -> None:
    """Refuse by name what the replicas of `strategy` cannot do right; call it when `optimizer` is built.

    Raises:
        ConfigError: The model or the optimizer has such an option.

    """
    if isinstance(strategy, tf.distribute.ParameterServerStrategy):
        _refuse_decisions(optimizer)
        _refuse_memory(model, "ParameterServer")
    elif strategy.num_replicas_in_sync > 1:
        _refuse_layers(model, jit_compile=jit_compile)
        _refuse_memory(model, "several replicas")


def _refuse_decisions(optimizer: Optimizer) -> None:
    """Refuse what all workers of ParameterServer must decide together, because each of them takes its own steps."""
    for each in nested(optimizer):
        for option in ("gradient_accumulation_steps", "ema_overwrite_frequency"):
            if value := getattr(each, option):
                raise ConfigError(
                    f"optimizer().{option}",
                    got=value,
                    expected="no value for ParameterServer",
                    fix=f"Remove {option}, or set strategy: MultiWorkerMirrored",
                )


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


def _refuse_memory(model: Model, strategy: str) -> None:
    """Refuse layers that remember the sequences of a batch, because replicas share or average what layers keep."""
    for layer in model._flatten_layers():
        if getattr(layer, "stateful", False):
            raise ConfigError(
                "model()",
                got=Words(f"the layer {layer.name} with stateful=True"),
                expected=f"no stateful layer for {strategy}",
                fix=f"Remove stateful from the layer {layer.name}, or set strategy: OneDevice",
            )


def reduce(gradients: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Return the sums of `gradients` over all replicas, the same ones in each; to be called in a replica."""
    context = tf.distribute.get_replica_context()
    present = [each for each in gradients if each is not None]
    if context.num_replicas_in_sync == 1 or not present:
        return list(gradients)
    sums = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, present))
    return [None if each is None else next(sums) for each in gradients]


def divided(gradients: Sequence[Tensor | None], scale: Tensor) -> list[Tensor | None]:
    """Return `gradients` without the factor `scale`, which the loss was multiplied by."""

    def divide(each: Tensor | None) -> Tensor | None:
        if isinstance(each, tf.IndexedSlices):
            return tf.IndexedSlices(each.values / tf.cast(scale, each.dtype), each.indices, each.dense_shape)
        return None if each is None else each / tf.cast(scale, each.dtype)

    return [divide(each) for each in gradients]


def apply(optimizer: Optimizer, sums: Sequence[Tensor | None], variables: Sequence[Variable], scale: Tensor) -> None:
    """Update `variables` by the gradients `sums`; to be called in a replica.

    This replaces the method `apply` of Keras' loss scaling, which reads the scale again. Another worker of
    ParameterServer may have changed the scale since `scale` was read. It also lacks the two bounds of the scale.
    """
    if not _is_loss_scaling(optimizer):
        optimizer.apply(sums, variables)
        return
    finite = optimizer.check_finite(sums)

    def update(*sums: Tensor | None) -> None:
        optimizer.inner_optimizer.apply(divided(sums, scale), variables)

    _choose(lambda: finite, update, _nothing, *sums)
    counted = optimizer.step_counter + 1
    # One that is lost among several workers must not prevent the growth.
    grows = counted >= optimizer.dynamic_growth_steps
    optimizer.step_counter.assign(tf.where(finite & ~grows, counted, 0))
    factor = tf.where(finite, tf.where(grows, 2.0, 1.0), 0.5)
    optimizer.dynamic_scale.assign(tf.clip_by_value(optimizer.dynamic_scale * factor, LOWEST_SCALE, HIGHEST_SCALE))


def _is_loss_scaling(optimizer: Optimizer) -> bool:
    """Return whether `optimizer` is Keras' own loss scaling; a subclass may scale by rules of its own."""
    return type(optimizer) is keras.mixed_precision.LossScaleOptimizer


def take_sums(optimizer: Optimizer) -> None:
    """Have `optimizer`, which is built, take gradients that are summed already.

    Keras has no public option for this, and its optimizers do not work outside of a replica. `scaled` fails when Keras
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

        def is_due() -> Tensor:
            return tf.equal((optimizer.iterations + 1) % every, 0)

        def overwrite() -> None:
            for variable, average in zip(trained, optimizer._model_variables_moving_average, strict=True):
                if average is not None:
                    variable.assign(average)

        _choose(is_due, overwrite, _nothing)


def _update(optimizer: Optimizer, gradients: Sequence[Tensor], variables: Sequence[Variable]) -> None:
    clipped = optimizer._clip_gradients(list(gradients))
    optimizer._apply_weight_decay(variables)
    optimizer._backend_update_step(clipped, variables, optimizer.learning_rate)


def _accumulate(optimizer: Optimizer, gradients: Sequence[Tensor], variables: Sequence[Variable], steps: int) -> None:
    sums = [optimizer._accumulated_gradients[optimizer._get_variable_index(each)] for each in variables]

    def is_last() -> Tensor:
        return tf.equal((optimizer._iterations + 1) % steps, 0)

    def update(*gradients: Tensor) -> None:
        means = [(each + total) / steps for each, total in zip(gradients, sums, strict=True)]
        _update(optimizer, means, variables)
        optimizer._backend_reset_gradient_accumulators()

    def add(*gradients: Tensor) -> None:
        for total, each in zip(sums, gradients, strict=True):
            total.assign(total + each)

    dense = [tf.convert_to_tensor(each) for each in gradients]
    _choose(is_last, update, add, *dense)


def _nothing(*_: Tensor | None) -> None:
    pass


def _choose(
    condition: Callable[[], Tensor], true: Callable[..., None], false: Callable[..., None], *args: Tensor
) -> None:
    """Call `true` or `false` with `args` in all replicas, whatever `condition` is for the first one."""

    def together(strategy: Strategy, *args: Tensor) -> None:
        def call(function: Callable[..., None]) -> Tensor:
            strategy.extended.call_for_each_replica(function, args=args)
            return tf.constant(0)  # both branches must return something

        tf.cond(condition(), partial(call, true), partial(call, false))

    tf.distribute.get_replica_context().merge_call(together, args=args)
