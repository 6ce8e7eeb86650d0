"""Type aliases for objects of TensorFlow and Keras. All are `Any`, because both ship no type annotations."""

from __future__ import annotations

from typing import Any, TypeAlias

Cluster: TypeAlias = Any
"""The cluster of a `tf.distribute.coordinator.ClusterCoordinator`."""
Coordinator: TypeAlias = Any
"""A `tf.distribute.coordinator.ClusterCoordinator`."""
Dataset: TypeAlias = Any
"""A `tf.data.Dataset`."""
Iterator: TypeAlias = Any
"""An iterator over a dataset that a strategy distributes."""
Json: TypeAlias = Any
"""A decoded JSON value."""
Metric: TypeAlias = Any
"""A `keras.metrics.Metric`."""
Model: TypeAlias = Any
"""A `keras.Model`."""
Module: TypeAlias = Any
"""A Python module that is imported inside a function."""
Optimizer: TypeAlias = Any
"""A `keras.Optimizer`."""
Partitioner: TypeAlias = Any
"""A function that cuts variables into parts, for a ParameterServerStrategy."""
Resolver: TypeAlias = Any
"""A `tf.distribute.cluster_resolver.ClusterResolver`."""
ServerDef: TypeAlias = Any
"""A `ServerDef`, TensorFlow's definition of a cluster."""
Strategy: TypeAlias = Any
"""A `tf.distribute.Strategy`."""
Tensor: TypeAlias = Any
"""A `tf.Tensor`, or a structure of them."""
Variable: TypeAlias = Any
"""A `tf.Variable`, possibly one that a strategy shards or mirrors."""
