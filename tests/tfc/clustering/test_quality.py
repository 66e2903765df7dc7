"""The representation quality score against SciPy's singular values."""

import numpy as np
import scipy.linalg
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfc.clustering.quality import quality_score


def reference(z):
    rows = z / np.linalg.norm(z, axis=1, keepdims=True)
    s = scipy.linalg.svdvals(rows.astype(np.float64))
    s = s / s.sum()
    s = s[s > 1e-12]
    return np.exp(-(s * np.log(s)).sum())


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), st.integers(1, 40), st.integers(1, 16))
def test_matches_scipy_and_lies_between_one_and_full_rank(seed, examples, features):
    z = np.random.default_rng(seed).normal(size=(examples, features)).astype(np.float32)
    score = float(quality_score(tf.constant(z)))
    np.testing.assert_allclose(score, reference(z), rtol=1e-3)
    assert 1 - 1e-4 <= score <= min(examples, features) + 1e-3


def test_one_direction_scores_one_and_orthogonal_rows_their_number():
    assert abs(float(quality_score(tf.ones([5, 3]))) - 1) < 1e-3
    assert abs(float(quality_score(tf.eye(4))) - 4) < 1e-4


def test_no_examples_score_zero():
    assert float(quality_score(tf.zeros([0, 8]))) == 0
