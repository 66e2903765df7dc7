"""The one place that says what a stored pixel means."""

from __future__ import annotations

import tensorflow as tf


def to_float(x: tf.Tensor) -> tf.Tensor:
    """Returns inputs as the models take them: uint8 is divided by 255, other numbers keep their values.

    Args:
        x: uint8, float32 or int32 (tokens) tensor of any shape.
    """
    return tf.cast(x, tf.float32) / 255.0 if x.dtype == tf.uint8 else tf.cast(x, tf.float32)
