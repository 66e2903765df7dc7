"""What `--train` trains a model of each kind on: the figure that a person would compute gets better."""

import numpy as np
import pytest
import tensorflow as tf
import zoo

from edge.conversion.clustering import ClusterSettings, prepare
from edge.conversion.objective import objective
from tfc.base.errors import EdgeError

LOSSES = {
    "scores": tf.keras.losses.SparseCategoricalCrossentropy,
    "binary": tf.keras.losses.BinaryCrossentropy,
    "binary_logit": tf.keras.losses.BinaryCrossentropy,
    "regression": tf.keras.losses.MeanSquaredError,
    "landmarks": tf.keras.losses.MeanSquaredError,
    "one_hot": tf.keras.losses.SparseCategoricalCrossentropy,
    "several_labels": tf.keras.losses.BinaryCrossentropy,
    "segmentation": tf.keras.losses.SparseCategoricalCrossentropy,
    "fully_convolutional": tf.keras.losses.SparseCategoricalCrossentropy,
    "two_outputs": tf.keras.losses.SparseCategoricalCrossentropy,
    "dictionary_output": tf.keras.losses.SparseCategoricalCrossentropy,
    "tokens": tf.keras.losses.SparseCategoricalCrossentropy,
    "uint8_input": tf.keras.losses.SparseCategoricalCrossentropy,
    "two_inputs": tf.keras.losses.SparseCategoricalCrossentropy,
}


def training_data(name):
    arrays = dict(zoo.built(name).train)
    y = arrays.pop("y")
    return tuple(arrays.values()), y


def error(name, model):
    """Share of wrong answers, or mean absolute error, on the training data."""
    inputs, y = training_data(name)
    outputs = tf.nest.flatten(model.predict(list(inputs) if len(inputs) > 1 else inputs[0], verbose=0))
    if name in ("regression", "landmarks"):
        return float(np.abs(outputs[0].reshape(y.shape) - y).mean())
    if name in ("binary", "several_labels", "binary_logit"):
        return float(((outputs[0] > (0 if name == "binary_logit" else 0.5)) != y.reshape(outputs[0].shape)).mean())
    classes = {"segmentation": 3, "tokens": 2}.get(name, zoo.CLASSES)
    (scores,) = [each for each in outputs if each.shape[-1] == classes]
    y = y.argmax(1) if name == "one_hot" else y
    return float((scores.reshape(*y.shape, classes).argmax(-1) != y).mean())


@pytest.mark.parametrize("name", LOSSES)
def test_fine_tuning_makes_up_for_palettes(name):
    model = zoo.built(name).model
    inputs, y = training_data(name)
    goal = objective(model, inputs, y)
    assert isinstance(goal.loss, LOSSES[name])
    clusters = 3 if name == "segmentation" else 2
    crude = prepare(model, ClusterSettings(clusters=clusters))
    trained = prepare(model, ClusterSettings(clusters=clusters, epochs=8, learning_rate=1e-2), (inputs, y))
    kernels = [each for each in trained.get_weights() if each.ndim > 1 and each.size >= 8 and each.shape[0] != 50]
    assert kernels and error(name, trained) <= 0.7 * error(name, crude), (error(name, crude), error(name, trained))


def test_the_loss_takes_logits_or_probabilities_by_their_values():
    inputs, y = training_data("one_hot")
    logits = zoo.built("one_hot").model
    for activation, from_logits in ((tf.nn.softmax, False), (tf.nn.sigmoid, False), (tf.identity, True)):
        model = tf.keras.Model(logits.inputs, activation(logits.outputs[0]))
        goal = objective(model, inputs, y)
        value = float(goal.loss(goal.targets, model.predict(inputs[0], verbose=0)))
        outputs = logits.predict(inputs[0], verbose=0).astype(np.float64)
        if activation is tf.nn.sigmoid:
            share = 1 / (1 + np.exp(-outputs))
            expected = -np.where(y == 1, np.log(share), np.log1p(-share)).mean()
        else:
            expected = -(np.log(np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)) * y).sum(1).mean()
        assert value == pytest.approx(expected, rel=1e-3), activation
        assert goal.loss.get_config().get("from_logits", from_logits) == from_logits


def test_positions_without_a_class_do_not_count():
    inputs, y = training_data("segmentation")
    model = zoo.built("segmentation").model
    marked = np.where(np.arange(zoo.SIZE)[:, None] < 4, 255, y)
    goal = objective(model, inputs, marked)
    np.testing.assert_array_equal(goal.weights, (marked != 255).astype(np.float32))
    np.testing.assert_array_equal(goal.targets[:, 4:], y[:, 4:])
    masks = tf.keras.Model(model.inputs, model.outputs[0][..., 0])
    goal = objective(masks, inputs, np.where(marked == 255, 255, marked == 0))
    assert goal.channel and goal.trained(masks).output_shape == (None, zoo.SIZE, zoo.SIZE, 1)
    np.testing.assert_array_equal(goal.weights, (marked != 255).astype(np.float32))


def test_labels_that_fit_no_output_are_refused():
    inputs, y = training_data("scores")
    model = zoo.built("scores").model
    with pytest.raises(EdgeError, match=r"--train: y has class 7, and the output has 4 scores"):
        prepare(model, ClusterSettings(clusters=4), (inputs[0], np.full(len(y), 7)))
    with pytest.raises(EdgeError, match="--train: an output of shape"):
        prepare(model, ClusterSettings(clusters=4), (inputs[0], np.zeros((len(y), 3, 3))))
    classes = tf.keras.Model(model.inputs, tf.argmax(model.outputs[0], axis=-1))
    with pytest.raises(EdgeError, match="integers, which have no gradient"):
        prepare(classes, ClusterSettings(clusters=4), (inputs[0], y))


def test_a_head_that_starts_at_zero_gives_logits():
    inputs = tf.keras.Input((4,))
    x = np.eye(4, dtype=np.float32)
    for units, y in ((3, np.array([0, 1, 2, 0])), (1, np.array([0, 1, 1, 0]))):
        model = tf.keras.Model(inputs, tf.keras.layers.Dense(units, kernel_initializer="zeros")(inputs))
        assert objective(model, (x,), y).loss.get_config()["from_logits"]
