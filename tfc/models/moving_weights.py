"""Which non-trainable weights training moves: statistics of batches, as against frozen weights and constants.

Judged by values: a weight that a step of training leaves as it is, bit for bit, is frozen, whoever made its layer.
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
