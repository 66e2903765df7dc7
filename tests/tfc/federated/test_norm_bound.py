"""The bound on the norm of a client's change, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from tfc.federated.aggregator import bounded

RNG = np.random.default_rng(0)
BASE = [RNG.normal(size=shape).astype(np.float32) for shape in ((3, 4), (5,))]


def moved(norm):
    changes = [RNG.normal(size=array.shape) for array in BASE]
    factor = norm / np.sqrt(sum(np.square(change).sum() for change in changes))
    return [(array + factor * change).astype(np.float32) for array, change in zip(BASE, changes, strict=True)]


@pytest.mark.parametrize("norm", [0.0, 0.5, 1.99])
def test_a_small_change_keeps_its_bits(norm):
    model = moved(norm)
    for found, expected in zip(bounded(model, BASE, 2.0), model, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("norm", [2.01, 40.0, 1e20])
def test_a_large_one_keeps_its_direction_and_gets_the_bounds_norm(norm):
    model = moved(norm)
    changes = [found.numpy() - array for found, array in zip(bounded(model, BASE, 2.0), BASE, strict=True)]
    if norm < 1e18:
        for change, after, before in zip(changes, model, BASE, strict=True):
            np.testing.assert_allclose(change, (after - before) * 2 / norm, atol=1e-5)
        assert np.sqrt(sum(np.square(change).sum() for change in changes)) == pytest.approx(2.0, abs=1e-4)
    else:  # its square is no number any more: nothing of it counts
        assert not any(change.any() for change in changes)


def test_what_is_not_finite_is_left_for_others_to_refuse():
    model = [np.full_like(BASE[0], np.nan), BASE[1]]
    assert np.isnan(bounded(list(map(tf.constant, model)), BASE, 2.0)[0]).all()
