"""Keras models by name. Each has logits as its output and a layer named `embedding` in front of the classifier."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from tfc.models.dscnn import dscnn
from tfc.models.mobilenet import mobilenet
from tfc.models.resnet import resnet8, resnet20

MODELS: dict[str, Callable[..., tf.keras.Model]] = {
    "resnet8": resnet8,
    "resnet20": resnet20,
    "mobilenet": mobilenet,
    "dscnn": dscnn,
}
"""Builders: (input_shape, num_classes, *, seed, batchnorm_momentum) -> Keras model."""
