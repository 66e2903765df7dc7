"""Assignment of weights to centroids by distance and by what an index costs given the one that receivers hold.

A broadcast tells each index given the last one at its place, so an index that stays is cheap. A weight gets the
centroid with the smallest (weight - centroid)^2 + price * bits, where the bits of an index given the old one are its
code length in this kernel. Unlike hysteresis, which keeps an old index until the weight has moved well past the middle
and lets broadcast and float weights drift apart, it spends the same on every bit. TensorFlow ops.

Source: Chou, Lookabaugh, Gray, "Entropy-constrained vector quantization" (IEEE Trans. ASSP 37, 1989).
"""

from __future__ import annotations

import tensorflow as tf

from tfc.clustering.centroids import nearest_centroid

ITERATIONS = 2


@tf.autograph.experimental.do_not_convert
def priced_assignment(
    weights: tf.Tensor, codebook: tf.Tensor, old_slots: tf.Tensor, num_clusters: tf.Tensor, rate_weight: float
) -> tf.Tensor:
    """Returns each weight's slot.

    Args:
        weights: float32, any shape.
        codebook: float32 (max_clusters,), slots in use first.
        old_slots: Integers of the weights' shape, what receivers hold.
        num_clusters: int32 scalar, slots in use.
        rate_weight: Price of a bit in mean squared distances between weights and their nearest centroids; 0 for the
            nearest centroid.

    Returns:
        int32, the weights' shape.

    Examples:
        >>> import tensorflow as tf
        >>> weights = tf.concat([tf.fill([98], 0.0), [0.52, 1.0]], axis=0)
        >>> codebook, old = tf.constant([0.0, 1.0]), tf.zeros([100], tf.int32)
        >>> priced_assignment(weights, codebook, old, tf.constant(2), 0.0).numpy()[-2:].tolist()
        [1, 1]
        >>> priced_assignment(weights, codebook, old, tf.constant(2), 10.0).numpy()[-2:].tolist()
        [0, 1]
    """
    slots = nearest_centroid(weights, codebook)
    if not rate_weight:
        return slots
    size = codebook.shape[0]
    flat, used = tf.reshape(weights, [-1]), tf.range(size) < num_clusters
    old = tf.minimum(tf.cast(tf.reshape(old_slots, [-1]), tf.int32), size - 1)
    found = tf.reshape(slots, [-1])
    centroids = tf.where(used, codebook, 0.0)
    price = rate_weight * tf.reduce_mean(tf.square(flat - tf.gather(centroids, found)))
    distances = tf.where(used, tf.square(flat[:, None] - centroids), float("inf"))
    for _ in range(ITERATIONS):
        counts = tf.math.bincount(old * size + found, minlength=size * size, maxlength=size * size)
        # Half a count each: an index that never follows another has a finite price.
        counts = tf.cast(tf.reshape(counts, [size, size]), tf.float32) + tf.where(used, 0.5, 0.0)
        shares = counts / tf.reduce_sum(counts, axis=1, keepdims=True)
        bits = -tf.math.log(tf.maximum(shares, 1e-9)) / tf.math.log(2.0)
        found = tf.argmin(distances + price * tf.gather(bits, old), axis=1, output_type=tf.int32)
    return tf.reshape(found, tf.shape(weights))
