"""What a model is trained on: the output that its labels fit, and the loss that fits both.

What an output means is decided by `edge.formats.judgement`, as for every accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from edge.conversion.calibration import Inputs
from edge.formats.judgement import are_probabilities, judge
from tfc.base.errors import EdgeError

_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Objective:
    """A loss, and what it takes.

    Attributes:
        output: Number of the output that is trained.
        loss: The loss.
        targets: (examples, ...): classes int64, or numbers float32.
        weights: (examples, ...): 0 for positions without a class, else 1; None where all count.
        channel: Whether an axis of size 1 is put behind the output's last.
    """

    output: int
    loss: tf.keras.losses.Loss
    targets: np.ndarray
    weights: np.ndarray | None = None
    channel: bool = False

    def trained(self, model: tf.keras.Model) -> tf.keras.Model:
        """Returns a model that shares the layers of one, and has the output that the loss takes.

        Args:
            model: With the outputs of the model that the objective was made for.
        """
        output = model.outputs[self.output]
        return tf.keras.Model(model.inputs, output[..., tf.newaxis] if self.channel else output)


def _gives_probabilities(values: np.ndarray) -> bool:
    """Whether outputs are probabilities; zeros alone are the logits of a head that starts at zero."""
    return are_probabilities(values) and bool(values.any())


def _of_scores(output: int, values: np.ndarray, expected: np.ndarray) -> Objective:
    """One class of several, by example or position."""
    classes = expected.reshape(values.shape[:-1])
    known = classes >= 0
    weights = None if known.all() else known.astype(np.float32)
    targets = np.where(known, classes, 0)
    within = _gives_probabilities(values)
    if within and np.abs(values.sum(axis=-1) - 1).max() > _SUM_TOLERANCE:  # a sigmoid for each class
        one_hot = np.eye(values.shape[-1], dtype=np.float32)[targets]
        return Objective(output, tf.keras.losses.BinaryCrossentropy(), one_hot, weights)
    return Objective(output, tf.keras.losses.SparseCategoricalCrossentropy(from_logits=not within), targets, weights)


def _of_two_classes(output: int, values: np.ndarray, expected: np.ndarray) -> Objective:
    """Whether or not, for each number."""
    wanted = expected.reshape(values.shape)
    # The loss is the mean over the last axis, and some of its positions may not count.
    channel = values.ndim == 1 or values.shape[-1] != 1
    if channel:
        wanted = wanted[..., np.newaxis]
    known = wanted[..., 0] >= 0
    weights = None if known.all() else known.astype(np.float32)
    loss = tf.keras.losses.BinaryCrossentropy(from_logits=not _gives_probabilities(values))
    return Objective(output, loss, np.maximum(wanted, 0).astype(np.float32), weights, channel)


def objective(model: tf.keras.Model, inputs: Inputs, labels: np.ndarray) -> Objective:
    """Decides what a model is trained on, by its outputs for the examples.

    Args:
        model: A Keras model.
        inputs: Per input (examples, ...).
        labels: (examples, ...), as `edge.formats.judgement` has them.

    Raises:
        EdgeError: If the labels fit none of the outputs, or its output can't be trained.
    """
    predicted = model.predict(list(inputs) if len(inputs) > 1 else inputs[0], verbose=0)
    outputs = [np.asarray(each) for each in tf.nest.flatten(predicted)]
    found = judge(outputs, labels)
    if found.expected is None:
        raise EdgeError(f"--train: {found.reason}")
    values = outputs[found.output]
    if not np.issubdtype(values.dtype, np.floating):
        raise EdgeError("--train: the model's output is integers, which have no gradient")
    if found.kind == "numeric":
        targets = found.expected.reshape(values.shape).astype(np.float32)
        return Objective(found.output, tf.keras.losses.MeanSquaredError(), targets)
    if found.expected.size == values.size:
        return _of_two_classes(found.output, values, found.expected)
    return _of_scores(found.output, values, found.expected)
