"""Palettes of updates: centroids around an exact zero, chosen by distortion and by what an index costs. TensorFlow ops.

What is palettized are the coefficients of a kernel's change in bands of frequencies (`tfc.codec.frequency_bands`). A
coefficient gets the centroid with the smallest (coefficient - centroid)^2 + price, where the price of a centroid is the
length of its code in the coefficient's band times `rate_weight` times the mean square of the update. Rare centroids are
thus avoided unless they pay.

Such a palette shrinks: what lies near zero becomes zero. The mean of shrunk updates is a biased one, which no number of
clients makes up for. So each band is finally scaled until its palettized coefficients have the projection on the band
that the band has on itself.

Sources: Chou, Lookabaugh, Gray, "Entropy-constrained vector quantization" (IEEE Trans. ASSP 37, 1989); Vargaftik et
al., "EDEN: Communication-Efficient and Robust Distributed Mean Estimation for Federated Learning" (ICML 2022, the scale
that makes an estimate of a mean unbiased).
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tfc.codec.frequency_bands import LARGEST_SCALE, SCALE_UNIT, num_bands
from tfc.graph_codec.frequency_bands import band_numbers, bands_of_window

SPACING = 1.5
"""First distance of neighbouring centroids in root mean squares of the update."""
ITERATIONS = 3


class PricedCentroids(NamedTuple):
    """Centroids of one update.

    Attributes:
        centroids: float32 (levels,), an exact zero in the middle.
        prices: float32 (bands, levels), added to the squared distance.
    """

    centroids: tf.Tensor
    prices: tf.Tensor


@tf.autograph.experimental.do_not_convert
def is_not_zero(levels: int) -> tf.Tensor:
    """Returns 1 for each slot but the one of the exact zero, where it is 0; float32 (levels,).

    Args:
        levels: Slots of the codebook.
    """
    return tf.constant([0.0 if slot == levels // 2 else 1.0 for slot in range(levels)])


@tf.autograph.experimental.do_not_convert
def cheapest_centroid(coefficients: tf.Tensor, priced: PricedCentroids) -> tf.Tensor:
    """Returns each coefficient's slot: smallest squared distance plus price; int32, the coefficients' shape.

    Args:
        coefficients: float32 of a static shape, a kernel's.
        priced: Centroids and prices.
    """
    prices = tf.gather(priced.prices, bands_of_window(tuple(coefficients.shape)))
    by_place = tf.reshape(coefficients, [prices.shape[0], -1, 1])
    distance = tf.square(by_place - priced.centroids) + prices[:, None]
    return tf.reshape(tf.argmin(distance, axis=2, output_type=tf.int32), tf.shape(coefficients))


@tf.autograph.experimental.do_not_convert
def fit(coefficients: tf.Tensor, levels: int, rate_weight: tf.Tensor) -> PricedCentroids:
    """Fits centroids and prices to an update.

    Args:
        coefficients: float32 of a static shape, a kernel's.
        levels: Slots of the codebook, odd; at least 3.
        rate_weight: float32 scalar, rate weight of a bit in mean squares of the update.

    Returns:
        Centroids and prices; those of an update of zeros are zero.
    """
    shape = tuple(coefficients.shape)
    bands, count = band_numbers(shape), num_bands(shape)
    flat = tf.reshape(coefficients, [-1])
    mean_square = tf.reduce_mean(tf.square(flat))
    keep = is_not_zero(levels)
    centroids = (tf.range(levels, dtype=tf.float32) - levels // 2) * SPACING * tf.sqrt(mean_square)
    priced = PricedCentroids(centroids, tf.zeros([count, levels]))
    for _ in range(ITERATIONS):
        slots = tf.reshape(cheapest_centroid(coefficients, priced), [-1])
        cells = bands * levels + slots
        counts = tf.reshape(tf.math.unsorted_segment_sum(tf.ones_like(flat), cells, count * levels), [count, levels])
        in_all = tf.reduce_sum(counts, axis=0)
        means = tf.math.divide_no_nan(tf.math.unsorted_segment_sum(flat, slots, levels), in_all)
        # Half a count each: a centroid that nobody chose has a finite price.
        shares = (counts + 0.5) / (tf.reduce_sum(counts, axis=1, keepdims=True) + 0.5 * levels)
        bits = -tf.math.log(shares) / tf.math.log(2.0)
        centroids = tf.where((in_all > 0) & (keep > 0), means, priced.centroids)
        priced = PricedCentroids(centroids, rate_weight * mean_square * bits)
    # An update of zeros has only zero to choose.
    return PricedCentroids(priced.centroids, tf.where(mean_square > 0, priced.prices, keep))


@tf.autograph.experimental.do_not_convert
def unbiased_scales(coefficients: tf.Tensor, quantized: tf.Tensor) -> tf.Tensor:
    """Returns the scale of each band that makes its quantised coefficients unbiased along the band.

    Args:
        coefficients: float32 of a static shape, a kernel's.
        quantized: float32 of its shape.

    Returns:
        uint8 (bands,), in 64ths.
    """
    shape = tuple(coefficients.shape)
    bands, count = band_numbers(shape), num_bands(shape)

    def by_band(values: tf.Tensor) -> tf.Tensor:
        return tf.math.unsorted_segment_sum(tf.reshape(values, [-1]), bands, count)

    scale = tf.math.divide_no_nan(by_band(tf.square(coefficients)), by_band(coefficients * quantized))
    return tf.cast(tf.clip_by_value(tf.round(scale * SCALE_UNIT), 0.0, float(LARGEST_SCALE)), tf.uint8)
