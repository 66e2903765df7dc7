"""Which of a model's weights are clustered kernels, and where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from tfc.registries import LAYER_CHOICES

KERNEL_KINDS: dict[str, tuple[Any, str]] = {
    "depthwise": ((tf.keras.layers.DepthwiseConv1D, tf.keras.layers.DepthwiseConv2D), "depthwise_kernel"),
    "conv": ((tf.keras.layers.Conv1D, tf.keras.layers.Conv2D, tf.keras.layers.Conv3D), "kernel"),
    "dense": ((tf.keras.layers.Dense,), "kernel"),
}
"""Kinds of kernels: layer classes and the attribute of the kernel. The first match counts (a depthwise convolution is
a convolution to Keras)."""

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
        non_trainable_shapes: Shapes of all non-trainable variables (BatchNorm statistics).
    """

    kernels: tuple[ClusteredKernel, ...]
    trainable_shapes: tuple[tuple[int, ...], ...]
    non_trainable_shapes: tuple[tuple[int, ...], ...]

    @property
    def kernel_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the clustered kernels."""
        return tuple(kernel.shape for kernel in self.kernels)

    @property
    def other_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the other weights: unclustered trainable ones, then the non-trainable ones."""
        return self.split(self.trainable_shapes, self.non_trainable_shapes)[1]

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
    positions = {id(variable): position for position, variable in enumerate(model.trainable_variables)}
    found: dict[int, ClusteredKernel] = {}
    modules: Any = model.submodules
    for layer in modules:
        for kind, (classes, attribute) in KERNEL_KINDS.items():
            if isinstance(layer, classes):
                variable = getattr(layer, attribute)
                position = positions.get(id(variable))
                large = variable.shape.num_elements() > 2 * max_clusters
                if kind in kinds and position is not None and large:
                    found[position] = ClusteredKernel(layer.name, attribute, position, tuple(variable.shape))
                break
    return WeightLayout(
        tuple(found[position] for position in sorted(found)),
        tuple(tuple(variable.shape) for variable in model.trainable_variables),
        tuple(tuple(variable.shape) for variable in model.non_trainable_variables),
    )
