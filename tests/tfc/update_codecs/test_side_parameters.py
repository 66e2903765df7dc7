"""Side parameters of update coding: their two forms; and how bits are packed."""

import numpy as np
import tensorflow as tf

from tfc.update_codecs import bits
from tfc.update_codecs.side_parameters import ByteSideParameters, Float32SideParameters


def test_bits_are_packed_from_the_lowest():
    digits = np.random.default_rng(0).integers(0, 2, 21)
    packed = bits.pack(tf.constant(digits, tf.int32), filler=1).numpy()
    np.testing.assert_array_equal(packed, np.packbits([*digits, 1, 1, 1], bitorder="little"))
    np.testing.assert_array_equal(bits.unpack(packed)[:21], digits)


def test_side_parameters_as_bytes_are_within_half_a_step_and_variances_stay_positive():
    rng = np.random.default_rng(0)
    form = ByteSideParameters((6, 5, 1), (False, True, False))
    held = np.concatenate([rng.normal(size=6), [1e-6, 0.1, 1, 1, 30], [2]]).astype(np.float32)
    values = np.concatenate([held[:6] + rng.normal(size=6), [1e-3, 0.05, 1, 40, 29], [2]]).astype(np.float32)
    data = form.encode(tf.constant(values), tf.constant(held)).numpy()
    assert len(data) == form.num_bytes == 4 * 3 + 12
    found = form.decode(tf.constant(data), tf.constant(held)).numpy()
    assert np.abs(found - values)[:6].max() <= np.abs(values - held)[:6].max() / 254 * 1.001
    logarithms = np.log(values[6:11] / held[6:11])
    # A step of the 8th root is a factor of about 1 + 8 steps at 1, and less beyond.
    step = (np.exp(np.abs(logarithms).max() / 8) - 1) / 127
    assert np.abs(np.log(found[6:11] / values[6:11])).max() <= 8 * step / 2 * 1.01
    assert found[8] == held[8] and found[11] == 2, "what did not change is held bit for bit"
    exact = Float32SideParameters((6, 5, 1), (False, True, False))
    np.testing.assert_array_equal(exact.decode(exact.encode(tf.constant(values), None), None), values)
