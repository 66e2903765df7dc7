"""The contract of models, by values: what can be trained here, and the one line that says why a model can't."""

import numpy as np
import pytest
import tensorflow as tf

from tfc.base.errors import ConfigError
from tfc.models.embedding import find_embedding, with_embedding
from tfc.models.model_contract import ExpectedData, built, check_model, rebuilder
from tfc.models.moving_weights import kept_shares, moving_weights

layers = tf.keras.layers
SHAPE, CLASSES = (8, 8, 1), 4
PIXELS = np.random.default_rng(0).integers(0, 256, (32, *SHAPE), dtype=np.uint8)


def body(x):
    x = layers.Conv2D(6, 3, activation="relu")(x)
    return layers.Flatten(name="features")(x)


def functional(head, shape=SHAPE):
    inputs = tf.keras.Input(shape)
    return tf.keras.Model(inputs, head(inputs))


def logits(x, **options):
    return layers.Dense(CLASSES, **options)(body(x))


def nested_softmax():
    head = tf.keras.Sequential([tf.keras.Input((216,)), layers.Dense(CLASSES), layers.Softmax()], name="head")
    return functional(lambda x: head(body(x)))


def attention(x):
    steps = layers.Reshape((8, 8))(x)
    mixed = layers.MultiHeadAttention(2, 8, dropout=0.1)(steps, steps)
    return layers.Dense(CLASSES)(layers.Flatten()(layers.Add()([mixed, steps])))


def recurrent(x):
    return layers.Dense(CLASSES)(layers.Bidirectional(layers.LSTM(8, dropout=0.2))(layers.Reshape((8, 8))(x)))


def normalised():
    layer = layers.Normalization()
    layer.adapt(PIXELS.astype(np.float32))
    return functional(lambda x: logits(layer(x)))


def of_policy(name):
    tf.keras.mixed_precision.set_global_policy(name)
    try:
        return functional(logits)
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")


def two_outputs():
    inputs = tf.keras.Input(SHAPE)
    features = body(inputs)
    return tf.keras.Model(inputs, [layers.Dense(CLASSES)(features), layers.Dense(1)(features)])


def two_inputs():
    inputs, more = tf.keras.Input(SHAPE), tf.keras.Input((3,))
    return tf.keras.Model([inputs, more], layers.Dense(CLASSES)(layers.Concatenate()([body(inputs), more])))


class Subclassed(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.all = [layers.Flatten(), layers.Dense(CLASSES)]

    def call(self, x):
        for layer in self.all:
            x = layer(x)
        return x


def subclassed():
    model = Subclassed()
    model(np.zeros((1, *SHAPE), np.float32))
    return model


def all_frozen():
    model = functional(logits)
    model.trainable = False
    return model


SOUND = {
    "plain": lambda: functional(logits),
    "a head that starts at zeros": lambda: functional(lambda x: logits(x, kernel_initializer="zeros")),
    "log-softmax, which changes no cross-entropy": lambda: functional(lambda x: tf.nn.log_softmax(logits(x))),
    "tanh": lambda: functional(lambda x: logits(x, activation="tanh")),
    "attention": lambda: functional(attention),
    "recurrent, with dropout": lambda: functional(recurrent),
    "a sequential model without inputs": lambda: tf.keras.Sequential([layers.Flatten(), layers.Dense(CLASSES)]),
    "a nested sequential model": lambda: tf.keras.Sequential([functional(body), layers.Dense(CLASSES)]),
    "inputs of any size": lambda: functional(
        lambda x: layers.Dense(CLASSES)(layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(x))), (None, None, 1)
    ),
    "centred pixels": lambda: functional(lambda x: logits(layers.Rescaling(2.0, -1.0)(x))),
}

REFUSED = {
    "softmax as the last activation": (lambda: functional(lambda x: logits(x, activation="softmax")), "a softmax"),
    "tf.nn.softmax": (lambda: functional(lambda x: tf.nn.softmax(logits(x))), "a softmax"),
    "a softmax in a nested head": (nested_softmax, "a softmax"),
    "a softmax under a linear activation": (
        lambda: functional(lambda x: layers.Activation("linear")(layers.Softmax()(logits(x)))), "a softmax",
    ),
    "sigmoid": (lambda: functional(lambda x: logits(x, activation="sigmoid")), "between 0 and 1, as a sigmoid's"),
    "ReLU": (lambda: functional(lambda x: logits(x, activation="relu")), "never negative, as a ReLU's"),
    "one logit": (lambda: functional(lambda x: layers.Dense(1)(body(x))), r"one output: .* two logits, Dense\(2\)"),
    "other classes": (lambda: functional(lambda x: layers.Dense(7)(body(x))), r"shape \(7,\), the data have 4 classes"),
    "maps": (lambda: functional(lambda x: layers.Conv2D(4, 1)(x)), r"\(8, 8, 4\): one vector of logits"),
    "other inputs": (lambda: functional(logits, (9, 9, 1)), r"inputs of shape \(9, 9, 1\), the data have \(8, 8, 1\)"),
    "two outputs": (two_outputs, "has 2 outputs"),
    "two inputs": (two_inputs, "has 2 inputs"),
    "float16": (lambda: of_policy("mixed_float16"), "computes in float16 .*mixed precision is not supported"),
    "bfloat16": (lambda: of_policy("mixed_bfloat16"), "computes in bfloat16"),
    "float64": (lambda: of_policy("float64"), r"weights that are not float32, such as .*\(float64\)"),
    "pixels scaled twice": (lambda: functional(lambda x: logits(layers.Rescaling(1 / 255)(x))), "layer rescaling"),
    "pixels normalised twice": (normalised, "scales pixels in its layer normalization"),
    "a subclassed model": (subclassed, "neither functional nor sequential"),
    "nothing to train": (all_frozen, "no weights that training moves"),
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_model_passes_unchanged_and_is_built_twice(name):
    model = built(SOUND[name](), SHAPE)
    before = model.get_weights()
    check_model(model, ExpectedData(SHAPE, CLASSES, PIXELS), "mine")
    build = rebuilder(model)
    x = np.random.default_rng(1).random((5, *SHAPE)).astype(np.float32)
    for copied in (build(), build()):
        for value, old in zip(copied.get_weights(), before, strict=True):
            np.testing.assert_array_equal(value, old)
        np.testing.assert_allclose(copied(x), model(x), atol=1e-6)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", REFUSED)
def test_a_defect_is_one_line_that_names_the_model(name):
    make, message = REFUSED[name]
    with pytest.raises(ConfigError, match=message) as refusal:
        check_model(make(), ExpectedData(SHAPE, CLASSES, PIXELS), "mine")
    assert str(refusal.value).startswith("mine: ") and "\n" not in str(refusal.value)


def test_all_defects_are_told_at_once():
    made = functional(lambda x: layers.Dense(7, activation="softmax")(body(layers.Rescaling(1 / 255)(x))))
    with pytest.raises(ConfigError, match=r"shape \(7,\).*; .*a softmax.*; .*rescaling"):
        check_model(made, ExpectedData(SHAPE, CLASSES, PIXELS), "mine")


def test_the_embedding_is_the_last_matrixs_input_unless_a_layer_is_named():
    x = np.random.default_rng(0).random((5, *SHAPE)).astype(np.float32)
    model = functional(logits)
    features = tf.keras.Model(model.inputs, model.get_layer("features").output)
    for place in (find_embedding(model), find_embedding(model, "features")):
        embeddings, outputs = with_embedding(model, place)(tf.constant(x))
        np.testing.assert_array_equal(embeddings, features(x))
        np.testing.assert_array_equal(outputs, model(x))
    flat, _ = with_embedding(model, find_embedding(model, model.layers[1].name))(tf.constant(x))
    assert flat.shape == (5, 6 * 6 * 6), "maps are flattened"
    with pytest.raises(ConfigError, match=r"model\.embedding = 'none': the model has no such layer; it has .*features"):
        find_embedding(model, "none")
    with pytest.raises(ConfigError, match="no Dense layer"):
        find_embedding(functional(lambda x: layers.Flatten()(layers.Conv2D(4, 8)(x))))
    nested = tf.keras.Sequential([functional(body), layers.Dense(CLASSES)])
    embeddings, _ = with_embedding(nested, find_embedding(nested))(tf.constant(x))
    assert embeddings.shape == (5, 216)


def test_a_table_of_tokens_is_no_embedding_of_the_model():
    inputs = tf.keras.Input((12,), dtype="int32")
    tokens = layers.Embedding(50, 8, name="embedding")(inputs)
    model = tf.keras.Model(inputs, layers.Dense(CLASSES)(layers.GlobalAveragePooling1D()(tokens)))
    embeddings, _ = with_embedding(model, find_embedding(model))(tf.zeros([3, 12], tf.int32))
    assert embeddings.shape == (3, 8)


def test_frozen_weights_are_those_that_a_step_leaves_alone():
    base = tf.keras.Sequential(
        [tf.keras.Input(SHAPE), layers.Conv2D(4, 3), layers.BatchNormalization(), layers.Flatten()], name="base"
    )
    base.trainable = False
    inputs = tf.keras.Input(SHAPE)
    x = layers.BatchNormalization(name="live")(inputs)
    model = tf.keras.Model(inputs, layers.Dense(CLASSES)(base(x, training=False)))
    before = model.get_weights()
    names = [model.non_trainable_variables[position].name for position in moving_weights(model)]
    assert names == ["live/moving_mean:0", "live/moving_variance:0"]
    for value, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, old)
    assert moving_weights(normalised()) == ()


def test_moving_averages_are_told_from_other_weights_by_what_a_step_keeps_of_them():
    class Counter(tf.keras.layers.Layer):
        def build(self, shape):
            self.count = self.add_weight("count", (), initializer="zeros", trainable=False)

        def call(self, inputs, training=None):
            if training:
                self.count.assign_add(1.0)
            return inputs

    x = inputs = tf.keras.Input(SHAPE)
    for layer in (
        layers.BatchNormalization(momentum=0.9),
        Counter(),
        layers.Dropout(0.5),
        layers.BatchNormalization(momentum=0.99),
        layers.Flatten(),
    ):
        x = layer(x)
    model = tf.keras.Model(inputs, layers.Dense(CLASSES)(x))
    before = model.get_weights()
    shares = kept_shares(model, moving_weights(model))
    np.testing.assert_allclose(shares, [0.9, 0.9, 0.0, 0.99, 0.99], atol=2e-4)
    for value, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, old)
