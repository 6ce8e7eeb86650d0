"""What the model and the loss change in a training step must be in the checkpoints."""

from __future__ import annotations

import tensorflow as tf
from tensorflow.python.framework.auto_control_deps_utils import get_read_only_resource_input_indices_graph

from trainer.engine import replicated, untracked
from trainer.engine.calling import calling
from trainer.engine.evaluation import Evaluation
from trainer.runtime.errors import InvalidTask, Words
from trainer.runtime.types import Json, Tensor, Variable


def require_kept(local: Evaluation, features: Tensor, labels: Tensor) -> None:
    """Refuse variables that a training step changes and that no checkpoint contains.

    TensorFlow does not find a `tf.Variable` in a list, and Keras does not find one outside the layers. After a restart,
    and in an evaluation, such a variable would begin again.

    Raises:
        InvalidTask: There is such a variable.

    """
    model, unseeded = local.model, replicated.Generator(0)

    def forward(features: Tensor, labels: Tensor) -> Tensor:
        replicated.draw_unseeded_from(unseeded)
        return local.losses(labels, model(features, training=True))

    with calling("model() or loss() in training"):
        graph = tf.function(forward).get_concrete_function(features, labels).graph
    known = untracked.identities([*untracked.variables(model), *replicated.seeds(model, unseeded)])
    for variable in _changed(graph):
        if id(variable) not in known:
            raise InvalidTask(
                "model() or loss()",
                got=Words(f"the variable {variable.name}, which changes in training and is not in a checkpoint"),
                expected="state that the layers of the model hold",
                fix="Create it with add_weight(trainable=False) of a layer",
            )


def _changed(graph: Json) -> list[Variable]:
    """Return the variables that `graph` assigns."""
    only_read = set(get_read_only_resource_input_indices_graph(graph))
    inner = [each for place, each in enumerate(graph.inputs) if place not in only_read]
    outer = {id(outside) for outside, inside in graph.captures if any(inside is each for each in inner)}
    return [each for each in graph.variables if id(each.handle) in outer]
