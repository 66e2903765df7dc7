"""EDEN's codec against the Hadamard matrix and the papers' scales in NumPy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from update_codec_checks import Compiled, vector

from tfc.codec.seed_model import mixed
from tfc.methods.eden import Rotated, normal_levels

CODECS = {
    "one-bit": Rotated(5000, 1, True),
    "three-bit": Rotated(5000, 3, False),
    "five-bit-short": Rotated(5, 5, True),
}


@pytest.fixture(scope="module")
def compiled():
    return {name: Compiled(codec) for name, codec in CODECS.items()}


def numpy_rotation(values, seed):
    """Signs, then the Hadamard matrix itself, block by block."""
    length = 4096 if len(values) > 4096 else 1 << (len(values) - 1).bit_length()
    blocks = -(-len(values) // length)
    padded = np.zeros(blocks * length)
    padded[: len(values)] = values
    stream = mixed(np.array([(seed + 0x9E3779B9) % 2**32], np.uint32))
    signs = np.where(mixed(np.arange(len(padded), dtype=np.uint32) ^ stream) < 2**31, 1.0, -1.0)
    matrix = np.ones((1, 1))
    while len(matrix) < length:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    matrix /= math.sqrt(length)
    return (padded * signs).reshape(blocks, length) @ matrix, matrix, signs


@pytest.mark.parametrize("name", ["one-bit", "three-bit", "five-bit-short"])
def test_a_rotated_vector_is_quantised_as_the_papers_say(compiled, name):
    codec, values = CODECS[name], vector(CODECS[name].size)
    data, found = compiled[name].round_trip(values, seed=99)
    rotated, matrix, signs = numpy_rotation(values, 99)
    levels = np.array(normal_levels(codec.width))
    normal = rotated * math.sqrt(rotated.shape[1]) / np.linalg.norm(rotated, axis=1, keepdims=True)
    chosen = levels[np.abs(normal[..., None] - levels).argmin(axis=-1)]
    products = (rotated * chosen).sum(axis=1)
    scale = (rotated**2).sum(axis=1) / products if codec.unbiased else products / (chosen**2).sum(axis=1)
    expected = ((chosen * scale[:, None]) @ matrix).ravel() * signs
    np.testing.assert_allclose(found, expected[: len(values)], atol=1e-6)
    assert len(data) == 4 + 4 * len(rotated) + rotated.size * codec.width // 8
    assert data[:4].view(np.uint32) == 99


def test_levels_are_lloyd_max():
    # Max (1960), table I.
    assert normal_levels(1) == pytest.approx((-0.7979, 0.7979), abs=1e-4)
    assert normal_levels(2)[2:] == pytest.approx((0.4528, 1.5104), abs=1e-3)
    assert normal_levels(3)[4:] == pytest.approx((0.2451, 0.7560, 1.3439, 2.1520), abs=1e-3)


def test_one_bit_estimates_are_unbiased_and_their_error_is_drives(compiled):
    values = vector(CODECS["one-bit"].size)
    estimates = np.array([compiled["one-bit"].round_trip(values, seed)[1] for seed in range(200)])
    squares = (values.astype(np.float64) ** 2).sum()
    # Each estimate's error is pi / 2 - 1 of the squared norm (DRIVE, theorem for large dimensions); independent
    # rotations average it away.
    errors = ((estimates - values) ** 2).sum(axis=1) / squares
    assert errors.mean() == pytest.approx(math.pi / 2 - 1, rel=0.05)
    assert ((estimates.mean(axis=0) - values) ** 2).sum() / squares == pytest.approx((math.pi / 2 - 1) / 200, rel=0.2)


@pytest.mark.parametrize("name", sorted(CODECS))
def test_nothing_changed_decodes_to_nothing(compiled, name):
    _, found = compiled[name].round_trip(np.zeros(CODECS[name].size, np.float32))
    np.testing.assert_array_equal(found, 0)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(CODECS)), st.data())
def test_the_decoder_is_total(compiled, name, data):
    compiled[name].check_any_bytes(data)
