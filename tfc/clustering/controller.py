"""The number of clusters over the rounds: grows when accuracy and representation quality stop growing.

Source: FedCompress (doi 10.1109/ICASSP48485.2024.10447174), the adaptive number of clusters.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from tfc.config import ClusteringConfig


class ControllerState(NamedTuple):
    """What the controller remembers.

    Attributes:
        num_clusters: int32 scalar, clusters in use.
        rounds_recorded: int32 scalar, rounds since the start.
        rounds_at_present: int32 scalar, rounds since the last growth.
        accuracy_history: float32 (window + 1,), validation accuracy (0 to 1), the newest last.
        score_history: float32 (window + 1,), representation quality score, the newest last.
    """

    num_clusters: Any
    rounds_recorded: Any
    rounds_at_present: Any
    accuracy_history: Any
    score_history: Any


def initial_state(config: ClusteringConfig) -> ControllerState:
    """Returns the state before the first round: the smallest number of clusters, nothing recorded."""
    empty = tf.zeros([config.window + 1])
    return ControllerState(tf.constant(config.min_clusters), tf.constant(0), tf.constant(0), empty, empty)


def _change_of_moving_average(history: tf.Tensor, recorded: tf.Tensor) -> tf.Tensor:
    """The newest moving average minus the one before; a window that is not full averages what there is."""
    window = history.shape[0] - 1

    def average(values: tf.Tensor, available: tf.Tensor) -> tf.Tensor:
        count = tf.clip_by_value(available, 1, window)
        filled = tf.range(window) >= window - count
        return tf.reduce_sum(tf.where(filled, values, 0.0)) / tf.cast(count, tf.float32)

    return average(history[1:], recorded) - average(history[:-1], recorded - 1)


@tf.autograph.experimental.do_not_convert
def next_state(
    state: ControllerState, accuracy: tf.Tensor, score: tf.Tensor, config: ClusteringConfig
) -> ControllerState:
    """Records one round and decides the number of clusters of the next.

    The number grows by `step` (never beyond `max_clusters`, never back) when all of these hold: at least `patience`
    rounds were recorded at this number, at least `init_rounds` in all, the moving average of the accuracy rose by at
    most a and that of the score by at most b. With d = num_clusters - min_clusters, a = limit / (2 d) and b = 10 a;
    where d = 0, a = limit and b = 10 limit.

    Args:
        state: State before the round.
        accuracy: float32 scalar, mean validation accuracy, 0 to 1.
        score: float32 scalar, mean representation quality score.
        config: min_clusters, max_clusters, step, patience, window, init_rounds, limit.

    Returns:
        State after the round.
    """
    accuracy_history = tf.concat([state.accuracy_history[1:], [accuracy]], axis=0)
    score_history = tf.concat([state.score_history[1:], [score]], axis=0)
    recorded = state.rounds_recorded + 1
    at_present = state.rounds_at_present + 1

    above = tf.cast(state.num_clusters - config.min_clusters, tf.float32)
    accuracy_limit = tf.where(above > 0, tf.math.divide_no_nan(config.limit, 2.0 * above), config.limit)
    stalled = (
        (recorded >= 2)  # one round alone has no change
        & (_change_of_moving_average(accuracy_history, recorded) <= accuracy_limit)
        & (_change_of_moving_average(score_history, recorded) <= 10.0 * accuracy_limit)
    )
    grows = (
        stalled
        & (state.num_clusters < config.max_clusters)
        & (at_present >= config.patience)
        & (recorded >= config.init_rounds)
    )
    grown = tf.minimum(state.num_clusters + config.step, config.max_clusters)
    return ControllerState(
        tf.where(grows, grown, state.num_clusters),
        recorded,
        tf.where(grows, 0, at_present),
        accuracy_history,
        score_history,
    )
