"""Which of a model's weights are clustered kernels, and where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from tfc.keras_files.nested_layers import nested_layers
from tfc.models.moving_weights import kept_shares, moving_weights
from tfc.registries import LAYER_CHOICES

DEPTHWISE, CONVOLUTION, DENSE = "depthwise", "conv", "dense"
"""Kinds of kernels: `dense` is whatever else multiplies its inputs: recurrent and attention kernels, embeddings."""

CONVOLUTIONS = frozenset({"conv"})
CONVOLUTIONS_AND_DENSE = frozenset({"conv", "dense"})
ALL_KERNELS = frozenset({"conv", "dense", "depthwise"})


@dataclass(frozen=True)
class ClusteredKernel:
    """Where a clustered kernel is.

    Attributes:
        layer: Name of its layer.
        attribute: Attribute of the layer that holds it.
        position: Position in the model's trainable variables.
        shape: Shape of the kernel.
    """

    layer: str
    attribute: str
    position: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class WeightLayout:
    """Divides a model's weights into clustered kernels and all others.

    Attributes:
        kernels: The clustered kernels in the order of the trainable variables.
        trainable_shapes: Shapes of all trainable variables.
        non_trainable_shapes: Shapes of the non-trainable variables that training moves (BatchNorm statistics).
        moving: Positions of these among the model's non-trainable variables; the others are frozen, and no message
            tells them.
        kept_shares: Share of its old value that each of these keeps in a training step; 0 for what is no moving
            average.
    """

    kernels: tuple[ClusteredKernel, ...]
    trainable_shapes: tuple[tuple[int, ...], ...]
    non_trainable_shapes: tuple[tuple[int, ...], ...]
    moving: tuple[int, ...] = ()
    kept_shares: tuple[float, ...] = ()

    @property
    def kernel_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the clustered kernels."""
        return tuple(kernel.shape for kernel in self.kernels)

    @property
    def other_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the other weights: unclustered trainable ones, then the non-trainable ones."""
        return self.split(self.trainable_shapes, self.non_trainable_shapes)[1]

    @tf.autograph.experimental.do_not_convert
    def split(self, trainable: Sequence[Any], non_trainable: Sequence[Any]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Divides weights into (kernels, others).

        Args:
            trainable: One item per trainable variable.
            non_trainable: One item per non-trainable variable.
        """
        clustered = {kernel.position for kernel in self.kernels}
        kernels = tuple(trainable[kernel.position] for kernel in self.kernels)
        rest = [item for position, item in enumerate(trainable) if position not in clustered]
        return kernels, (*rest, *non_trainable)

    @tf.autograph.experimental.do_not_convert
    def join(self, kernels: Sequence[Any], others: Sequence[Any]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Inverse of `split`: returns (trainable, non_trainable).

        Args:
            kernels: One item per clustered kernel.
            others: One item per other weight.
        """
        by_position = {kernel.position: item for kernel, item in zip(self.kernels, kernels, strict=True)}
        rest = iter(others)
        count = len(self.trainable_shapes)
        trainable = tuple(by_position[position] if position in by_position else next(rest) for position in range(count))
        return trainable, tuple(rest)


def layout_of(model: tf.keras.Model, layers: str, max_clusters: int) -> WeightLayout:
    """Finds the kernels to cluster.

    A kernel with at most 2 * max_clusters weights is left alone: its codebook would cost more than it saves.

    Args:
        model: A built Keras model.
        layers: A key of `LAYER_CHOICES`, or `none`.
        max_clusters: Largest number of clusters, 1 to 256.

    Returns:
        The layout; with `none`, one without clustered kernels.

    Raises:
        ValueError: If `layers` is unknown.
    """
    if layers != "none" and layers not in LAYER_CHOICES:
        raise ValueError(f"layers must be none, {', '.join(LAYER_CHOICES)}; found {layers!r}")
    kinds = LAYER_CHOICES.get(layers, frozenset())
    found = {
        position: ClusteredKernel(layer.name, attribute, position, tuple(model.trainable_variables[position].shape))
        for position, (layer, attribute) in trained_kernels(model).items()
        if kind_of(layer, attribute) in kinds
        and model.trainable_variables[position].shape.num_elements() > 2 * max_clusters
    }
    moving = moving_weights(model)
    return WeightLayout(
        tuple(found[position] for position in sorted(found)),
        tuple(tuple(variable.shape) for variable in model.trainable_variables),
        tuple(tuple(model.non_trainable_variables[position].shape) for position in moving),
        moving,
        kept_shares(model, moving),
    )


def trained_kernels(model: tf.keras.Model) -> dict[int, tuple[tf.keras.layers.Layer, str]]:
    """Returns every trained weight that multiplies its layer's inputs: position -> its layer and attribute.

    Those are the weights with two dimensions or more that are no biases.

    Args:
        model: A built Keras model.
    """
    positions = {id(variable): position for position, variable in enumerate(model.trainable_variables)}
    return {
        positions[id(variable)]: (layer, attribute)
        for layer in nested_layers(model)
        for attribute, variable in vars(layer).items()
        if id(variable) in positions and len(variable.shape) > 1 and "bias" not in attribute
    }


def kind_of(layer: tf.keras.layers.Layer, attribute: str) -> str:
    """Returns the kind of a weight with two dimensions or more: `DEPTHWISE`, `CONVOLUTION` or `DENSE`.

    Args:
        layer: Its layer; what slides a window over its input has a `kernel_size`.
        attribute: The layer's attribute that holds it.
    """
    if attribute == "depthwise_kernel":
        return DEPTHWISE
    return CONVOLUTION if hasattr(layer, "kernel_size") else DENSE
