"""The rate weight: what it aims at, how fast, within which limits."""

import numpy as np
import pytest
import tensorflow as tf

from tfc.clustering.rate_controller import HIGHEST_RATE_WEIGHT, initial_state, next_state, round_budget, scheduled
from tfc.config import CommunicationConfig


def test_the_budget_is_fedavgs_bytes_by_the_ratio():
    assert round_budget(1000, 4, 10.0) == (4 * 1000 + 16 + 4 * 1004 + 16) / 10


@pytest.mark.parametrize("start", [0.7, 1.2])
def test_traffic_settles_at_the_budget(start):
    """Bytes that fall with the price as those of low frequencies do, beside a downlink that falls over the rounds."""
    state, total = initial_state(CommunicationConfig(rate_weight=start)), 0.0
    for number in range(40):
        uplink = 500 + 9000 * 0.5 * np.log2(2.4 / float(state.rate_weight))
        downlink = 7000 + 8000 * 0.7**number
        state = next_state(state, tf.constant(uplink, tf.float32), tf.constant(downlink, tf.float32), 10_000.0)
        total += uplink + downlink
    assert uplink + downlink == pytest.approx(10_000, rel=0.02)
    assert total / 40 == pytest.approx(10_000, rel=0.01)
    assert float(state.sent_bytes) == pytest.approx(total, rel=1e-5) and float(state.rounds) == 40


def test_without_a_ratio_the_price_falls_by_equal_factors_in_the_last_rounds():
    config = CommunicationConfig(rate_weight=0.8, final_rate_weight=0.2, final_rounds=2)
    prices = [float(scheduled(config, 5, tf.constant(number))) for number in range(1, 8)]
    np.testing.assert_allclose(prices, [0.8, 0.8, 0.8, 0.4, 0.2, 0.2, 0.2], rtol=1e-6)
    assert float(scheduled(CommunicationConfig(), 5, tf.constant(3))) == pytest.approx(0.8)


def test_the_price_changes_by_a_quarter_at_most_and_stays_within_limits():
    state = initial_state(CommunicationConfig(rate_weight=0.8))
    state = next_state(state, tf.constant(1e9), tf.constant(1.0), 10.0)
    assert float(state.rate_weight) == 1
    for _ in range(9):
        state = next_state(state, tf.constant(1e9), tf.constant(1.0), 10.0)
    assert float(state.rate_weight) == pytest.approx(HIGHEST_RATE_WEIGHT)
    idle = next_state(state, tf.constant(0.0), tf.constant(1.0), 10.0)
    assert float(idle.rate_weight) == pytest.approx(HIGHEST_RATE_WEIGHT)
    cheap = next_state(initial_state(CommunicationConfig()), tf.constant(1.0), tf.constant(1.0), 1e6)
    np.testing.assert_allclose(cheap.rate_weight, 0.8 / 1.25)
