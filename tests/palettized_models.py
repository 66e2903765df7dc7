"""Small Keras models with palettes, one for each trap of the way into TFLite."""

import numpy as np
import tensorflow as tf

layers = tf.keras.layers
SHAPE = (8, 8, 3)
CLUSTERS = 8


def palettize(model, clusters=CLUSTERS, seed=0):
    """Snaps every kernel to a palette of its own, and gives BatchNorm something to fold."""
    rng = np.random.default_rng(seed)
    for layer in model.submodules:
        if isinstance(layer, (layers.Conv2D, layers.Conv2DTranspose, layers.Dense, layers.DepthwiseConv2D)):
            kernel = getattr(layer, "depthwise_kernel", None)
            kernel = layer.kernel if kernel is None else kernel
            codebook = np.sort(rng.normal(0, 0.3, clusters)).astype(np.float32)
            kernel.assign(codebook[rng.integers(0, clusters, kernel.shape)])
            if layer.use_bias:
                layer.bias.assign(rng.normal(0, 0.1, layer.bias.shape))
        if isinstance(layer, layers.BatchNormalization):
            shape = layer.gamma.shape
            layer.gamma.assign(rng.uniform(0.3, 2.0, shape))
            layer.beta.assign(rng.normal(0, 0.2, shape))
            layer.moving_mean.assign(rng.normal(0, 0.2, shape))
            layer.moving_variance.assign(rng.uniform(0.2, 2.0, shape))
    return model


def _head(x):
    return layers.Dense(4, name="logits")(layers.GlobalAveragePooling2D(name="embedding")(x))


def plain():
    """Convolutions with BatchNorm behind them."""
    x = inputs = tf.keras.Input(SHAPE)
    for filters in (8, 16):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    return palettize(tf.keras.Model(inputs, _head(x)))


def negative_gamma():
    """Folded factors below zero mirror the codes of their channels; one of exactly zero takes its channel away."""
    model = plain()
    norm = next(layer for layer in model.layers if isinstance(layer, layers.BatchNormalization))
    gamma = norm.gamma.numpy()
    gamma[::2] *= -1
    gamma[3] = 0
    norm.gamma.assign(gamma)
    return model


def no_batchnorm():
    """Convolutions with a bias and nothing to fold."""
    x = inputs = tf.keras.Input(SHAPE)
    x = layers.Conv2D(8, 3, activation="relu")(x)
    return palettize(tf.keras.Model(inputs, _head(layers.Conv2D(8, 3, activation="relu")(x))))


def depthwise():
    """MobileNet's block: the channel axis of a depthwise kernel is the last one."""
    x = inputs = tf.keras.Input(SHAPE)
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, use_bias=False)(x)))
    x = layers.ReLU()(layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(16, 1, use_bias=False)(x)))
    return palettize(tf.keras.Model(inputs, _head(x)))


def shared_layer():
    """One convolution used twice: one kernel, two biases' scales."""
    x = inputs = tf.keras.Input((8, 8, 8))
    conv = layers.Conv2D(8, 3, padding="same", activation="relu")
    return palettize(tf.keras.Model(inputs, _head(conv(conv(x)))))


def transposed():
    """A transposed convolution."""
    x = inputs = tf.keras.Input(SHAPE)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    return palettize(tf.keras.Model(inputs, _head(layers.Conv2DTranspose(8, 3, strides=2, padding="same")(x))))


def nested():
    """A model inside of a model."""
    inner_input = tf.keras.Input(SHAPE)
    y = layers.BatchNormalization()(layers.Conv2D(8, 3, use_bias=False)(inner_input))
    inner = tf.keras.Model(inner_input, layers.ReLU()(y))
    inputs = tf.keras.Input(SHAPE)
    return palettize(tf.keras.Model(inputs, _head(inner(inputs))))


def dense_batchnorm():
    """BatchNorm behind a dense layer, whose kernel has one scale in int8."""
    x = inputs = tf.keras.Input((12,))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Dense(16, use_bias=False, name="hidden")(x)))
    return palettize(tf.keras.Model(inputs, layers.Dense(4, name="logits")(x)))


def two_inputs():
    """More than one input."""
    inputs = [tf.keras.Input((4,)), tf.keras.Input((4,))]
    return palettize(tf.keras.Model(inputs, layers.Dense(4)(layers.Concatenate()(inputs))))


MODELS = {
    build.__name__: build
    for build in (plain, negative_gamma, no_batchnorm, depthwise, shared_layer, transposed, nested)
}
