"""Adapts the rate weight of the clients' updates to a requested communication ratio."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from tfc.codec.message_spec import float32_message_bytes
from tfc.config import CommunicationConfig
from tfc.schedule import at_round

LOWEST_RATE_WEIGHT, HIGHEST_RATE_WEIGHT = 0.01, 2.0
"""A Gaussian of the mean variance is worth no bit from 2 ln 2 = 1.39 on, the slope of its distortion at rate zero; the
lowest frequencies, with three to six times that variance, still are."""
HORIZON = 4.0
"""Rounds over which what was sent too much or too little is made up for."""
SENSITIVITY = 0.5
"""Power of (bytes sent / bytes wanted) that the price changes by: bytes fall faster than the price rises."""
LARGEST_CHANGE = 1.25
"""Most that the price changes by in a round, as a factor."""


class RateState(NamedTuple):
    """What the controller remembers.

    Attributes:
        rate_weight: float32 scalar, rate weight of a bit in mean squares of the update.
        rounds: float32 scalar, rounds counted.
        sent_bytes: float32 scalar, bytes of one client in all of them, both ways.
    """

    rate_weight: Any
    rounds: Any
    sent_bytes: Any


def initial_state(config: CommunicationConfig) -> RateState:
    """Returns the state before the first round: the configured rate weight, nothing sent."""
    return RateState(tf.constant(config.rate_weight), tf.constant(0.0), tf.constant(0.0))


def first_rate_weight(config: CommunicationConfig, rounds: int) -> tf.Tensor:
    """Returns the rate weight of the first round, float32 scalar.

    Args:
        config: target_ratio, rate_weight and its schedule.
        rounds: Number of rounds of the run.
    """
    if config.target_ratio:
        return tf.constant(config.rate_weight)
    return scheduled(config, rounds, tf.constant(1))


@tf.autograph.experimental.do_not_convert
def scheduled(config: CommunicationConfig, rounds: int, round_number: tf.Tensor) -> tf.Tensor:
    """Returns the rate weight of a round where no ratio is requested: constant, or falling in the last rounds.

    Noise of the last rounds stays in the model, that of the first ones does not: bits are worth more at the end.

    Args:
        config: rate_weight, final_rate_weight, final_rounds.
        rounds: Number of rounds of the run; later ones keep the last rate weight.
        round_number: int32 scalar, from 1.
    """
    if not config.final_rate_weight or not config.rate_weight:
        return tf.constant(config.rate_weight)
    return at_round(config.rate_weight, config.final_rate_weight, rounds, config.final_rounds, round_number)


def round_budget(num_parameters: int, num_scalars: int, target_ratio: float) -> float:
    """Returns the bytes that one client may exchange in a round, both ways.

    Args:
        num_parameters: Parameters of the model; FedAvg sends each as float32, both ways.
        num_scalars: Values beside a client's model.
        target_ratio: FedAvg's bytes by ours.
    """
    fedavg = float32_message_bytes(num_parameters, 0) + float32_message_bytes(num_parameters, num_scalars)
    return fedavg / target_ratio


@tf.autograph.experimental.do_not_convert
def next_state(state: RateState, uplink_bytes: tf.Tensor, downlink_bytes: tf.Tensor, budget: float) -> RateState:
    """Records a round and decides the rate weight of the next.

    The next uplink should take what the budget leaves beside a downlink as long as the last, plus or minus what the
    rounds so far left or overdrew, spread over `HORIZON` rounds.

    Args:
        state: State before the round.
        uplink_bytes: float32 scalar, mean length of the clients' payloads.
        downlink_bytes: float32 scalar, length of the payload that they answered.
        budget: Bytes of one client in one round, both ways.

    Returns:
        State after the round; without an uplink the rate weight stays.
    """
    rounds = state.rounds + 1.0
    sent = state.sent_bytes + uplink_bytes + downlink_bytes
    wanted = budget - downlink_bytes + (budget * rounds - sent) / HORIZON
    change = tf.pow(uplink_bytes / tf.maximum(wanted, 1.0), SENSITIVITY)
    change = tf.clip_by_value(change, 1.0 / LARGEST_CHANGE, LARGEST_CHANGE)
    price = tf.clip_by_value(state.rate_weight * change, LOWEST_RATE_WEIGHT, HIGHEST_RATE_WEIGHT)
    return RateState(tf.where(uplink_bytes > 0, price, state.rate_weight), rounds, sent)
