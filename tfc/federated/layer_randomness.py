"""Random layers (Dropout, GaussianNoise, ...) as functions of (seed, round, client, step).

Keras draws their numbers from stateful operations, which differ from run to run and after a resume. Here every random
generator that a model's layers hold is replaced by one that derives stateless seeds from a key.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from keras.src.backend import RandomGenerator

from tfc.keras_files.nested_layers import nested_layers

_ATTRIBUTE = "_random_generator"


class _KeyedGenerator(RandomGenerator):
    """Keras' own generator in its stateless form, with a fresh seed for every draw."""

    def __init__(self, owner: LayerRandomness, number: int) -> None:
        super().__init__(seed=0, rng_type=RandomGenerator.RNG_STATELESS)
        self._owner, self._number = owner, number

    def make_seed_for_stateless_op(self) -> tf.Tensor:
        return self._owner.next_seed(self._number)


class LayerRandomness:
    """The random numbers that a model's layers draw in training.

    Create it for a model that is traced; call the model within `keyed`.

    Attributes:
        layers: Names of the layers that draw random numbers, in the model's order.
    """

    def __init__(self, model: tf.keras.Model) -> None:
        """Replaces the generators of a model's layers, nested ones and recurrent cells included.

        Args:
            model: Changed.
        """
        holders = [
            each for each in nested_layers(model) if isinstance(getattr(each, _ATTRIBUTE, None), RandomGenerator)
        ]
        self.layers = tuple(layer.name for layer in holders)
        self._key: tf.Tensor | None = None
        self._draws = 0
        for number, layer in enumerate(holders):
            # Keras' own __setattr__ would track the new one.
            object.__setattr__(layer, _ATTRIBUTE, _KeyedGenerator(self, number))

    def next_seed(self, number: int) -> tf.Tensor:
        """Returns the seed of a layer's next draw, int32 (2,); draws outside of `keyed` have a fixed key.

        Args:
            number: Number of the layer.
        """
        key = tf.zeros([2], tf.int32) if self._key is None else self._key
        self._draws += 1
        for value in (number, self._draws):
            key = tf.random.experimental.stateless_fold_in(key, value)
        return key

    @contextlib.contextmanager
    def keyed(self, key: Any) -> Iterator[None]:
        """Lets the layers draw from a key while the context lasts.

        Args:
            key: int32 (2,), such as `tfc.seeds.stateless` returns.
        """
        self._key, self._draws = key, 0
        try:
            yield
        finally:
            self._key = None


_RANDOM = re.compile(r"^(Stateful|Random|Truncated|Multinomial|Parameterized)")


def unseeded_operations(model: tf.keras.Model) -> tuple[str, ...]:
    """Returns the kinds of random operations in a model's training that no key decides, such as those of own layers.

    Args:
        model: A built model, outside of graphs; its random generators are replaced.
    """
    randomness = LayerRandomness(model)
    (tensor,) = model.inputs

    @tf.function
    def train(x: tf.Tensor) -> Any:
        with randomness.keyed(tf.zeros([2], tf.int32)):
            return model(x, training=True)

    graph = train.get_concrete_function(tf.TensorSpec([2, *tensor.shape[1:]], tensor.dtype)).graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return tuple(sorted({node.op for node in nodes if _RANDOM.match(node.op)}))
