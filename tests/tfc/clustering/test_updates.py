"""Palettes of updates: prices, scales of bands, training through them; first weights from a seed."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tfc.clustering import rate_distortion
from tfc.clustering.initial import glorot_limit, initial_kernels, initial_others, relative_others, unseedable
from tfc.clustering.layout import layout_of
from tfc.clustering.rate_distortion import PricedCentroids, cheapest_centroid, unbiased_scales
from tfc.clustering.updates import ClusteredUpdates
from tfc.codec.frequency_bands import band_numbers, change_of, coefficients, scaled


def quantized(update, levels, price):
    priced = tf.function(rate_distortion.fit)(tf.constant(update), levels, tf.constant(price, tf.float32))
    slots = cheapest_centroid(tf.constant(update), priced).numpy()
    return slots, priced.centroids.numpy(), priced.prices.numpy()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99), st.sampled_from([3, 9]), st.floats(0, 1.1), st.sampled_from([(3, 50), (3, 3, 4, 5)]))
def test_every_coefficient_gets_the_centroid_with_the_least_cost(seed, levels, price, shape):
    update = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    slots, centroids, prices = quantized(update, levels, price)
    cost = (update[..., None] - centroids) ** 2 + prices[band_numbers(shape)].reshape(*shape, levels)
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


def test_a_rare_bands_bits_are_priced_by_that_bands_own_code():
    update = np.random.default_rng(0).normal(size=(3, 3, 40, 40)).astype(np.float32)
    update[1:, 1:] *= 0.1  # high frequencies are small, and seldom anything but zero
    _, _, prices = quantized(update, 9, 0.5)
    first_steps = prices[:, 5]
    assert first_steps[[0, 1, 2, 3, 6]].max() < 0.5 * first_steps[[4, 5, 7, 8]].min()


def test_scaled_bands_make_the_mean_over_clients_unbiased_in_every_band():
    rng = np.random.default_rng(1)
    shape = (3, 3, 50, 50)
    bands = band_numbers(shape).reshape(shape)
    common = (rng.normal(size=shape) * (1 + 0.2 * (bands % 3))).astype(np.float32)
    total, plain = np.zeros_like(common), np.zeros_like(common)
    for _ in range(60):
        update = (common + rng.normal(size=shape) * (1 + 0.2 * (bands % 3))).astype(np.float32)
        slots, centroids, _ = quantized(update, 9, 0.4)
        found = centroids[slots]
        scales = unbiased_scales(tf.constant(update), tf.constant(found)).numpy()
        total += scaled(found, scales) / 60
        plain += found / 60
    for band in range(9):
        here = bands == band
        slope, shrunk = ((mean[here] * common[here]).sum() / (common[here] ** 2).sum() for mean in (total, plain))
        assert slope == pytest.approx(1, abs=0.06) and shrunk < 0.97
    assert unbiased_scales(tf.zeros([3, 3, 2, 2]), tf.zeros([3, 3, 2, 2])).numpy().tolist() == [0] * 9


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
    np.testing.assert_allclose(latent, coefficients(change), atol=1e-6)
    loss, gradients = step()
    # The same loss and gradients with the clustered kernel put into the model by hand.
    priced = PricedCentroids(updates.centroids[0], updates.prices[0])
    slots = cheapest_centroid(updates.latent[0], priced).numpy()
    kernel.assign(sent + change_of(centroids[slots]))
    with tf.GradientTape() as tape:
        expected = tf.reduce_sum(tf.square(model(x, training=False)))
    by_kernel = tape.gradient(expected, kernel).numpy()
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    np.testing.assert_allclose(gradients[0], by_kernel, rtol=1e-3, atol=1e-5)  # straight through
    by_coefficient = coefficients(by_kernel)
    sums = np.array([by_coefficient[slots == slot].sum() * (slot != 2) for slot in range(5)])
    np.testing.assert_allclose(gradients[-1], sums, rtol=1e-3, atol=1e-4)  # summed, zero stays zero

    @tf.function
    def snap():
        return updates.snap()

    (palette,), (scales,) = snap()
    np.testing.assert_array_equal(palette.indices, slots)
    np.testing.assert_allclose(kernel, sent + change_of(scaled(palette.codebook.numpy()[slots], scales)), atol=1e-6)
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
