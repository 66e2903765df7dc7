"""Palettes of updates: prices, stretch, training through them; first weights from a seed."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tfc.clustering import rate_distortion
from tfc.clustering.initial import glorot_limit, initial_kernels, initial_others, relative_others, unseedable
from tfc.clustering.layout import layout_of
from tfc.clustering.rate_distortion import PricedCentroids, cheapest_centroid, stretched
from tfc.clustering.updates import ClusteredUpdates


def quantized(update, levels, price):
    priced = tf.function(rate_distortion.fit)(tf.constant(update), levels, tf.constant(price, tf.float32))
    slots = cheapest_centroid(tf.constant(update), priced).numpy()
    return slots, priced.centroids.numpy(), priced.prices.numpy()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99), st.sampled_from([3, 9]), st.floats(0, 1.1))
def test_every_weight_gets_the_centroid_with_the_least_cost(seed, levels, price):
    update = np.random.default_rng(seed).normal(size=(3, 50)).astype(np.float32)
    slots, centroids, prices = quantized(update, levels, price)
    cost = (update[..., None] - centroids) ** 2 + prices
    np.testing.assert_allclose(np.take_along_axis(cost, slots[..., None], -1)[..., 0], cost.min(axis=-1), rtol=1e-5)
    assert centroids[levels // 2] == 0 and (np.diff(centroids) > 0).all()


def test_a_higher_price_gives_fewer_bits_at_more_distortion_near_the_gaussian_bound():
    update = np.random.default_rng(0).normal(size=40_000).astype(np.float32)
    bits, distortions = [], []
    for price in (0.1, 0.4, 0.8):
        slots, centroids, _ = quantized(update, 15, price)
        bits.append(stats.entropy(np.bincount(slots), base=2))
        distortions.append(((update - centroids[slots]) ** 2).mean())
    assert bits == sorted(bits, reverse=True) and distortions == sorted(distortions)
    for rate, distortion in zip(bits, distortions, strict=True):
        # Scalar quantisation with entropy coding is about a quarter of a bit above the rate-distortion function.
        assert 0.5 * np.log2(1 / distortion) < rate < 0.5 * np.log2(1 / distortion) + 0.3
    assert quantized(np.zeros(9, np.float32), 5, 0.5)[1] == pytest.approx(np.zeros(5))


def test_stretched_centroids_make_the_mean_over_clients_unbiased():
    rng = np.random.default_rng(1)
    common = rng.normal(size=20_000).astype(np.float32)
    total, plain = np.zeros_like(common), np.zeros_like(common)
    for _ in range(60):
        update = common + rng.normal(size=common.shape).astype(np.float32)
        slots, centroids, _ = quantized(update, 9, 0.7)
        wide = stretched(tf.constant(update), tf.constant(slots), tf.constant(centroids)).numpy()
        assert (wide[slots] * update).sum() == pytest.approx((update**2).sum(), rel=1e-4)
        total += wide[slots] / 60
        plain += centroids[slots] / 60
    slope, shrunk = ((mean * common).sum() / (common**2).sum() for mean in (total, plain))
    assert slope == pytest.approx(1, abs=0.03) and shrunk < 0.8


def small_model():
    inputs = tf.keras.Input((8, 8, 2))
    x = tf.keras.layers.Conv2D(6, 3, use_bias=False)(inputs)
    x = tf.keras.layers.BatchNormalization()(x)
    x = tf.keras.layers.GlobalAveragePooling2D(name="embedding")(x)
    return tf.keras.Model(inputs, tf.keras.layers.Dense(4)(x))


def test_training_goes_through_broadcast_plus_clustered_update():
    model = small_model()
    layout = layout_of(model, "conv", 8)
    kernel = model.trainable_variables[layout.kernels[0].position]
    sent = kernel.numpy()
    rng = np.random.default_rng(0)
    updates = ClusteredUpdates(model, layout, 5)
    x = rng.normal(size=(6, 8, 8, 2)).astype(np.float32)

    @tf.function
    def start(change):
        kernel.assign(sent + change)
        updates.start([tf.constant(sent)], tf.constant(0.3))

    @tf.function
    def step():
        with tf.GradientTape() as tape, updates.applied():
            loss = tf.reduce_sum(tf.square(model(x, training=False)))
        return loss, updates.gradients_of(tape.gradient(loss, updates.variables))

    change = (rng.normal(size=sent.shape) * 0.05).astype(np.float32)
    start(tf.constant(change))
    latent, centroids = updates.latent[0].numpy(), updates.centroids[0].numpy()
    np.testing.assert_allclose(latent, change, atol=1e-6)
    loss, gradients = step()
    # The same loss and gradients with the clustered kernel put into the model by hand.
    priced = PricedCentroids(updates.centroids[0], updates.prices[0])
    slots = cheapest_centroid(updates.latent[0], priced).numpy()
    kernel.assign(sent + centroids[slots])
    with tf.GradientTape() as tape:
        expected = tf.reduce_sum(tf.square(model(x, training=False)))
    by_kernel = tape.gradient(expected, kernel).numpy()
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    np.testing.assert_allclose(gradients[0], by_kernel, rtol=1e-3, atol=1e-5)  # straight through
    sums = np.array([by_kernel[slots == slot].sum() * (slot != 2) for slot in range(5)])
    np.testing.assert_allclose(gradients[-1], sums, rtol=1e-3, atol=1e-4)  # summed, zero stays zero

    @tf.function
    def snap():
        return updates.snap()

    (palette,) = snap()
    np.testing.assert_array_equal(palette.indices, slots)
    np.testing.assert_allclose(kernel, sent + palette.codebook.numpy()[slots], atol=1e-6)
    assert palette.codebook[2] == 0


def test_starts_of_weights_are_described():
    model = small_model()
    layout = layout_of(model, "conv", 8)
    keras_limit = tf.keras.initializers.GlorotUniform(0)((3, 3, 20, 30)).numpy()
    assert np.abs(keras_limit).max() == pytest.approx(glorot_limit((3, 3, 20, 30)), rel=1e-2)
    (kernel,) = initial_kernels(layout)
    assert (kernel.limit, kernel.tensor) == (glorot_limit((3, 3, 2, 6)), 0)
    others = initial_others(model, layout)  # gamma, beta, dense kernel, dense bias, mean, variance
    assert [start.constant for start in others] == [1, 0, 0, 0, 0, 1]
    assert [start.limit > 0 for start in others] == [False, False, True, False, False, False]
    assert [start.tensor for start in others] == [1, 2, 3, 4, 5, 6]
    assert relative_others(model, layout) == (False, False, False, False, False, True)
    assert unseedable(model, layout) == ()


def test_weights_that_no_seed_stands_for_are_named():
    model = small_model()
    layout = layout_of(model, "conv", 8)
    names = [variable.name for variable in model.trainable_variables]
    fresh = model.get_weights()
    for position, values in (
        (1, np.arange(6)),  # gamma
        (0, np.zeros((3, 3, 2, 6))),  # a kernel that starts at zeros
        (0, np.random.default_rng(0).normal(size=(3, 3, 2, 6)) * 0.4),  # another distribution
        (2, np.linspace(0, 1, 6)),  # beta
    ):
        model.set_weights(fresh)
        model.trainable_variables[position].assign(values)
        assert unseedable(model, layout) == (names[position],)
    model.set_weights(fresh)
    model.non_trainable_variables[0].assign(np.arange(6))
    assert unseedable(model, layout) == (model.non_trainable_variables[0].name,)
