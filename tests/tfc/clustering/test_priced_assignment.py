"""Indices by distance and by their cost given the old ones, against NumPy and by what they are for."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfc.clustering.centroids import nearest_centroid
from tfc.clustering.priced_assignment import ITERATIONS, priced_assignment
from tfc.codec.palette import UNUSED_CENTROID

RNG = np.random.default_rng(3)
CODEBOOK = np.array([-1.5, 0.2, 1.0, -0.4, UNUSED_CENTROID, UNUSED_CENTROID], np.float32)
OLD = nearest_centroid(tf.constant(RNG.normal(size=(40, 50)).astype(np.float32)), CODEBOOK).numpy()
WEIGHTS = (CODEBOOK[OLD] + RNG.normal(size=OLD.shape) * 0.3).astype(np.float32)


def bits(new, old):
    """Entropy of the indices given the old ones, bits."""
    rows = [np.bincount(new[old == slot], minlength=6) for slot in range(6)]
    return sum(row.sum() * stats.entropy(row, base=2) for row in rows if row.sum())


def by_hand(rate_weight):
    """The assignment written out with loops over weights."""
    weights, old = WEIGHTS.ravel(), OLD.ravel()
    distance = (weights[:, None] - CODEBOOK[:4]) ** 2
    found = distance.argmin(1)
    price = rate_weight * distance.min(1).mean()
    for _ in range(ITERATIONS):
        counts = np.full((4, 4), 0.5)
        for before, after in zip(old, found, strict=True):
            counts[before, after] += 1
        length = -np.log2(counts / counts.sum(1, keepdims=True))
        found = np.array([(d + price * length[before]).argmin() for d, before in zip(distance, old, strict=True)])
    return found.reshape(WEIGHTS.shape)


@pytest.mark.parametrize("rate_weight", [0.0, 0.25, 2.0])
def test_slots_are_those_of_an_assignment_by_hand(rate_weight):
    found = priced_assignment(tf.constant(WEIGHTS), tf.constant(CODEBOOK), OLD, tf.constant(4), rate_weight).numpy()
    expected = by_hand(rate_weight) if rate_weight else nearest_centroid(tf.constant(WEIGHTS), CODEBOOK).numpy()
    assert (found != expected).mean() < 1e-3, "equal costs may fall to either side"
    assert found.max() < 4


def test_a_higher_price_buys_fewer_bits_for_more_distance():
    rates, distances = [], []
    for rate_weight in (0.0, 0.25, 1.0, 4.0):
        found = priced_assignment(tf.constant(WEIGHTS), tf.constant(CODEBOOK), OLD, tf.constant(4), rate_weight)
        rates.append(bits(found.numpy().ravel(), OLD.ravel()))
        distances.append(((WEIGHTS - CODEBOOK[found.numpy()]) ** 2).mean())
    assert (np.diff(rates) < 0).all() and (np.diff(distances) > 0).all()
    assert distances[1] / distances[0] - 1 < 0.5 * (1 - rates[1] / rates[0]), "the first bits are the cheapest"
