"""The global model as a Keras model: evaluated after each round, written at the end."""

from __future__ import annotations

import math
from pathlib import Path

import tensorflow as tf
import tensorflow_federated as tff

from tfc.base.atomic_write import atomic_write
from tfc.clustering.layout import layout_of
from tfc.data.pixels import to_float
from tfc.federated.model_weights import frozen_variables
from tfc.simulation.experiment import Experiment

_EVALUATION_BATCH = 250


class GlobalModel:
    """The server's model on this side of TFF, with the test set.

    Attributes:
        keras: The Keras model.
        parameters: Number of values that every broadcast tells: trained weights and moving statistics.
        frozen_bytes: Bytes of the weights that training does not move; each client gets them once.
    """

    def __init__(self, experiment: Experiment) -> None:
        """Builds the model with its initial weights.

        Args:
            experiment: Model and test set.
        """
        self._model_fn = experiment.model_fn
        self.keras: tf.keras.Model = self._model_fn()
        layout = layout_of(self.keras, "none", 1)
        self.parameters = sum(math.prod(shape) for shape in (*layout.trainable_shapes, *layout.non_trainable_shapes))
        self.frozen_bytes = sum(variable.numpy().nbytes for variable in frozen_variables(self.keras, layout))
        # Metrics, no loss: Keras would add what the model's regularizers say to the cross-entropy.
        cross_entropy = tf.keras.metrics.SparseCategoricalCrossentropy(from_logits=True)
        self.keras.compile(metrics=[cross_entropy, "sparse_categorical_accuracy"])
        dataset = experiment.dataset
        test = tf.data.Dataset.from_tensor_slices((dataset.x_test, dataset.y_test)).batch(_EVALUATION_BATCH)
        self._test = test.map(lambda x, y: (to_float(x), y))

    def assign(self, weights: tff.learning.models.ModelWeights) -> None:
        """Takes over the server's weights.

        Args:
            weights: From the learning process.
        """
        weights.assign_weights_to(self.keras)

    def evaluate(self) -> tuple[float, float]:
        """Returns mean cross-entropy (nats) and accuracy (0 to 1) on the test set."""
        _, loss, accuracy = self.keras.evaluate(self._test, verbose=0)
        return float(loss), float(accuracy)

    def save(self, path: Path) -> None:
        """Writes the model as a Keras file.

        Args:
            path: Ends with .keras.

        Raises:
            OSError: If it can't be written.
        """
        # A model that was never compiled: an optimizer that never ran has no place in the file.
        final = self._model_fn()
        final.set_weights(self.keras.get_weights())
        with atomic_write(path) as temporary:
            final.save(temporary)
