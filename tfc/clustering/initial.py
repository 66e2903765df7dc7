"""How a Keras model's weights start, as far as two ends can compute it from a seed."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from tfc.clustering.layout import WeightLayout, trained_kernels
from tfc.codec.message_spec import InitialValue

_KOLMOGOROV_MILLIONTH = math.sqrt(-math.log(1e-6 / 2) / 2)
"""Kolmogorov's statistic times the root of the number of draws exceeds this once in a million."""


def glorot_limit(shape: tuple[int, ...]) -> float:
    """Returns the bound of Glorot and Bengio's uniform initialiser.

    Source: Glorot, Bengio, "Understanding the difficulty of training deep feedforward neural networks" (AISTATS 2010).

    Args:
        shape: Shape of a kernel: (*receptive field, inputs, outputs).
    """
    receptive = math.prod(shape[:-2])
    return math.sqrt(6.0 / (receptive * (shape[-2] + shape[-1])))


def initial_kernels(layout: WeightLayout) -> tuple[InitialValue, ...]:
    """Describes the start of every clustered kernel: Glorot's bound.

    A kernel's number is its position in the model, so that its first weights do not depend on what else is clustered.

    Args:
        layout: Which weights are clustered kernels.
    """
    return tuple(InitialValue(limit=glorot_limit(kernel.shape), tensor=kernel.position) for kernel in layout.kernels)


def unseedable(model: tf.keras.Model, layout: WeightLayout) -> tuple[str, ...]:
    """Returns the names of the weights that no seed can stand for: those of pretrained models, say.

    A seed stands for kernels that are a draw of Glorot's uniform initialiser and for biases and statistics that are
    constant (not for a head that starts at zeros, whatever is clustered); the draw is judged by Kolmogorov's and
    Smirnov's statistic at a level of one in a million.

    Args:
        model: A freshly built model.
        layout: Which weights are clustered kernels, and which ones training moves.
    """
    kernels = trained_kernels(model)
    names = []
    for position, variable in enumerate(model.trainable_variables):
        values = variable.numpy()
        constant = np.all(values == values.flat[0]) and position not in kernels
        if not constant and not (values.ndim >= 2 and _is_uniform(values, glorot_limit(values.shape))):
            names.append(variable.name)
    for position in layout.moving:
        values = model.non_trainable_variables[position].numpy()
        if not np.all(values == values.flat[0]):
            names.append(model.non_trainable_variables[position].name)
    return tuple(names)


def _is_uniform(values: np.ndarray, limit: float) -> bool:
    """Whether values can be independent draws from (-limit, limit)."""
    ranked = np.sort(values.ravel().astype(np.float64)) / limit
    if ranked[0] < -1 - 1e-6 or ranked[-1] > 1 + 1e-6:
        return False
    count = len(ranked)
    expected = (ranked + 1) / 2
    distance = max(np.max(np.arange(1, count + 1) / count - expected), np.max(expected - np.arange(count) / count))
    return bool(distance <= _KOLMOGOROV_MILLIONTH / math.sqrt(count))


def initial_others(model: tf.keras.Model, layout: WeightLayout) -> tuple[InitialValue, ...]:
    """Describes the start of every weight that is no clustered kernel and not frozen.

    Args:
        model: A freshly built model for which `unseedable` finds nothing.
        layout: Which weights are clustered kernels, and which ones training moves.

    Returns:
        One description per other weight: a constant where all its values are equal, else Glorot's bound.
    """
    weights = [*model.trainable_variables, *model.non_trainable_variables]
    count = len(model.trainable_variables)
    _, others = layout.split(range(count), [count + position for position in layout.moving])
    starts = []
    for tensor in others:
        values = weights[tensor].numpy()
        if np.all(values == values.flat[0]):
            starts.append(InitialValue(constant=float(values.flat[0]), tensor=tensor))
        else:
            starts.append(InitialValue(limit=glorot_limit(values.shape), tensor=tensor))
    return tuple(starts)


def relative_others(model: tf.keras.Model, layout: WeightLayout) -> tuple[bool, ...]:
    """Tells which other weights are variances: their precision on the wire follows each value's magnitude.

    Args:
        model: A built model.
        layout: Which weights are clustered kernels, and which ones training moves.
    """
    moving = [model.non_trainable_variables[position] for position in layout.moving]
    _, others = layout.split(model.trainable_variables, moving)
    return tuple("moving_variance" in variable.name for variable in others)
