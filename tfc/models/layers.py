"""Layers whose first weights are a function of the model's seed and the layer's position."""

from __future__ import annotations

import itertools

import tensorflow as tf

layers = tf.keras.layers


class SeededLayers:
    """Makes the layers of one model, in order."""

    def __init__(self, seed: int, batchnorm_momentum: float, l2: float) -> None:
        """Starts a model.

        Args:
            seed: Seed of the model.
            batchnorm_momentum: Share of the old moving average that a training step keeps, 0 to 1.
            l2: Weight of the L2 penalty on kernels.
        """
        self._seeds = itertools.count(seed * 1000)
        self._numbers = itertools.count(1)
        self._momentum = batchnorm_momentum
        self._regularizer = tf.keras.regularizers.L2(l2) if l2 else None

    def conv(
        self, x: tf.Tensor, filters: int, kernel_size: int | tuple[int, int], strides: int | tuple[int, int]
    ) -> tf.Tensor:
        """A convolution without bias, same padding."""
        return layers.Conv2D(
            filters,
            kernel_size,
            strides,
            padding="same",
            use_bias=False,
            kernel_initializer=tf.keras.initializers.GlorotUniform(next(self._seeds)),
            kernel_regularizer=self._regularizer,
            name=f"conv{next(self._numbers)}",
        )(x)

    def depthwise(self, x: tf.Tensor, kernel_size: int, strides: int) -> tf.Tensor:
        """A depthwise convolution without bias, same padding."""
        return layers.DepthwiseConv2D(
            kernel_size,
            strides,
            padding="same",
            use_bias=False,
            depthwise_initializer=tf.keras.initializers.GlorotUniform(next(self._seeds)),
            depthwise_regularizer=self._regularizer,
            name=f"depthwise{next(self._numbers)}",
        )(x)

    def norm(self, x: tf.Tensor) -> tf.Tensor:
        """BatchNorm."""
        return layers.BatchNormalization(momentum=self._momentum, name=f"norm{next(self._numbers)}")(x)

    def classifier(self, x: tf.Tensor, num_classes: int) -> tf.Tensor:
        """Global average pooling (the layer `embedding`) and a dense layer of logits."""
        initializer = tf.keras.initializers.GlorotUniform(next(self._seeds))
        embedding = layers.GlobalAveragePooling2D(name="embedding")(x)
        return layers.Dense(
            num_classes, kernel_initializer=initializer, kernel_regularizer=self._regularizer, name="logits"
        )(embedding)
