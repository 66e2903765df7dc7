"""Schedules over a run: settings that are constant at first and move by equal factors in the last rounds."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


@tf.autograph.experimental.do_not_convert
def last_rounds_share(rounds: int, last_rounds: int, round_number: Any) -> tf.Tensor:
    """Returns how much of its last rounds a run has gone through, float32 scalar from 0 to 1.

    Args:
        rounds: Number of rounds of the run; later ones count as the last.
        last_rounds: How many of them are the last ones; all but the first where that is more.
        round_number: int32 scalar, from 1.

    Examples:
        >>> [round(float(last_rounds_share(12, 4, number)), 2) for number in (8, 9, 10, 12, 13)]
        [0.0, 0.25, 0.5, 1.0, 1.0]
    """
    if rounds < 2:
        return tf.constant(0.0)
    last = min(last_rounds, rounds - 1)  # the first round always has the first value
    passed = tf.cast(tf.convert_to_tensor(round_number) - rounds, tf.float32) + last
    return tf.clip_by_value(passed / last, 0.0, 1.0)


@tf.autograph.experimental.do_not_convert
def at_round(first: float, final: float, rounds: int, last_rounds: int, round_number: Any) -> tf.Tensor:
    """Returns a setting in a round: `first`, and in the last rounds by equal factors towards `final`.

    Args:
        first: Value of the first rounds, over 0.
        final: Value of the last round, over 0.
        rounds: Number of rounds of the run.
        last_rounds: How many of them are the last ones.
        round_number: int32 scalar, from 1.

    Returns:
        float32 scalar.

    Examples:
        >>> [float(at_round(1.0, 0.25, 12, 2, number)) for number in (10, 11, 12)]
        [1.0, 0.5, 0.25]
    """
    return first * tf.pow(final / first, last_rounds_share(rounds, last_rounds, round_number))
