"""Whether a dataset never ends, also where its length is unknown in TensorFlow."""

from __future__ import annotations

from typing import Final

import tensorflow as tf

from trainer.runtime.types import Dataset

END_WITH_INPUT: Final = frozenset(
    {
        "CacheDataset",
        "_BatchDataset",
        "_FilterDataset",
        "_FlatMapDataset",
        "_IgnoreErrorsDataset",
        "_InterleaveDataset",
        "_MapDataset",
        "_OptionsDataset",
        "_PaddedBatchDataset",
        "_ParallelBatchDataset",
        "_ParallelInterleaveDataset",
        "_ParallelMapDataset",
        "_PrefetchDataset",
        "_RestructuredDataset",
        "_ScanDataset",
        "_ShuffleDataset",
        "_UnbatchDataset",
        "_UniqueDataset",
        "_ZipDataset",
    }
)
"""Datasets that end only when one of their inputs ends."""


def never_ends(dataset: Dataset) -> bool:
    """Return whether `dataset` is endless, or reads only endless datasets as `repeat().filter(...)` does.

    A dataset that is computed by a Python generator may be endless, too. Only an evaluation shows that.
    """
    if (length := int(dataset.cardinality())) != tf.data.UNKNOWN_CARDINALITY:
        return bool(length == tf.data.INFINITE_CARDINALITY)
    inputs = dataset._inputs() if type(dataset).__name__ in END_WITH_INPUT else ()
    return bool(inputs) and all(never_ends(each) for each in inputs)
