"""Start, refinement, growth and search of centroids."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
from hypothesis import given, settings
from hypothesis import strategies as st

from tfc.clustering.centroids import grow, kmeans_plus_plus, lloyd, nearest_centroid
from tfc.codec.palette import UNUSED_CENTROID

SEED = tf.constant([3, 7])


def padded(values, slots=16):
    codebook = np.full(slots, UNUSED_CENTROID, np.float32)
    codebook[: len(values)] = values
    return codebook


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 999), st.integers(1, 16), st.lists(st.integers(1, 6), min_size=1, max_size=4))
def test_nearest_centroid_is_tfmots(seed, used, shape):
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=shape).astype(np.float32)
    codebook = padded(rng.normal(size=used))
    ours = nearest_centroid(tf.constant(weights), tf.constant(codebook)).numpy()
    theirs = tfmot.clustering.keras.ClusteringAlgorithm(tf.Variable(codebook)).get_pulling_indices(weights).numpy()
    assert ours.shape == weights.shape
    assert ours.max() < used
    np.testing.assert_allclose(np.abs(weights - codebook[ours]), np.abs(weights - codebook[theirs]), atol=1e-6)


def test_nearest_centroid_keeps_slots_apart_from_their_order():
    codebook = tf.constant(padded([1.0, -1.0, 0.0]))
    np.testing.assert_array_equal(nearest_centroid(tf.constant([-0.9, 0.1, 2.0]), codebook), [1, 2, 0])


@pytest.mark.parametrize("clusters", [2, 5, 16])
def test_kmeans_plus_plus_draws_weights_into_the_first_slots(clusters):
    weights = np.random.default_rng(0).normal(size=(3, 3, 8, 8)).astype(np.float32)
    codebook = kmeans_plus_plus(tf.constant(weights), tf.constant(clusters), 16, SEED).numpy()
    assert set(codebook[:clusters]) <= set(weights.ravel())
    assert len(set(codebook[:clusters])) == clusters
    assert (codebook[clusters:] == np.float32(UNUSED_CENTROID)).all()
    again = kmeans_plus_plus(tf.constant(weights), tf.constant(clusters), 16, SEED).numpy()
    np.testing.assert_array_equal(codebook, again)
    other = kmeans_plus_plus(tf.constant(weights), tf.constant(clusters), 16, tf.constant([3, 8])).numpy()
    assert (other != codebook).any()


def test_kmeans_plus_plus_finds_well_separated_groups():
    groups = np.repeat([-5.0, 0.0, 3.0, 9.0], 50) + np.random.default_rng(1).normal(size=200) * 1e-3
    for seed in range(10):
        codebook = kmeans_plus_plus(tf.constant(groups, tf.float32), tf.constant(4), 4, tf.constant([seed, 0]))
        np.testing.assert_allclose(np.sort(codebook), [-5, 0, 3, 9], atol=0.01)


def test_lloyd_matches_numpy_and_leaves_empty_clusters():
    weights = np.random.default_rng(2).normal(size=500).astype(np.float32)
    codebook = padded([-1.0, 0.0, 1.0, 50.0])
    expected = codebook.copy()
    for _ in range(7):
        nearest = np.abs(weights[:, None] - expected[None]).argmin(1)
        for slot in range(len(expected)):
            if (nearest == slot).any():
                expected[slot] = weights[nearest == slot].mean()
    found = lloyd(tf.constant(weights), tf.constant(codebook), 7).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found[3] == 50


def test_growth_fills_free_slots_and_leaves_the_others():
    weights = np.concatenate([np.zeros(50), np.full(50, 10.0), np.full(50, -7.0)]).astype(np.float32)
    old = padded([0.0, 0.1])
    new = grow(tf.constant(weights), tf.constant(old), tf.constant(2), tf.constant(4), SEED).numpy()
    np.testing.assert_array_equal(new[:2], old[:2])
    assert set(new[2:4]) == {10.0, -7.0}
    assert (new[4:] == np.float32(UNUSED_CENTROID)).all()
