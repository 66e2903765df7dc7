"""The controller of the number of clusters: rounds in, number out."""

import pytest
import tensorflow as tf

from tfc.clustering.controller import initial_state, next_state
from tfc.config import ClusteringConfig

BASE = {"min_clusters": 8, "max_clusters": 16, "step": 4, "patience": 2, "window": 2, "init_rounds": 3, "limit": 0.01}


def clusters_after(rounds, **changes):
    config = ClusteringConfig(**{**BASE, **changes})
    state, numbers = initial_state(config), []
    for accuracy, score in rounds:
        state = next_state(state, tf.constant(accuracy), tf.constant(score), config)
        numbers.append(int(state.num_clusters))
    return numbers


FLAT = [(0.5, 10.0)] * 8


@pytest.mark.parametrize(
    "rounds,changes,expected",
    [
        # Nothing before init_rounds; after growth, patience rounds at the new number; never beyond the largest.
        (FLAT, {}, [8, 8, 12, 12, 16, 16, 16, 16]),
        (FLAT, {"init_rounds": 1, "patience": 1}, [8, 12, 16, 16, 16, 16, 16, 16]),
        (FLAT, {"init_rounds": 5}, [8, 8, 8, 8, 12, 12, 16, 16]),
        (FLAT, {"patience": 4}, [8, 8, 8, 12, 12, 12, 12, 16]),
        # The last step is cut at the largest number.
        (FLAT, {"step": 6}, [8, 8, 14, 14, 16, 16, 16, 16]),
        (FLAT, {"max_clusters": 8}, [8] * 8),
        # A moving average of two rounds that rises by 0.05 is growth, one that rises by 0.005 is not.
        ([(0.1 * i, 10.0) for i in range(8)], {}, [8] * 8),
        ([(0.5 + 0.005 * i, 10.0) for i in range(4)], {}, [8, 8, 12, 12]),
        # The score's limit is ten times as wide: 0.1 at the start.
        ([(0.5, 1.0 * i) for i in range(8)], {}, [8] * 8),
        ([(0.5, 0.09 * i) for i in range(4)], {}, [8, 8, 12, 12]),
        # Above the start the limit shrinks to limit / (2 (C - C_min)): 0.01 / 8 = 0.00125.
        ([(0.5, 10.0)] * 3 + [(0.5 + 0.005 * i, 10.0) for i in range(1, 6)], {}, [8, 8, 12, 12, 12, 12, 12, 12]),
        # The change is signed: a fall is no growth.
        ([(0.9 - 0.1 * i, 10.0) for i in range(5)], {}, [8, 8, 12, 12, 16]),
        # A window of 4 averages what there is: 0, .3, .3, .3 rises from .15 to .2 in round 3 and to .225 in round 4.
        ([(0.0, 1.0), (0.3, 1.0), (0.3, 1.0), (0.3, 1.0)], {"window": 4, "limit": 0.049}, [8, 8, 8, 12]),
    ],
)
def test_number_of_clusters(rounds, changes, expected):
    assert clusters_after(rounds, **changes) == expected


def test_averages_run_on_when_the_number_changes():
    # Round 3 grows to 12; round 5 still averages over rounds 4 and 5 against 3 and 4, whatever the number was then.
    rounds = [(0.5, 10.0)] * 3 + [(0.5, 10.0), (0.6, 10.0), (0.6, 10.0), (0.6, 10.0)]
    assert clusters_after(rounds) == [8, 8, 12, 12, 12, 12, 16]


def test_history_has_a_fixed_size():
    config = ClusteringConfig(**BASE)
    state = initial_state(config)
    for _ in range(20):
        state = next_state(state, tf.constant(0.5), tf.constant(1.0), config)
    assert state.accuracy_history.shape == state.score_history.shape == (3,)
    assert int(state.rounds_recorded) == 20
