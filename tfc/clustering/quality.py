"""Representation quality score: how many dimensions a client's embeddings really use."""

from __future__ import annotations

import tensorflow as tf


@tf.autograph.experimental.do_not_convert
def quality_score(embeddings: tf.Tensor) -> tf.Tensor:
    """Returns the effective rank of row-normalised embeddings: exp of the entropy of the singular values' shares.

    Source: FedCompress, section 3 (score); Roy, Vetterli, "The effective rank" (EUSIPCO 2007).

    Args:
        embeddings: float32 (examples, features).

    Returns:
        float32 scalar between 1 and min(examples, features); 0 without examples.
    """
    rows = tf.math.l2_normalize(embeddings, axis=1)
    singular_values = tf.linalg.svd(rows, compute_uv=False)
    shares = tf.math.divide_no_nan(singular_values, tf.reduce_sum(singular_values))
    entropy = -tf.reduce_sum(tf.math.xlogy(shares, shares))
    return tf.where(tf.shape(embeddings)[0] > 0, tf.exp(entropy), 0.0)
