"""A small one-dimensional convolutional network for windows of sensor readings, a plain Keras functional model."""

from __future__ import annotations

import tensorflow as tf

from tfc.base.errors import ConfigError
from tfc.models.layers import SeededLayers

_KERNEL = 5
_FILTERS = (32, 48, 64)
_AXES = 2


def conv1d(
    input_shape: tuple[int, int],
    num_classes: int,
    *,
    seed: int = 0,
    batchnorm_momentum: float = 0.9,
    l2: float = 0.0,
) -> tf.keras.Model:
    """Builds three convolutions of 5 steps with BatchNorm, the later two with stride 2, and a dense layer.

    A convolution over time is one over images of width 1 here, as in TFLite: tfmot and microcontrollers know that.

    Args:
        input_shape: Steps, features.
        num_classes: Length of the logits.
        seed: Initial weights are a function of it.
        batchnorm_momentum: Share of the old moving average that a training step keeps, 0 to 1.
        l2: Weight of the L2 penalty on kernels.

    Returns:
        A functional model from inputs (batch, steps, features) to logits (batch, num_classes), with a layer
        `embedding` of shape (batch, 64); 25,031 parameters at six features and seven classes.

    Raises:
        ConfigError: If inputs have other axes.
    """
    if len(input_shape) != _AXES:
        raise ConfigError(
            f"model.name = 'conv1d' takes windows of shape (steps, features); these data have {tuple(input_shape)}"
        )
    make = SeededLayers(seed, batchnorm_momentum, l2)
    inputs = tf.keras.Input(input_shape, name="window")
    x = tf.keras.layers.Reshape((input_shape[0], 1, input_shape[1]))(inputs)
    for number, filters in enumerate(_FILTERS):
        strides = (1 if number == 0 else 2, 1)
        x = tf.keras.layers.ReLU()(make.norm(make.conv(x, filters, (_KERNEL, 1), strides)))
    return tf.keras.Model(inputs, make.classifier(x, num_classes), name="conv1d")
