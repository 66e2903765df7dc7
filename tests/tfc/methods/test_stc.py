"""STC's codec against the paper's Golomb code in NumPy."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from update_codec_checks import Compiled, vector

from tfc.methods.stc import SparseTernary, golomb_digits

CODECS = {
    "ternary": SparseTernary(2000, 0.02),
    "ternary-dense": SparseTernary(300, 0.6),
}


@pytest.fixture(scope="module")
def compiled():
    return {name: Compiled(codec) for name, codec in CODECS.items()}


@pytest.mark.parametrize("name", ["ternary", "ternary-dense"])
def test_ternary_values_are_the_largest_ones_with_their_mean_magnitude(compiled, name):
    codec, values = CODECS[name], vector(CODECS[name].size)
    data, found = compiled[name].round_trip(values)
    places = np.sort(np.argsort(-np.abs(values), kind="stable")[: codec.count])
    expected = np.zeros_like(values)
    expected[places] = np.sign(values[places]) * np.abs(values[places]).mean(dtype=np.float64)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    # The paper's Golomb code, gap by gap: unary quotient, a stop bit, b digits; and a sign.
    digits = golomb_digits(min(codec.share, 0.5))
    gaps = np.diff(places, prepend=-1) - 1
    length = sum(int(gap) // 2**digits + 1 + digits + 1 for gap in gaps)
    assert len(data) == 9 + math.ceil(length / 8)
    assert tuple(data[:4].view(np.uint32)) == (codec.count,) and data[8] == digits
    # A scalar reader of the layout finds the same positions.
    stream = np.unpackbits(data[9:], bitorder="little")
    fixed, unary = np.split(stream, [codec.count * (digits + 1)])
    quotients = np.diff(np.flatnonzero(unary == 0)[: codec.count], prepend=-1) - 1
    rows = fixed.reshape(codec.count, digits + 1)
    again = np.cumsum(quotients * 2**digits + rows[:, :digits] @ (1 << np.arange(digits)) + 1) - 1
    np.testing.assert_array_equal(again, places)
    np.testing.assert_array_equal(rows[:, digits], values[places] < 0)


def test_a_gap_takes_the_papers_number_of_bits():
    digits, share = golomb_digits(0.01), 0.01

    def mean_cost(width):
        """The paper's mean bits of a position: 2^width values share a quotient."""
        return width + 1 / (1 - (1 - share) ** (2**width))

    assert digits == 6 == min(range(12), key=mean_cost)
    expected = 1000 * (mean_cost(digits) + 1) / 8  # and a sign
    codec = SparseTernary(100_000, share)
    data = codec.encode(tf.constant(vector(100_000)), tf.constant(0, tf.int64))
    assert len(data) == pytest.approx(expected, rel=0.02)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(CODECS)), st.data())
def test_the_decoder_is_total(compiled, name, data):
    compiled[name].check_any_bytes(data)
