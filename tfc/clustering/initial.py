"""How a Keras model's weights start, as far as two ends can compute it from a seed."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from tfc.clustering.layout import WeightLayout
from tfc.codec.message_spec import InitialValue


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


def initial_others(model: tf.keras.Model, layout: WeightLayout) -> tuple[InitialValue, ...]:
    """Describes the start of every weight that is no clustered kernel.

    Args:
        model: A freshly built model.
        layout: Which weights are clustered kernels.

    Returns:
        One description per other weight: Glorot's bound for a kernel, a constant for anything else.

    Raises:
        ValueError: If something that is no kernel does not start at a constant.
    """
    weights = [*model.trainable_variables, *model.non_trainable_variables]
    count = len(model.trainable_variables)
    numbers = range(len(weights))
    _, others = layout.split(numbers[:count], numbers[count:])
    starts = []
    for tensor in others:
        variable = weights[tensor]
        values = variable.numpy()
        if values.ndim >= 2:
            starts.append(InitialValue(limit=glorot_limit(values.shape), tensor=tensor))
        elif np.all(values == values.flat[0]):
            starts.append(InitialValue(constant=float(values.flat[0]), tensor=tensor))
        else:
            raise ValueError(
                f"{variable.name} does not start at a constant, so a seed can't stand for it: "
                "set model.initial = 'own' to send the model's own first weights"
            )
    return tuple(starts)


def relative_others(model: tf.keras.Model, layout: WeightLayout) -> tuple[bool, ...]:
    """Tells which other weights are variances: their precision on the wire follows each value's magnitude.

    Args:
        model: A built model.
        layout: Which weights are clustered kernels.
    """
    _, others = layout.split(model.trainable_variables, model.non_trainable_variables)
    return tuple("moving_variance" in variable.name for variable in others)
