"""What happens to each kernel of a Keras model on its way into a .tflite file: the table that `edge export` prints."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from edge.conversion.keras_kernels import MAX_PALETTE, layout_of
from tfc.base.table import aligned
from tfc.keras_files.nested_layers import nested_layers

SMALLEST = 1024
"""Weights from which a constant of a layer that is not known counts as large."""


@dataclass(frozen=True)
class KernelFate:
    """What happens to a kernel.

    Attributes:
        layer: Name of the layer.
        part: Name of the variable.
        weights: Number of weights.
        distinct: Number of distinct values.
        what: `palette kept`, or why there is none.

    Examples:
        >>> import edge
        >>> edge.KernelFate("dense", "kernel", 160, 8, "palette kept").weights
        160
    """

    layer: str
    part: str
    weights: int
    distinct: int
    what: str


def fates(
    model: tf.keras.Model, lost: Mapping[str, str], plain: Collection[str], variants: Sequence[str]
) -> tuple[KernelFate, ...]:
    """Lists the kernels of a model, and large weights of layers whose kernels are not known.

    Args:
        model: A Keras model.
        lost: Layers whose palette is not kept, and why.
        plain: Layers whose few values are no palette.
        variants: Those that were made.
    """
    found = []
    palettes = set(variants) - {"f32"}
    for layer in nested_layers(model):
        known = layout_of(layer) if isinstance(layer, tf.keras.layers.Layer) else {}
        for part in known:
            values = getattr(layer, part).numpy()
            distinct = len(np.unique(values))
            if distinct > MAX_PALETTE or 2 * distinct > values.size:
                what = "left: too many values for a palette"
            elif not palettes:
                what = "palette found"
            elif layer.name in lost:
                what = f"left: {lost[layer.name]}"
            elif layer.name in plain:
                what = "left: few values, but codes per channel have less error"
            else:
                what = "palette kept"
            found.append(KernelFate(layer.name, part, values.size, distinct, what))
        if known or not isinstance(layer, tf.keras.layers.Layer):
            continue
        own = {
            id(variable)
            for inner in layer._flatten_layers(include_self=False)
            for variable in getattr(inner, "_trainable_weights", ())
        }
        for variable in layer._trainable_weights + layer._non_trainable_weights:
            if id(variable) in own or len(variable.shape) < 2 or variable.shape.num_elements() < SMALLEST:
                continue
            values = variable.numpy()
            what = f"left: {type(layer).__name__} is not a layer whose kernels are known"
            part = variable.name.rpartition("/")[2].partition(":")[0]
            found.append(KernelFate(layer.name, part, values.size, len(np.unique(values)), what))
    return tuple(found)


def format_fates(found: Sequence[KernelFate]) -> str:
    """Returns the kernels as a table for a terminal.

    Args:
        found: What `fates` returned.
    """
    titles = ("layer", "kernel", "what happens", "weights", "distinct")
    rows = [(each.layer, each.part, each.what, f"{each.weights:,}", f"{each.distinct:,}") for each in found]
    return aligned(titles, rows, left=3)
