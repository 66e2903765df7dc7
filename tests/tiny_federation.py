"""A federation small enough to trace and train in seconds: model, settings, clients, broadcasts."""

import collections

import numpy as np
import tensorflow as tf

from tfc import config
from tfc.codec import message as numpy_codec
from tfc.codec.frequency_bands import change_of, scaled
from tfc.codec.message_spec import Message, ReferenceModel
from tfc.codec.palette import Palette, dequantize
from tfc.data.ood import procedural_images
from tfc.data.partition import ClientExamples
from tfc.federated.client_data import ClientFlags, client_data, client_data_type

SHAPE, CLASSES, MAX_CLUSTERS = (8, 8, 1), 4, 8
TRACES = collections.Counter()


def model_fn():
    TRACES["model_fn"] += 1
    x = inputs = tf.keras.Input(SHAPE)
    initializer = tf.keras.initializers.GlorotUniform(1)
    x = tf.keras.layers.Conv2D(6, 3, padding="same", use_bias=False, kernel_initializer=initializer)(x)
    x = tf.keras.layers.BatchNormalization(momentum=0.5)(x)
    x = tf.keras.layers.ReLU()(x)
    x = tf.keras.layers.Conv2D(6, 3, padding="same", kernel_initializer=tf.keras.initializers.GlorotUniform(2))(x)
    x = tf.keras.layers.ReLU()(x)
    x = tf.keras.layers.GlobalAveragePooling2D(name="embedding")(x)
    return tf.keras.Model(
        inputs, tf.keras.layers.Dense(CLASSES, kernel_initializer=tf.keras.initializers.GlorotUniform(3))(x)
    )


def settings(**changes):
    tables = {
        "seed": 5,
        "training": {"batch_size": 8, "plain_epochs": 1, "clustered_epochs": 1, "learning_rate": 0.01},
        "clustering": {
            "min_clusters": 4, "max_clusters": MAX_CLUSTERS, "step": 2, "patience": 1, "init_rounds": 1, "limit": 9.0,
        },
        "server": {"ood_examples": 16, "batch_size": 8, "epochs": 1},
    }  # fmt: skip
    for table, values in changes.items():
        tables[table] = {**tables.get(table, {}), **values}
    return config.from_dict(tables)


def examples(seed, train=24, validation=6):
    rng = np.random.default_rng(seed)

    def draw(count):
        y = rng.integers(0, CLASSES, count).astype(np.int32)
        x = rng.random((count, *SHAPE)).astype(np.float32) + 0.3 * y[:, None, None, None]
        return x.astype(np.float32), y

    return ClientExamples(*draw(train), *draw(validation))


DATA_TYPE = client_data_type(SHAPE, np.float32)
OOD = procedural_images(16, 8, SHAPE, 5)


def assert_equal(left, right):
    tf.nest.map_structure(np.testing.assert_array_equal, tf.nest.flatten(left), tf.nest.flatten(right))


def broadcast_of(spec, num_clusters, seed=0):
    """A random model of a specification as its receiver holds it, and its payload, a key frame."""
    rng = np.random.default_rng(seed)
    palettes = []
    for shape in spec.layout.kernel_shapes:
        codebook = np.full(spec.max_clusters, 1e9, np.float32)
        codebook[:num_clusters] = np.linspace(-0.5, 0.5, num_clusters)
        palettes.append(Palette(codebook, rng.integers(0, num_clusters, shape).astype(np.uint8)))
    model = model_fn()
    _, others = spec.layout.split(model.trainable_variables, model.non_trainable_variables)
    control = np.full(spec.control_size, 0.8, np.float32)
    message = Message(np.int32(num_clusters), tuple(palettes), tuple(other.numpy() for other in others), control)
    payload = numpy_codec.encode(message, spec.downlink)
    return numpy_codec.decode(payload, spec.downlink).held, np.frombuffer(payload, np.uint8)


def answer_of(spec, held, scalars, seed=1, examples_change=0.05):
    """A random answer to a broadcast: what it says and its payload."""
    rng = np.random.default_rng(seed)
    clusters, slots = int(held.num_clusters), spec.uplink.max_clusters
    palettes = []
    for palette in held.palettes:
        if spec.palettizes_update:
            codebook = np.linspace(-0.1, 0.1, slots).astype(np.float32)
            indices = rng.integers(0, slots, palette.indices.shape)
        else:
            codebook = palette.codebook + np.where(np.arange(slots) < clusters, rng.normal(size=slots) * 0.01, 0)
            indices = rng.integers(0, clusters, palette.indices.shape)
        palettes.append(Palette(codebook.astype(np.float32), indices.astype(np.uint8)))
    others = tuple((other + rng.random(other.shape) * examples_change).astype(np.float32) for other in held.others)
    count = slots if spec.palettizes_update else clusters
    message = Message(np.int32(count), tuple(palettes), others, np.array(scalars, np.float32))
    payload = numpy_codec.encode(message, spec.uplink, held, update=spec.palettizes_update)
    return numpy_codec.decode(payload, spec.uplink, held).message, np.frombuffer(payload, np.uint8)


def told_kernels(message):
    """What a message says of the kernels: weights, or of an update their changes."""
    kernels = [dequantize(palette) for palette in message.palettes]
    if not message.band_scales:
        return kernels
    return [change_of(scaled(values, scales)) for values, scales in zip(kernels, message.band_scales, strict=True)]


def typed(held):
    """A held model from a TFF state with its Python types."""
    palettes = tuple(Palette(*(np.asarray(part) for part in palette)) for palette in held[1])
    moves, others = (tuple(np.asarray(part) for part in parts) for parts in (held[2], held[3]))
    return ReferenceModel(np.asarray(held[0]), palettes, moves, others)


def data_of(clients, round_number, flags=ClientFlags.NONE):
    return [client_data(client, number, round_number, flags) for number, client in enumerate(clients)]
