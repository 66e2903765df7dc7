"""Where a model's embedding is: the vector in front of its classifier, of which the quality score is computed."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import tensorflow as tf

from tfc.base.errors import ConfigError
from tfc.keras_files.nested_layers import nested_layers
from tfc.models.moving_weights import probe_inputs

NAME = "embedding"
"""A layer of this name is the embedding where nothing else is said."""


class EmbeddingPlace(NamedTuple):
    """A tensor inside a model, found again in every copy of it.

    Attributes:
        layer: Number of the layer among `nested_layers`.
        is_input: Whether it is the layer's input; else its output.
    """

    layer: int
    is_input: bool = False


@contextlib.contextmanager
def _watched(layer: tf.keras.layers.Layer, seen: Callable[[Any, Any], None]) -> Iterator[None]:
    """Tells a layer's inputs and outputs while the context lasts."""
    call = layer.call

    def watching(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = call(inputs, *args, **kwargs)
        seen(inputs, outputs)
        return outputs

    object.__setattr__(layer, "call", watching)
    try:
        yield
    finally:
        object.__delattr__(layer, "call")


def with_embedding(model: tf.keras.Model, place: EmbeddingPlace) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Returns a function: inputs -> (embeddings, logits) in inference mode; embeddings are flattened to vectors.

    Args:
        model: The model.
        place: Where its embedding is.
    """
    layer = nested_layers(model)[place.layer]

    def compute(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        found: list[tf.Tensor] = []
        with _watched(layer, lambda inputs, outputs: found.append(inputs if place.is_input else outputs)):
            logits = model(x, training=False)
        embeddings = found[-1]
        return tf.reshape(embeddings, [tf.shape(x)[0], embeddings.shape[1:].num_elements()]), logits

    return compute


def _note(order: list[int], number: int, inputs: Any, outputs: Any) -> None:
    order.append(number)


def find_embedding(model: tf.keras.Model, name: str = "") -> EmbeddingPlace:
    """Finds the embedding: the named layer's output, or the input of the last layer that multiplies by a matrix.

    Args:
        model: A built model, outside of graphs.
        name: Name of a layer; empty for `embedding` where there is one, else the last matrix's input.

    Raises:
        ConfigError: If the model has no layer of the name, or none that multiplies by a matrix.
    """
    layers = nested_layers(model)
    # Keras calls a table of token embeddings by that name of its own accord.
    names = [layer.name if name or not hasattr(layer, "embeddings") else "" for layer in layers]
    if name or NAME in names:
        if (name or NAME) not in names:
            raise ConfigError(f"model.embedding = {name!r}: the model has no such layer; it has {', '.join(names)}")
        return EmbeddingPlace(names.index(name or NAME))
    order: list[int] = []
    with contextlib.ExitStack() as stack:
        for number, layer in enumerate(layers):
            if any(isinstance(value, tf.Variable) and len(value.shape) == 2 for value in vars(layer).values()):
                stack.enter_context(_watched(layer, functools.partial(_note, order, number)))
        model(probe_inputs(model), training=False)
    if not order:
        raise ConfigError(
            "the model has no Dense layer, whose input would be the embedding: name a layer with model.embedding"
        )
    return EmbeddingPlace(order[-1], is_input=True)
