"""Coefficients of a kernel's window: SciPy's transform, the same bits at both ends, and the bands they fall into."""

import numpy as np
import pytest
import scipy.fft
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfc.codec import frequency_bands as bands
from tfc.graph_codec import frequency_bands as in_graph

SHAPES = [(3, 3, 4, 5), (5, 5, 2, 3), (1, 7, 2, 2), (4, 3, 2), (64, 10), (9, 2, 2, 2), (2, 3, 2, 2, 2), (12,)]


def random_kernel(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_coefficients_are_scipys_orthonormal_cosine_transform(shape):
    kernel = random_kernel(shape)
    axes = [axis for axis, length in enumerate(shape[:-2]) if 2 <= length <= 8]
    expected = scipy.fft.dctn(kernel, axes=axes, norm="ortho") if axes else kernel
    found = bands.coefficients(kernel)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(bands.change_of(found), kernel, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(SHAPES), st.integers(0, 99))
def test_both_ends_compute_the_same_bits(shape, seed):
    values = random_kernel(shape, seed)
    scales = np.random.default_rng(seed).integers(0, 256, bands.num_bands(shape)).astype(np.uint8)

    @tf.function
    def graph(values, scales):
        scaled = values * in_graph.factors_of(scales, shape)
        return in_graph.coefficients(values), in_graph.change_of(scaled)

    found, change = graph(tf.constant(values), tf.constant(scales))
    np.testing.assert_array_equal(found, bands.coefficients(values))
    np.testing.assert_array_equal(change, bands.change_of(bands.scaled(values, scales)))


def test_bands_are_frequencies_up_to_two_along_each_axis():
    assert bands.band_numbers((3, 3, 1, 1)).tolist() == list(range(9))
    assert bands.band_numbers((5, 1, 1)).tolist() == [0, 1, 2, 2, 2]
    assert bands.band_numbers((2, 2, 1, 2)).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert bands.band_numbers((4, 4)).tolist() == [0] * 16
    for shape in SHAPES:
        numbers = bands.band_numbers(shape)
        assert sorted(set(numbers.tolist())) == list(range(bands.num_bands(shape)))


def test_a_change_that_neighbours_share_is_one_coefficient():
    change = np.zeros((3, 3, 2, 2), np.float32) + random_kernel((1, 1, 2, 2))
    found = bands.coefficients(change).reshape(9, 4)
    np.testing.assert_allclose(found[0], 3 * change[0, 0].ravel(), rtol=1e-6)
    np.testing.assert_allclose(found[1:], 0, atol=1e-6)
