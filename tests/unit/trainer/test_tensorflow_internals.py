"""Checks of the private, undocumented and textual parts of TensorFlow and Keras that the trainer uses.

There is one check for each name on the page docs/contributing/tensorflow-internals.md.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import mmap
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "contributing" / "tensorflow-internals.md"
PRIVATE_MODULES = ("tensorflow.python", "tensorflow.core", "tensorflow.compiler", "keras.src")


def in_binaries(text: str) -> bool:
    """Return whether one of TensorFlow's shared libraries contains `text`."""
    spec = importlib.util.find_spec("tensorflow")
    assert spec and spec.submodule_search_locations
    for library in Path(spec.submodule_search_locations[0]).glob("libtensorflow*.so*"):
        with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            if content.find(text.encode()) >= 0:
                return True
    return False


def nested_functions() -> bool:
    inner = tf.function(lambda x: tf.linalg.matmul(x, x), autograph=False)
    outer = tf.function(lambda x: inner(x) + 1.0).get_concrete_function(tf.TensorSpec([2, 2]))
    names = list(outer.graph._functions)
    return [each.type for each in outer.graph._get_function(names[0]).graph.get_operations()].count("MatMul") == 1


def constants() -> bool:
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    variable = tf.Variable(2.0)
    function = tf.function(lambda x: x * variable).get_concrete_function(tf.TensorSpec([]))
    return "ReadVariableOp" not in {
        each.type for each in convert_variables_to_constants_v2(function).graph.get_operations()
    }


def assigned_resources() -> bool:
    from tensorflow.python.framework.auto_control_deps_utils import get_read_only_resource_input_indices_graph

    read, changed = tf.Variable(1.0), tf.Variable(2.0)
    graph = tf.function(lambda: changed.assign_add(read)).get_concrete_function().graph
    places = get_read_only_resource_input_indices_graph(graph)
    inside = {id(outer): inner for outer, inner in graph.captures}
    return [graph.inputs[each] is inside[id(read.handle)] for each in places] == [True]


def error_report() -> bool:
    from tensorflow.python.eager import context

    functions = (context.context().report_error_to_cluster, context.context().update_server_def, context.get_server_def)
    return all(callable(each) for each in functions)


def cluster_of_a_coordinator() -> bool:
    from tensorflow.python.distribute.coordinator.cluster_coordinator import Cluster, ClusterCoordinator

    made = inspect.getsource(ClusterCoordinator.__init__), inspect.getsource(Cluster.__init__)
    return (
        "self._cluster = Cluster(" in made[0] and "self.workers = " in made[1] and "self.failure_handler = " in made[1]
    )


def dead_worker() -> bool:
    from tensorflow.python.distribute.coordinator.cluster_coordinator import Worker

    made = inspect.getsource(Worker._register_and_schedule_resource_closure)
    return "if self._is_dead_with_error:" in made and "_set_aborted" in made


def connection() -> bool:
    strategy = tf.distribute.ParameterServerStrategy
    connect, made = inspect.getsource(strategy._connect_to_cluster), inspect.getsource(strategy.__init__)
    names = "self._num_workers = |self._num_ps = |set_device_filters|TF_ENABLE_EAGER_CLIENT_STREAMING_ENQUEUE|"
    names += "TF_PS_DISABLE_ASYNC_EXECUTOR_GLOBALLY|remote.connect_to_cluster|set_server_def_retries|ensure_initialized"
    return 'self._connect_to_cluster(coordinator_name="chief")' in made and all(n in connect for n in names.split("|"))


def handler_of_lost_workers() -> bool:
    from tensorflow.python.distribute.coordinator.cluster_coordinator import Worker, WorkerPreemptionHandler

    handler = inspect.getsource(WorkerPreemptionHandler)
    names = "_cluster_due_for_update_or_finish _cluster_update_lock _worker_up_cond _error_from_recovery"
    names += " _should_preemption_thread_run _validate_preemption_failure _preemption_handler"
    used = inspect.getsource(Worker).count("self.failure_handler.wait_on_failure(")
    return all(f"self.{name}" in handler for name in names.split()) and used == 2


def merge_call() -> bool:
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    call = tf.__internal__.distribute.interim.maybe_merge_call
    return int(strategy.run(lambda: call(lambda _, value: value + 1, strategy, tf.constant(1)))) == 2


def nested_layers() -> bool:
    inner = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="wanted")])
    model = keras.Sequential([keras.Input((2,)), inner])
    return "wanted" in {layer.name for layer in model._flatten_layers()}


def mask() -> bool:
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Embedding(3, 1, mask_zero=True)(inputs))
    return model(tf.ones([1, 2]))._keras_mask is not None


def optimizer_part(name: str) -> Callable[[], bool]:
    """Return the check that the optimizers of Keras, when built, have the attribute `name`."""

    def check() -> bool:
        optimizer = keras.optimizers.SGD(use_ema=True, gradient_accumulation_steps=2, clipnorm=1.0)
        optimizer.build([keras.Variable([1.0])])
        return hasattr(optimizer, name)

    return check


def summing() -> bool:
    """Return whether an optimizer sums the gradients with the method that the trainer replaces."""
    optimizer, variable, called = keras.optimizers.SGD(1.0), keras.Variable(1.0), []
    optimizer.build([variable])
    optimizer._all_reduce_sum_gradients = lambda pairs: called.append(pairs) or pairs
    tf.distribute.get_strategy().run(lambda: optimizer.apply([tf.constant(1.0)]))
    return len(called) == 1 and float(variable) == 0.0


def applying() -> bool:
    """Return whether an optimizer calls the method that the trainer replaces once per step."""
    optimizer, called = keras.optimizers.SGD(1.0), []
    optimizer.build([keras.Variable(1.0)])
    optimizer._backend_apply_gradients = lambda gradients, _: called.append(gradients)
    optimizer.apply([tf.constant(1.0)])
    return len(called) == 1


def global_generator() -> bool:
    """Return whether operations without a seed draw from the generator that the trainer sets."""
    from keras.src.backend.common import global_state
    from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR

    generator = keras.random.SeedGenerator(1)
    before = generator.state.numpy().tolist()
    global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, generator)
    keras.random.normal(())
    return bool(generator.state.numpy().tolist() != before)


def seed_state() -> bool:
    return str(keras.random.SeedGenerator(1).state.path).endswith("seed_generator_state")


def keras_variable() -> bool:
    return isinstance(keras.Variable(0, dtype="int64").value, tf.Variable)


def sharded_variable() -> bool:
    from tensorflow.python.distribute.sharded_variable import ShardedVariable

    return len(ShardedVariable([tf.Variable([1.0]), tf.Variable([2.0])]).variables) == 2


def dataset_inputs() -> bool:
    first = tf.data.Dataset.range(3)
    return bool(first.batch(2)._inputs()[0] is first)


def dataset_classes() -> bool:
    from trainer.engine.endless import END_WITH_INPUT
    from trainer.inputs import _BATCHES, _ONE_TO_ONE

    data = tf.data.Dataset.range(3)
    found = [
        data.batch(2), data.batch(2, num_parallel_calls=2), data.map(lambda x: x), data.prefetch(1),
        data.map(lambda x: x, num_parallel_calls=2), data.with_options(tf.data.Options()),
        tf.data.Dataset.zip(data, data),
    ]  # fmt: skip
    counted = data.apply(tf.data.experimental.assert_cardinality(3))
    nested = data.map(lambda x: x[None])
    more = [
        data.cache(), data.filter(lambda x: x > 0), data.flat_map(tf.data.Dataset.range), data.ignore_errors(),
        data.interleave(tf.data.Dataset.range), data.interleave(tf.data.Dataset.range, num_parallel_calls=2),
        nested.padded_batch(2), data.scan(0, lambda state, x: (state, x)), data.shuffle(3), nested.unbatch(),
        nested.unbatch()._inputs()[0], data.unique(),
    ]  # fmt: skip

    def names(datasets: list[Any]) -> set[str]:
        return {type(each).__name__ for each in datasets}

    return names([*found, counted]) == _BATCHES | _ONE_TO_ONE and names([*found, *more]) == END_WITH_INPUT


def zeros_for_data() -> bool:
    from tensorflow.python.distribute import input_lib

    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    ends, endless = tf.data.Dataset.range(3).batch(2), tf.data.Dataset.range(3).repeat().batch(2)
    optional = [input_lib._enable_get_next_as_optional(strategy, each, each.cardinality()) for each in (ends, endless)]
    return optional == [True, False]


def error_classes() -> bool:
    base = next(each for each in tf.errors.UnavailableError.__mro__ if each.__name__ == "OpError")
    return base.__module__.startswith("tensorflow")


def checkpoint_files(tmp_path: Path) -> bool:
    tf.train.Checkpoint(x=tf.Variable(1.0)).write(str(tmp_path / "ckpt-5"))
    return {each.name for each in tmp_path.iterdir()} == {"ckpt-5.index", "ckpt-5.data-00000-of-00001"}


def checkpoint_state(tmp_path: Path) -> bool:
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "ckpt-5"\n')
    tf.train.Checkpoint(x=tf.Variable(1.0)).write(str(tmp_path / "ckpt-5"))
    return tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "ckpt-5")


def shared_queue() -> bool:
    server = tf.distribute.Server.create_local_server()

    def session() -> tuple[Any, Any, Any]:
        with tf.Graph().as_default() as graph:
            queue = tf.queue.FIFOQueue(2, [tf.int32], shapes=[()], shared_name="internals")
            return tf.compat.v1.Session(server.target, graph=graph), queue.enqueue(7), queue.size()

    first, put, _ = session()
    second, _, size = session()
    first.run(put)
    return int(second.run(size)) == 1


def user_code() -> bool:
    def broken(x: Any) -> Any:
        raise KeyError("label")

    with pytest.raises(KeyError) as error:
        tf.function(broken)(tf.constant(1.0))
    lines = [line.strip() for line in str(error.value).splitlines() if line.strip()] or str(error.value).split("\\n")
    return "in user code:" in lines[0] and "label" in lines[-1]


def graph_error() -> bool:
    def checked(x: Any) -> Any:
        with tf.control_dependencies([tf.debugging.Assert(x > 1.0, ["too small"])]):
            return tf.identity(x)

    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        tf.function(checked)(tf.constant(0.0))
    return str(error.value).startswith("Graph execution error:")


def product_of_nadam() -> bool:
    optimizer = keras.optimizers.Nadam()
    optimizer.build([keras.Variable([1.0])])
    before = float(optimizer._u_product.numpy())
    optimizer.apply([tf.constant([1.0])])
    return before == 1.0 and float(optimizer._u_product.numpy()) < 1.0


def layer_error() -> bool:
    with pytest.raises(ValueError, match="Exception encountered when calling") as error:
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])(tf.ones([2, 3]))
    before, mark, after = str(error.value).partition("Arguments received by")
    return "expected axis -1" in before and bool(mark) and "inputs=" in after


CHECKS: dict[str, Callable[..., bool]] = {
    "_functions": nested_functions,
    "_get_function": nested_functions,
    "tensorflow.python.framework.convert_to_constants": constants,
    "tensorflow.python.framework.auto_control_deps_utils": assigned_resources,
    "tensorflow.python.eager": error_report,
    "tensorflow.python.distribute.coordinator": handler_of_lost_workers,
    "_cluster": cluster_of_a_coordinator,
    "_is_dead_with_error": dead_worker,
    "ParameterServerStrategy._connect_to_cluster": connection,
    "__internal__": merge_call,
    "_flatten_layers": nested_layers,
    "_keras_mask": mask,
    "_all_reduce_sum_gradients": summing,
    "_backend_apply_gradients": applying,
    **{
        name: optimizer_part(name)
        for name in (
            "_backend_update_step",
            "_backend_reset_gradient_accumulators",
            "_accumulated_gradients",
            "_get_variable_index",
            "_clip_gradients",
            "_apply_weight_decay",
            "_iterations",
            "_update_model_variables_moving_average",
            "_model_variables_moving_average",
            "_trainable_variables",
        )
    },
    "_u_product": product_of_nadam,
    "keras.src.random.seed_generator": global_generator,
    "keras.src.backend.common": global_generator,
    "seed_generator_state": seed_state,
    "Variable.value": keras_variable,
    "ShardedVariable.variables": sharded_variable,
    "_inputs": dataset_inputs,
    "dataset classes": dataset_classes,
    "zeros in place of data": zeros_for_data,
    "OpError": error_classes,
    "checkpoint files": checkpoint_files,
    "checkpoint state file": checkpoint_state,
    "shared queue": shared_queue,
    "in user code:": user_code,
    "Graph execution error:": graph_error,
    "Arguments received by": layer_error,
}
TEXTS = (
    "Memory patch applied",
    "Collective ops is aborted",
    "failed to connect to all addresses",
    "Socket closed",
    "recvmsg:",
    "coordination service",
    "Unable to find the relevant tensor remote_handle",
    "Unable to find a context_id",
    "unknown device",
)


def listed() -> list[tuple[str, str]]:
    """Return the name and the file of each row of the page."""
    return re.findall(r"^\| `([^|]+)` \| `([^|]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def private_uses(path: Path) -> Iterator[str]:
    """Yield the private attributes of other objects and the private modules that a file uses."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and re.fullmatch(r"_\w*[^_]|__internal__", node.attr):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls", "os", "libc")
            if not own and not (isinstance(node.value, ast.Attribute) and node.value.attr == "self"):
                yield node.attr
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PRIVATE_MODULES):
            yield str(node.module)
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.startswith(PRIVATE_MODULES))


def test_page_and_checks_list_the_same_internals() -> None:
    rows = listed()
    assert len(rows) == len(set(rows))
    assert {name for name, _ in rows} == {*CHECKS, *TEXTS}


def test_page_names_existing_files() -> None:
    for name, file in listed():
        assert (ROOT / file).is_file(), name


def test_page_lists_every_private_name_that_the_trainer_uses() -> None:
    used = {(name, str(p.relative_to(ROOT))) for p in (ROOT / "trainer").rglob("*.py") for name in private_uses(p)}
    assert used, "the search finds nothing"
    assert used <= set(listed())


@pytest.mark.parametrize("name", CHECKS)
def test_tensorflow_internal_still_exists(name: str, tmp_path: Path) -> None:
    check = CHECKS[name]
    assert check(tmp_path) if check.__code__.co_argcount else check()


@pytest.mark.slow
@pytest.mark.parametrize("text", TEXTS)
def test_tensorflow_still_contains_the_text(text: str) -> None:
    assert in_binaries(text)
