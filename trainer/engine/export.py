"""The export of a model as a SavedModel. Its input names do not depend on how often the process built the model."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import keras
import tensorflow as tf

from trainer.runtime.errors import InvalidTask, Words
from trainer.runtime.logs import log
from trainer.runtime.types import Json, Model, Variable
from trainer.storage import files
from trainer.storage.run_dir import RunDir

ENDPOINT: Final = "serve"
"""The method of the loaded SavedModel. Its signature is also `serving_default`."""
_UNNAMED: Final = re.compile(r"(keras_tensor|input_layer)(_\d+)?")
"""The names that Keras gives to inputs without a name. Keras counts the inputs of all models of the process."""


def export(run_dir: RunDir, model: Model, signature: list[Json]) -> str:
    """Export the model to export/ in the run directory; return its path.

    The export is written to export.tmp/ and then renamed. So export/ is complete if it exists.
    """
    started = time.monotonic()
    target, temporary = run_dir.at("export"), temporary_path(run_dir)
    files.remove_tree(temporary)
    write(model, signature, temporary)
    files.replace_tree(temporary, target)
    log.info("exported the model in %.1f s: %s", time.monotonic() - started, target)
    return target


def temporary_path(run_dir: RunDir) -> str:
    """Return the directory in which an export is written before it is complete."""
    return run_dir.at("export.tmp")


def write(model: Model, signature: list[Json], path: str) -> Sequence[Variable]:
    """Write the SavedModel of `model` to the directory `path`; return the trainable variables in it.

    Args:
        model: The model, without a strategy.
        signature: The specs of the arguments, from `signature_of`.
        path: The directory, which does not exist.

    """
    archive = keras.export.ExportArchive()
    archive.track(model)
    # As in the evaluation: a layer may have another default for `training`.
    serve = tf.function(partial(model.__call__, training=False), input_signature=signature, autograph=False)
    # Without a trace, Keras would trace the model for each of its four uses.
    traced = serve.get_concrete_function()
    archive.add_endpoint(ENDPOINT, serve)
    archive.write_out(path, verbose=False)
    return traced.trainable_variables  # type: ignore[no-any-return]


def signature_of(model: Model, given: object | None, features: Json) -> list[Json]:
    """Return the specs of the arguments of the exported model, as `tf.function` takes them.

    Args:
        model: The model.
        given: The result of `Task.signature`. None: the inputs of the model, for every batch size.
        features: The specs of the features in a batch. They decide where the model does not: how a ragged or sparse
            input is stored, and what a model takes that does not begin with `keras.Input`.

    Raises:
        InvalidTask: The model has a ragged input, and the features do not show how it is stored.

    """
    if given is not None:
        return list(tf.nest.map_structure(_given, given if isinstance(given, list | tuple) else [given]))
    inputs = _inputs(model)
    if inputs is None:
        inputs = features
    flat, names = tf.nest.flatten(inputs), _names(inputs)
    found = in_order(inputs, features)
    if len(found) != len(flat):
        found = [None] * len(flat)
    specs = [_spec(*each) for each in zip(flat, names, found, strict=True)]
    return [tf.nest.pack_sequence_as(inputs, specs)]


def _inputs(model: Model) -> Json:
    """Return the structure of the inputs of `model`; None if the model does not record them."""
    if not getattr(model, "inputs", None):
        return None
    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input


def _names(inputs: Json) -> list[str]:
    """Return a name for each tensor in `inputs`: its own, its key, or its place."""
    flat = tf.nest.flatten(inputs)
    if isinstance(inputs, Mapping) and len(inputs) == len(flat):
        fallback = sorted(map(str, inputs))  # as `tf.nest` sorts them
    else:
        fallback = ["inputs"] if len(flat) == 1 else [f"inputs_{place}" for place in range(len(flat))]
    own = [getattr(each, "name", None) for each in flat]
    return [name if name and not _UNNAMED.fullmatch(name) else other for name, other in zip(own, fallback, strict=True)]


def _spec(tensor: Json, name: str, feature: Json) -> Json:
    """Return the spec of the input `tensor`, a Keras tensor or the spec of a feature."""
    if isinstance(feature, tf.RaggedTensorSpec):
        shape = [None, *feature.shape[1:]]
        return tf.RaggedTensorSpec(shape, feature.dtype, feature.ragged_rank, feature.row_splits_dtype)
    shape = [None, *tensor.shape[1:]]
    if getattr(tensor, "ragged", False):
        raise InvalidTask(
            "signature()",
            got=Words(f"None for the ragged input {name!r}"),
            expected="ragged features from dataset(), or a signature",
            fix="Return [tf.RaggedTensorSpec(...)] from signature()",
        )
    if isinstance(feature, tf.SparseTensorSpec) or getattr(tensor, "sparse", False):
        return tf.SparseTensorSpec(shape, tensor.dtype)
    return tf.TensorSpec(shape, tensor.dtype, name)


def _given(spec: Json) -> Json:
    """Return a spec of TensorFlow for `spec`, which may also be a Keras spec or a tensor."""
    if isinstance(spec, tf.TypeSpec):
        return spec
    shape = list(spec.shape) if isinstance(spec, keras.InputSpec) else [None, *spec.shape[1:]]
    return tf.TensorSpec(shape, spec.dtype, getattr(spec, "name", None))


def in_order(inputs: Json, features: Json) -> list[Json]:
    """Return the features of a batch, or their specs, in the order of the flattened `inputs`; None if one is missing.

    As in Keras, a mapping of features may have further entries, and its keys may be the names of the inputs.
    """
    if not isinstance(features, Mapping):
        return list(tf.nest.flatten(features))
    if isinstance(inputs, Mapping):
        return list(tf.nest.flatten({key: features.get(key) for key in inputs}))
    return [features.get(getattr(each, "name", None)) for each in tf.nest.flatten(inputs)]


def arguments(signature: list[Json], features: Json) -> list[Json] | None:
    """Return the features of a batch as arguments for `signature`, or None if they do not fit it."""
    if len(signature) != 1:
        return None
    specs, values = tf.nest.flatten(signature[0]), in_order(signature[0], features)
    if len(specs) != len(values):
        return None
    cast = [_cast(value, spec) for value, spec in zip(values, specs, strict=True)]
    if not all(spec.is_compatible_with(value) for value, spec in zip(cast, specs, strict=True)):
        return None
    return [tf.nest.pack_sequence_as(signature[0], cast)]


def _cast(value: Json, spec: Json) -> Json:
    """Return `value` with the type of `spec`, as Keras converts the inputs of a model."""
    dense = isinstance(value, tf.Tensor) and isinstance(spec, tf.TensorSpec)
    if not dense or value.dtype == spec.dtype or tf.string in (value.dtype, spec.dtype):
        return value
    return tf.cast(value, spec.dtype)
