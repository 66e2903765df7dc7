"""Which non-trainable weights training moves, and which of them are moving averages of batches' statistics.

Judged by values: a weight that a step of training leaves as it is, bit for bit, is frozen, whoever made its layer; and
one that keeps the same share of its old value in every element is a moving average with that momentum.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

_EXAMPLES = 4


def probe_inputs(model: tf.keras.Model, examples: int = _EXAMPLES, seed: int = 0) -> tf.Tensor:
    """Returns random inputs of the model's shape and dtype: floats in [0, 1), or integers 0 and 1.

    Args:
        model: A model with one input; axes of any length get 8.
        examples: Length of the batch.
        seed: Of the random numbers.
    """
    (tensor,) = model.inputs
    shape = (examples, *(8 if axis is None else axis for axis in tensor.shape[1:]))
    random = np.random.default_rng(seed)
    if tensor.dtype.is_floating:
        return tf.cast(random.random(shape), tensor.dtype)
    return tf.cast(random.integers(0, 2, shape), tensor.dtype)


def moving_weights(model: tf.keras.Model) -> tuple[int, ...]:
    """Returns the positions of the non-trainable variables that a training step moves; the model stays as it is.

    Args:
        model: A built model, outside of graphs.
    """
    variables = model.non_trainable_variables
    if not variables:
        return ()
    before = [variable.numpy() for variable in variables]
    model(probe_inputs(model), training=True)
    moved = tuple(
        position
        for position, (variable, old) in enumerate(zip(variables, before, strict=True))
        if not np.array_equal(variable.numpy(), old)
    )
    for variable, old in zip(variables, before, strict=True):
        variable.assign(old)
    return moved


_PROBE_SHIFT = 1024.0
"""Large against statistics of inputs between 0 and 1, so that what random layers draw does not disturb the share."""
_SHARE_TOLERANCE = 1e-3


def kept_shares(model: tf.keras.Model, moving: tuple[int, ...]) -> tuple[float, ...]:
    """Returns the share of its old value that each moving weight keeps in a training step; the model stays as it is.

    That is the momentum of BatchNorm's moving averages, found by two steps that start at different values.

    Args:
        model: A built model, outside of graphs.
        moving: Positions of the moving weights among the non-trainable variables.

    Returns:
        One share per moving weight, 0 up to but without 1; 0 where a weight is no moving average.
    """
    variables = model.non_trainable_variables
    before = [variable.numpy() for variable in variables]
    inputs = probe_inputs(model)
    after = []
    for shift in (0.0, _PROBE_SHIFT):
        for position in moving:
            if variables[position].dtype.is_floating:
                variables[position].assign(before[position] + np.asarray(shift, before[position].dtype))
        model(inputs, training=True)
        after.append([variables[position].numpy().astype(np.float64) for position in moving])
        for variable, old in zip(variables, before, strict=True):
            variable.assign(old)
    return tuple(_share(first, second) for first, second in zip(*after, strict=True))


def _share(first: np.ndarray, second: np.ndarray) -> float:
    shares = (second - first) / _PROBE_SHIFT
    if not shares.size or not np.isfinite(shares).all() or np.ptp(shares) > _SHARE_TOLERANCE:
        return 0.0
    share = float(np.median(shares))
    return round(share, 6) if _SHARE_TOLERANCE < share < 1 - 1e-6 else 0.0
