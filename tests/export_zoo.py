"""Tiny Keras models of the kinds people export, and data for each: what tests of the export build, once per module."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from edge.conversion.keras_kernels import layout_of

layers, keras = tf.keras.layers, tf.keras
CLUSTERS = 8
IMAGE, SERIES = (8, 8, 4), (10, 8)
ALL = ("f32", "wo8", "int8", "lut", "packed")
FLOAT = ("f32", "wo8")


class Entry(NamedTuple):
    """A model of the zoo.

    Attributes:
        build: Returns it, untrained.
        variants: Those that it can be exported to.
        palettized: Whether its kernels get palettes.
    """

    build: Callable[[], keras.Model]
    variants: tuple[str, ...] = ALL
    palettized: bool = True


def sequence(shape, *parts):
    return lambda: keras.Sequential([keras.Input(shape), *[part() for part in parts]])


def image(*parts):
    return sequence(IMAGE, *parts, layers.GlobalAveragePooling2D, lambda: layers.Dense(4))


def series(*parts):
    return sequence(SERIES, *parts, layers.GlobalAveragePooling1D, lambda: layers.Dense(4))


def recurrent(*parts):
    return sequence(SERIES, *parts, lambda: layers.Dense(4))


def residual():
    inputs = keras.Input(IMAGE)
    x = layers.Conv2D(8, 1)(inputs)
    y = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same", use_bias=False)(x))
    return keras.Model(inputs, layers.Dense(4)(layers.Flatten()(layers.ReLU()(layers.Add()([x, y])))))


def shared():
    inputs = keras.Input(IMAGE)
    conv = layers.Conv2D(4, 3, padding="same", activation="relu")
    return keras.Model(inputs, layers.Dense(4)(layers.Flatten()(conv(conv(inputs)))))


def attention():
    inputs = keras.Input(SERIES)
    x = layers.Dense(16)(inputs)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 8)(x, x))
    return keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling1D()(x)))


def unet():
    inputs = keras.Input(IMAGE)
    first = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    second = layers.Conv2D(16, 3, padding="same", activation="relu")(layers.MaxPooling2D()(first))
    up = layers.Conv2DTranspose(8, 2, strides=2, padding="same")(second)
    return keras.Model(inputs, layers.Conv2D(3, 1, activation="softmax")(layers.Concatenate()([up, first])))


def embedding():
    inputs = keras.Input((12,), dtype="int32")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(100, 16)(inputs))
    return keras.Model(inputs, layers.Dense(4)(x))


def transfer():
    base = image(lambda: layers.Conv2D(8, 3, use_bias=False), layers.BatchNormalization, layers.ReLU)()
    base.trainable = False
    inputs = keras.Input(IMAGE)
    return keras.Model(inputs, layers.Dense(4, activation="softmax")(base(inputs, training=False)))


def pruned():
    """Small kernels with most weights zero: few distinct values by chance."""
    model = image(lambda: layers.Conv2D(8, 3, activation="relu"), lambda: layers.Conv2D(8, 1, activation="relu"))()
    rng = np.random.default_rng(0)
    weights = []
    for values in model.get_weights():
        if values.ndim > 1:
            # Channels of quite different size, as pruned and regularised ones have.
            values = rng.normal(0, 0.3, values.shape) * np.geomspace(1, 1e-2, values.shape[-1])
            values = np.where(rng.random(values.shape) < 0.7, 0, values)
        weights.append(values)
    model.set_weights(weights)
    return model


def dead_channels():
    model = image(lambda: layers.Conv2D(8, 3, activation="relu"), lambda: layers.Conv2D(64, 1, activation="relu"))()
    kernel = model.layers[0].kernel
    kernel.assign(np.where(np.arange(8) % 4 == 1, 1e-30 * np.sign(kernel), kernel).astype(np.float32))
    return model


def two_inputs():
    inputs = [keras.Input((6,), name="left"), keras.Input((4,), name="right")]
    return keras.Model(inputs, layers.Dense(4)(layers.Concatenate()(inputs)))


def two_outputs():
    inputs = keras.Input(IMAGE)
    x = layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(inputs))
    return keras.Model(inputs, [layers.Dense(4)(x), layers.Dense(1, activation="sigmoid")(x)])


def dictionary_in():
    inputs = keras.Input((8,), name="features")
    return keras.Model({"features": inputs}, layers.Dense(4)(inputs))


def dictionary_out():
    inputs = keras.Input((8,))
    return keras.Model(inputs, {"scores": layers.Dense(4)(inputs), "value": layers.Dense(1)(inputs)})


def bytes_in():
    inputs = keras.Input(IMAGE, dtype="uint8")
    x = layers.Conv2D(8, 3, activation="relu")(layers.Rescaling(1 / 255)(inputs))
    return keras.Model(inputs, layers.Dense(4, activation="softmax")(layers.Flatten()(x)))


def activations():
    inputs = keras.Input(IMAGE)
    x = layers.PReLU(shared_axes=[1, 2])(layers.Conv2D(8, 3)(inputs))
    x = layers.BatchNormalization()(keras.activations.swish(layers.Conv2D(8, 1)(x)))
    return keras.Model(inputs, layers.Dense(4)(layers.Flatten()(x)))


ZOO = {
    "dense": Entry(sequence((24,), lambda: layers.Dense(32, activation="relu"), lambda: layers.Dense(4))),
    "conv2d": Entry(
        image(
            lambda: layers.Conv2D(16, 3, use_bias=False),
            layers.BatchNormalization,
            layers.ReLU,
            lambda: layers.Conv2D(32, 3, activation="relu"),
        )
    ),
    "dilated": Entry(image(lambda: layers.Conv2D(8, 3, dilation_rate=2, padding="same"))),
    "grouped": Entry(image(lambda: layers.Conv2D(8, 3, groups=2))),
    "depthwise": Entry(image(lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu"))),
    "separable": Entry(image(lambda: layers.SeparableConv2D(16, 3, activation="relu"))),
    "transposed": Entry(image(lambda: layers.Conv2DTranspose(8, 3, strides=2))),
    "conv1d": Entry(series(lambda: layers.Conv1D(16, 3, activation="relu"))),
    "causal": Entry(series(lambda: layers.Conv1D(8, 3, padding="causal", dilation_rate=2))),
    "transposed1d": Entry(series(lambda: layers.Conv1DTranspose(8, 3, strides=2))),
    "separable1d": Entry(series(lambda: layers.SeparableConv1D(16, 3, activation="relu"))),
    "depthwise1d": Entry(series(lambda: layers.DepthwiseConv1D(3))),
    "conv3d": Entry(
        sequence((4, 6, 6, 2), lambda: layers.Conv3D(8, 3), layers.GlobalAveragePooling3D, lambda: layers.Dense(4)),
        FLOAT,
    ),
    "time_distributed": Entry(
        sequence(
            (3, *IMAGE), lambda: layers.TimeDistributed(layers.Conv2D(8, 3)), layers.Flatten, lambda: layers.Dense(4)
        )
    ),
    "residual": Entry(residual),
    "shared": Entry(shared),
    "attention": Entry(attention),
    "unet": Entry(unet),
    "lstm": Entry(recurrent(lambda: layers.LSTM(8))),
    # TensorFlow 2.14's converter makes int8 files of it whose outputs are shifted by most of their spread.
    "bidirectional": Entry(recurrent(lambda: layers.Bidirectional(layers.LSTM(8))), FLOAT),
    "gru": Entry(recurrent(lambda: layers.GRU(8)), FLOAT),
    "gru_unrolled": Entry(recurrent(lambda: layers.GRU(8, unroll=True))),
    "simple_rnn": Entry(recurrent(lambda: layers.SimpleRNN(8)), FLOAT),
    "embedding": Entry(embedding),
    "transfer": Entry(transfer),
    "pruned": Entry(pruned, palettized=False),
    "dead_channels": Entry(dead_channels, palettized=False),
    "two_inputs": Entry(two_inputs),
    "two_outputs": Entry(two_outputs),
    "dictionary_in": Entry(dictionary_in),
    "dictionary_out": Entry(dictionary_out),
    "bytes_in": Entry(bytes_in),
    "activations": Entry(activations),
    "sigmoid_head": Entry(sequence((24,), lambda: layers.Dense(1, activation="sigmoid"))),
    "regression_head": Entry(sequence((24,), lambda: layers.Dense(1))),
    "map_of_scores": Entry(
        sequence(IMAGE, lambda: layers.Conv2D(8, 3, activation="relu"), lambda: layers.Conv2D(4, 6))
    ),
}


def build(name):
    """Builds a model, seeded; its kernels get palettes where it is to have them, BatchNorm something to fold.

    The head's bias is moved so that no class is most examples' answer.
    """
    keras.utils.set_random_seed(0)
    entry = ZOO[name]
    model = entry.build()
    rng = np.random.default_rng(0)
    for layer in model.submodules:
        for part in layout_of(layer) if entry.palettized else ():
            kernel = getattr(layer, part)
            codebook = np.linspace(-1, 1, CLUSTERS) * 1.5 / np.sqrt(np.prod(kernel.shape[:-1]))
            kernel.assign(rng.choice(codebook, kernel.shape))
        if isinstance(layer, layers.BatchNormalization):
            layer.gamma.assign(rng.uniform(0.3, 2.0, layer.gamma.shape))
            layer.moving_variance.assign(rng.uniform(0.2, 2.0, layer.gamma.shape))
    for name, outputs in zip(model.output_names, predictions(model, data_for(model, 200)), strict=True):
        head = model.get_layer(name)
        activation = getattr(head, "activation", None)
        if activation is keras.activations.sigmoid:
            outputs = np.log(outputs) - np.log1p(-outputs)
        if activation is keras.activations.softmax:
            outputs = np.log(outputs)
        if getattr(head, "bias", None) is not None:
            head.bias.assign_sub(outputs.reshape(-1, outputs.shape[-1]).mean(axis=0))
    return model


def data_for(model, count=40, seed=1):
    """Returns inputs for a model, by the name of their array in an NPZ file; each channel has a strength of its own."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, tensor in zip(model.input_names, model.inputs, strict=True):
        shape, dtype = (count, *tensor.shape[1:]), np.dtype(tensor.dtype.as_numpy_dtype)
        strength = rng.random((count, *[1] * (len(shape) - 2), shape[-1]))
        values = rng.random(shape) * strength if dtype.kind == "f" else (rng.random(shape) * strength * 100).astype(int)
        found["x" if len(model.inputs) == 1 else name] = values.astype(dtype)
    return found


def predictions(model, data):
    """Returns the outputs of a Keras model, each (examples, ...)."""
    inputs = dict(zip(model.input_names, data.values(), strict=True))
    return [np.asarray(each) for each in tf.nest.flatten(model(inputs if len(inputs) > 1 else data.popitem()[1]))]


def labels_for(name, model, data):
    """Returns labels that fit a model's first output, and are those of the model itself for four of five examples."""
    output = predictions(model, dict(data))[0]
    rng = np.random.default_rng(2)
    if name == "regression_head":
        return (output + rng.normal(0, 0.5 * output.std(), output.shape)).astype(np.float32)
    wrong = rng.random(len(output)) < 0.2
    if name == "sigmoid_head":
        return ((output[:, 0] > 0.5) ^ wrong).astype(np.int64)
    classes = output.reshape(len(output), -1, output.shape[-1]).argmax(axis=-1)
    classes = np.where(wrong[:, None], (classes + 1) % output.shape[-1], classes)
    return classes.reshape(output.shape[:-1] if name == "unet" else len(output))
