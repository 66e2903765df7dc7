"""The form of drawn out-of-distribution inputs: how many, in which batches."""

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfc.data.ood_pipeline import drawn_inputs


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 15))
def test_all_inputs_come_once_in_order_in_full_batches(num_examples, per_draw, batch_size):
    def draw(number):
        return number * per_draw + tf.range(per_draw, dtype=tf.int64)

    found = [batch.numpy() for batch in drawn_inputs(draw, per_draw, num_examples, batch_size)()]
    np.testing.assert_array_equal(np.concatenate(found), np.arange(num_examples))
    assert all(len(batch) == batch_size for batch in found[:-1]) and len(found[-1]) <= batch_size
