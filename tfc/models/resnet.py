"""Residual networks as plain Keras functional models.

Sources: He et al., "Deep Residual Learning for Image Recognition" (arXiv 1512.03385, section 4.2, the networks for
CIFAR-10); Banbury et al., "MLPerf Tiny Benchmark" (arXiv 2106.07597), whose image classifier is the ResNet with three
blocks.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from tfc.models.layers import SeededLayers

Shortcut = Callable[[SeededLayers, tf.Tensor, int, int], tf.Tensor]
layers = tf.keras.layers


def _projection(make: SeededLayers, x: tf.Tensor, filters: int, strides: int) -> tf.Tensor:
    """The shortcut of MLPerf Tiny's ResNet: a 1x1 convolution, no BatchNorm."""
    return make.conv(x, filters, 1, strides)


def _subsample_and_pad(make: SeededLayers, x: tf.Tensor, filters: int, strides: int) -> tf.Tensor:
    """Type A shortcut: every second pixel, new channels filled with zeros, no parameters.

    Written in layers that tfmot's clustering and quantisation accept (`tf.pad` would become an op layer): the channel
    axis is moved between the two spatial axes, where ZeroPadding2D can reach it, and back.
    """
    missing = filters - x.shape[-1]
    x = layers.AveragePooling2D(1, strides)(x)
    x = layers.Permute((1, 3, 2))(x)
    x = layers.ZeroPadding2D(((0, 0), (missing // 2, missing - missing // 2)))(x)
    return layers.Permute((1, 3, 2))(x)


def _resnet(
    make: SeededLayers,
    input_shape: tuple[int, int, int],
    num_classes: int,
    blocks_per_stage: int,
    shortcut: Shortcut,
    name: str,
) -> tf.keras.Model:
    inputs = tf.keras.Input(input_shape, name="image")
    x = layers.ReLU()(make.norm(make.conv(inputs, 16, 3, 1)))
    for filters, first_strides in ((16, 1), (32, 2), (64, 2)):
        for block in range(blocks_per_stage):
            strides = first_strides if block == 0 else 1
            y = layers.ReLU()(make.norm(make.conv(x, filters, 3, strides)))
            y = make.norm(make.conv(y, filters, 3, 1))
            x = shortcut(make, x, filters, strides) if strides != 1 else x
            x = layers.ReLU()(layers.Add()([x, y]))
    return tf.keras.Model(inputs, make.classifier(x, num_classes), name=name)


def resnet8(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    seed: int = 0,
    batchnorm_momentum: float = 0.9,
    l2: float = 0.0,
) -> tf.keras.Model:
    """Builds MLPerf Tiny's residual network: 7 convolutions 3x3, two 1x1 projections, one dense layer.

    Args:
        input_shape: Height, width (pixels), channels.
        num_classes: Length of the logits.
        seed: Initial weights are a function of it.
        batchnorm_momentum: Share of the old moving average that a training step keeps, 0 to 1.
        l2: Weight of the L2 penalty on kernels.

    Returns:
        A functional model from images (batch, height, width, channels) in [0, 1] to logits (batch, num_classes), with
        a layer `embedding` of shape (batch, 64); 78,042 parameters at 28x28x1 and 10 classes.
    """
    make = SeededLayers(seed, batchnorm_momentum, l2)
    return _resnet(make, input_shape, num_classes, 1, _projection, "resnet8")


def resnet20(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    seed: int = 0,
    batchnorm_momentum: float = 0.9,
    l2: float = 1e-4,
) -> tf.keras.Model:
    """Builds ResNet-20 with type A shortcuts, the paper's image model.

    Args:
        input_shape: Height, width (pixels), channels.
        num_classes: Length of the logits.
        seed: Initial weights are a function of it.
        batchnorm_momentum: Share of the old moving average that a training step keeps, 0 to 1.
        l2: Weight of the L2 penalty on kernels.

    Returns:
        A functional model from images (batch, height, width, channels) in [0, 1] to logits (batch, num_classes), with
        a layer `embedding` of shape (batch, 64); 269,722 trainable parameters at 32x32x3 and 10 classes.
    """
    make = SeededLayers(seed, batchnorm_momentum, l2)
    return _resnet(make, input_shape, num_classes, 3, _subsample_and_pad, "resnet20")
