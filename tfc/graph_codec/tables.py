"""The frequency tables of `tfc.codec.tables` in TensorFlow ops."""

from __future__ import annotations

import tensorflow as tf

from tfc.codec.rans import FREQUENCY_TOTAL
from tfc.codec.tables import SHAPE_LEVELS, SIGN_LEVELS, ZERO_LEVELS, StepCounts, table_parts


def step_counts(counts: tf.Tensor) -> StepCounts:
    """Sums up a histogram of symbols; see `tfc.codec.tables.step_counts`.

    Args:
        counts: int64 (..., 2 largest_step + 2).
    """
    positive, negative = counts[..., 1:-1:2], counts[..., 2:-1:2]
    magnitudes = tf.concat([positive + negative, counts[..., -1:]], axis=-1)
    return StepCounts(counts[..., 0], tf.reduce_sum(positive, axis=-1), tf.reduce_sum(negative, axis=-1), magnitudes)


def choose_tables(counts: StepCounts, largest_step: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Chooses the cheapest table for each context; see `tfc.codec.tables.choose_tables`.

    Args:
        counts: What happened, int64 tensors.
        largest_step: Largest magnitude with a symbol of its own.

    Returns:
        Tables and the cost of their symbols in 1/256 bit, int64 (...,).
    """
    parts = table_parts(largest_step)
    others = tf.reduce_sum(counts.magnitudes, axis=-1)
    zero = counts.zero[..., None] * parts.zero_cost[0, :-1] + others[..., None] * parts.zero_cost[1, :-1]
    sign = counts.positive[..., None] * parts.sign_cost[0] + counts.negative[..., None] * parts.sign_cost[1]
    shape = tf.tensordot(counts.magnitudes, tf.constant(parts.magnitude_cost), 1)
    level = tf.where(others > 0, tf.argmin(zero, axis=-1), ZERO_LEVELS - 1)
    zero_cost = tf.where(others > 0, tf.reduce_min(zero, axis=-1), 0)
    chosen = (level * SIGN_LEVELS + tf.argmin(sign, axis=-1)) * SHAPE_LEVELS + tf.argmin(shape, axis=-1)
    return chosen, zero_cost + tf.reduce_min(sign, axis=-1) + tf.reduce_min(shape, axis=-1)


def frequencies_of(chosen: tf.Tensor, largest_step: int) -> tf.Tensor:
    """Returns the frequencies that tables stand for; see `tfc.codec.tables.frequencies_of`.

    Args:
        chosen: int64 (tables,), below 2^16.
        largest_step: Largest magnitude with a symbol of its own.

    Returns:
        int64 (tables, 2 largest_step + 2); each row adds up to 4096.
    """
    parts = table_parts(largest_step)
    level = chosen // (SIGN_LEVELS * SHAPE_LEVELS)
    positive = tf.gather(tf.constant(parts.positive), chosen // SHAPE_LEVELS % SIGN_LEVELS)[:, None]
    magnitudes = tf.gather(tf.constant(parts.magnitudes), chosen % SHAPE_LEVELS)
    largest = tf.gather(tf.constant(parts.largest), chosen % SHAPE_LEVELS)[:, None]
    rest = FREQUENCY_TOTAL - 1 - 2 * largest
    room = rest - tf.minimum(tf.gather(tf.constant(parts.zero), level)[:, None], rest)
    present = tf.range(largest_step, dtype=tf.int64) < largest
    up = tf.where(present, 1 + room * positive * magnitudes // FREQUENCY_TOTAL**2, 0)
    down = tf.where(present, 1 + room * (FREQUENCY_TOTAL - positive) * magnitudes // FREQUENCY_TOTAL**2, 0)
    steps = tf.reshape(tf.stack([up, down], axis=-1), [-1, 2 * largest_step])
    certain = tf.equal(level, ZERO_LEVELS - 1)[:, None]
    steps = tf.where(certain, tf.zeros_like(steps), steps)
    escape = tf.where(certain, tf.constant(0, tf.int64), tf.constant(1, tf.int64))
    zero = FREQUENCY_TOTAL - escape - tf.reduce_sum(steps, axis=1, keepdims=True)
    return tf.concat([zero, steps, escape], axis=1)
