"""Weights of a Keras model, read and set as (clustered kernels, side parameters)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfc import graph_codec
from tfc.clustering.layout import WeightLayout
from tfc.codec.palette import Palette


@tf.autograph.experimental.do_not_convert
def assign(
    model: tf.keras.Model,
    layout: WeightLayout,
    kernels: Sequence[Any],
    others: Sequence[Any],
    frozen: Sequence[Any] = (),
) -> None:
    """Sets a Keras model's variables.

    Args:
        model: A model of the layout's architecture.
        layout: Which weights are clustered kernels.
        kernels: One float32 tensor per clustered kernel.
        others: One float32 tensor per other weight.
        frozen: Values of the frozen weights, for a model that was built in a graph and does not have them.
    """
    trainable, moving = layout.join(kernels, others)
    for variable, value in zip(model.trainable_variables, trainable, strict=True):
        variable.assign(value)
    for position, value in zip(layout.moving, moving, strict=True):
        model.non_trainable_variables[position].assign(value)
    for variable, value in zip(frozen_variables(model, layout), frozen, strict=bool(frozen)):
        variable.assign(value)


def frozen_variables(model: tf.keras.Model, layout: WeightLayout) -> list[tf.Variable]:
    """Returns the non-trainable variables that training does not move.

    Args:
        model: A model of the layout's architecture.
        layout: Which weights training moves.
    """
    moving = set(layout.moving)
    return [each for position, each in enumerate(model.non_trainable_variables) if position not in moving]


@tf.autograph.experimental.do_not_convert
def read_weights(model: tf.keras.Model, layout: WeightLayout) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Returns a Keras model's present weights as (clustered kernels, others), float32 tensors.

    Args:
        model: A model of the layout's architecture.
        layout: Which weights are clustered kernels.
    """
    return layout.split(
        [variable.read_value() for variable in model.trainable_variables],
        [model.non_trainable_variables[position].read_value() for position in layout.moving],
    )


@tf.autograph.experimental.do_not_convert
def dequantized_kernels(palettes: Sequence[Palette]) -> tuple[tf.Tensor, ...]:
    """Returns the kernels that palettes stand for, float32 tensors.

    Args:
        palettes: One per clustered kernel.
    """
    return tuple(graph_codec.dequantize(palette) for palette in palettes)
