"""Inception v3: 23,851,784 parameters and 5.7 G multiply-adds per image of 299x299 pixels in 1000 classes."""

from __future__ import annotations

from typing import ClassVar

import keras

from trainer.task import Model
from trainer.tasks.images import ImageClassification
from trainer.tasks.normalization import fused


class InceptionV3(ImageClassification):
    """Classifies images with Inception v3 (Szegedy et al., 2015), without its auxiliary classifier."""

    defaults: ClassVar = {**ImageClassification.defaults, "image_size": 299}

    def network(self, side: int) -> Model:
        """Return the network of Keras with random weights. `side` must be 75 or more."""
        shape = (side, side, 3)
        return fused(keras.applications.InceptionV3(include_top=False, weights=None, input_shape=shape, pooling="avg"))
