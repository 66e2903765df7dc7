"""MobileNetV1 as YAMNet has it, a plain Keras functional model.

Sources: Howard et al., "MobileNets" (arXiv 1704.04861, table 1); YAMNet (TensorFlow Model Garden, research/audioset),
which puts it on log-mel patches.
"""

from __future__ import annotations

import tensorflow as tf

from tfc.models.layers import SeededLayers

BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
    (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip
"""Filters and strides of the separable convolutions."""


def mobilenet(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    seed: int = 0,
    batchnorm_momentum: float = 0.9,
    l2: float = 0.0,
) -> tf.keras.Model:
    """Builds MobileNetV1 of full width.

    Args:
        input_shape: Height, width, channels: pixels of an image, or frames and bins of a log-mel patch.
        num_classes: Length of the logits.
        seed: Initial weights are a function of it.
        batchnorm_momentum: Share of the old moving average that a training step keeps, 0 to 1.
        l2: Weight of the L2 penalty on kernels.

    Returns:
        A functional model from inputs (batch, height, width, channels) to logits (batch, num_classes), with a layer
        `embedding` of shape (batch, 1024); 3,238,538 parameters at one channel and 10 classes.
    """
    make = SeededLayers(seed, batchnorm_momentum, l2)
    relu = tf.keras.layers.ReLU
    inputs = tf.keras.Input(input_shape, name="image")
    x = relu()(make.norm(make.conv(inputs, 32, 3, 2)))
    for filters, strides in BLOCKS:
        x = relu()(make.norm(make.depthwise(x, 3, strides)))
        x = relu()(make.norm(make.conv(x, filters, 1, 1)))
    return tf.keras.Model(inputs, make.classifier(x, num_classes), name="mobilenet")
