"""ResNet-50: 25,636,712 parameters and 3.9 G multiply-adds per image of 224x224 pixels in 1000 classes."""

from __future__ import annotations

import keras

from trainer.task import Model
from trainer.tasks.images import ImageClassification
from trainer.tasks.normalization import fused


class ResNet50(ImageClassification):
    """Classifies images with ResNet-50 (He et al., 2015)."""

    def network(self, side: int) -> Model:
        """Return the network of Keras with random weights. `side` must be 32 or more."""
        shape = (side, side, 3)
        return fused(keras.applications.ResNet50(include_top=False, weights=None, input_shape=shape, pooling="avg"))
