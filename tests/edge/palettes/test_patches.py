"""Patches times a kernel are TensorFlow's convolution."""

import numpy as np
import pytest
import tensorflow as tf

from edge.palettes.patches import Window, patches, transposed_patches

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("size", [(3, 3), (1, 1), (2, 5), (4, 2)])
@pytest.mark.parametrize("strides,dilations", [((1, 1), (1, 1)), ((2, 3), (1, 1)), ((1, 1), (2, 3))])
def test_a_convolution(same, size, strides, dilations):
    x, kernel = RNG.normal(size=(2, 11, 13, 3)), RNG.normal(size=(*size, 3, 4))
    found = np.einsum("nijckl,klco->nijo", patches(x, Window(size, strides, dilations, same)), kernel)
    expected = tf.nn.convolution(x, kernel, strides, "SAME" if same else "VALID", dilations=dilations).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (3, 1)])
def test_a_transposed_convolution(strides):
    x, kernel = RNG.normal(size=(2, 4, 5, 3)), RNG.normal(size=(3, 2, 6, 3))
    found = np.einsum("nijckl,kloc->nijo", transposed_patches(x, (3, 2), strides), kernel)
    shape = 2, (4 - 1) * strides[0] + 3, (5 - 1) * strides[1] + 2, 6
    expected = tf.nn.conv2d_transpose(x, kernel, shape, strides, "VALID").numpy()
    np.testing.assert_allclose(found, expected, atol=1e-9)
