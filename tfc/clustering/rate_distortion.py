"""Palettes of updates: centroids around an exact zero, chosen by distortion and by what an index costs. TensorFlow ops.

A weight gets the centroid with the smallest (weight - centroid)^2 + price, where the price of a centroid is the length
of its code times `rate_weight` times the mean square of the update. Rare centroids are thus avoided unless they pay.

Such a palette shrinks: what lies near zero becomes zero. The mean of shrunk updates is a biased one, which no number of
clients makes up for. So the centroids are finally stretched until the palettized update has the projection on the
update that the update has on itself.

Sources: Chou, Lookabaugh, Gray, "Entropy-constrained vector quantization" (IEEE Trans. ASSP 37, 1989); Vargaftik et
al., "EDEN: Communication-Efficient and Robust Distributed Mean Estimation for Federated Learning" (ICML 2022, the scale
that makes an estimate of a mean unbiased).
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

SPACING = 1.5
"""First distance of neighbouring centroids in root mean squares of the update."""
ITERATIONS = 3
LARGEST_STRETCH = 4.0


class PricedCentroids(NamedTuple):
    """Centroids of one update.

    Attributes:
        centroids: float32 (levels,), an exact zero in the middle.
        prices: float32 (levels,), added to the squared distance.
    """

    centroids: tf.Tensor
    prices: tf.Tensor


def is_not_zero(levels: int) -> tf.Tensor:
    """Returns 1 for each slot but the one of the exact zero, where it is 0; float32 (levels,).

    Args:
        levels: Slots of the codebook.
    """
    return tf.constant([0.0 if slot == levels // 2 else 1.0 for slot in range(levels)])


def cheapest_centroid(update: tf.Tensor, priced: PricedCentroids) -> tf.Tensor:
    """Returns each weight's slot: smallest squared distance plus price; int32, the update's shape.

    Args:
        update: float32, any shape.
        priced: Centroids and prices.
    """
    distance = tf.square(tf.reshape(update, [-1, 1]) - priced.centroids) + priced.prices
    return tf.reshape(tf.argmin(distance, axis=1, output_type=tf.int32), tf.shape(update))


def fit(update: tf.Tensor, levels: int, rate_weight: tf.Tensor) -> PricedCentroids:
    """Fits centroids and prices to an update.

    Args:
        update: float32, any shape.
        levels: Slots of the codebook, odd; at least 3.
        rate_weight: float32 scalar, rate weight of a bit in mean squares of the update.

    Returns:
        Centroids and prices; those of an update of zeros are zero.
    """
    flat = tf.reshape(update, [-1])
    mean_square = tf.reduce_mean(tf.square(flat))
    keep = is_not_zero(levels)
    centroids = (tf.range(levels, dtype=tf.float32) - levels // 2) * SPACING * tf.sqrt(mean_square)
    priced = PricedCentroids(centroids, tf.zeros([levels]))
    for _ in range(ITERATIONS):
        slots = cheapest_centroid(flat, priced)
        counts = tf.math.unsorted_segment_sum(tf.ones_like(flat), slots, levels)
        means = tf.math.divide_no_nan(tf.math.unsorted_segment_sum(flat, slots, levels), counts)
        # Half a count each: a centroid that nobody chose has a finite price.
        shares = (counts + 0.5) / (tf.reduce_sum(counts) + 0.5 * levels)
        bits = -tf.math.log(shares) / tf.math.log(2.0)
        centroids = tf.where((counts > 0) & (keep > 0), means, priced.centroids)
        priced = PricedCentroids(centroids, rate_weight * mean_square * bits)
    # An update of zeros has only zero to choose.
    return PricedCentroids(priced.centroids, tf.where(mean_square > 0, priced.prices, keep))


def stretched(update: tf.Tensor, slots: tf.Tensor, centroids: tf.Tensor) -> tf.Tensor:
    """Returns centroids scaled so that the palettized update is unbiased along the update.

    Args:
        update: float32, any shape.
        slots: int32 of its shape.
        centroids: float32 (levels,).
    """
    projection = tf.reduce_sum(update * tf.gather(centroids, slots))
    stretch = tf.math.divide_no_nan(tf.reduce_sum(tf.square(update)), projection)
    return centroids * tf.clip_by_value(stretch, 0.0, LARGEST_STRETCH)
