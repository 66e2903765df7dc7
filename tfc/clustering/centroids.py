"""Centroids of one kernel: start, refinement, growth, and the search for the nearest one. TensorFlow ops only.

A codebook has `max_clusters` slots; the first `num_clusters` are in use, the others hold `UNUSED_CENTROID`. A slot
keeps its meaning from round to round: nothing here reorders slots.

The loops are Python loops over tensors: call these functions eagerly, or inside a `tf.function`, which turns them into
loops of the graph.
"""

from __future__ import annotations

import tensorflow as tf

from tfc.codec.palette import UNUSED_CENTROID


@tf.autograph.experimental.do_not_convert
def nearest_centroid(weights: tf.Tensor, codebook: tf.Tensor) -> tf.Tensor:
    """Finds each weight's nearest centroid by bucketizing against the midpoints of the sorted centroids.

    The same index as tfmot's `ClusteringAlgorithm.get_pulling_indices` without its (weights x centroids) tensor; only
    at equal distances (or where rounding makes them equal) may it pick the other one of two centroids.

    Args:
        weights: float32 tensor of any shape.
        codebook: float32 (max_clusters,), in any order.

    Returns:
        int32 tensor of the weights' shape: slots.
    """
    order = tf.argsort(codebook, stable=True)
    ordered = tf.gather(codebook, order)
    midpoints = (ordered[:-1] + ordered[1:]) / 2.0
    buckets = tf.searchsorted(midpoints, tf.reshape(weights, [-1]), side="left")
    return tf.reshape(tf.gather(order, buckets), tf.shape(weights))


@tf.autograph.experimental.do_not_convert
def _mask_unused(codebook: tf.Tensor, num_clusters: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.range(tf.size(codebook)) < num_clusters, codebook, UNUSED_CENTROID)


def kmeans_plus_plus(weights: tf.Tensor, num_clusters: tf.Tensor, max_clusters: int, seed: tf.Tensor) -> tf.Tensor:
    """Draws a codebook from the weights with k-means++, which is tfmot's default start too.

    TensorFlow's own op for it is not in its public API.

    Source: Arthur, Vassilvitskii, "k-means++: The Advantages of Careful Seeding" (SODA 2007).

    Args:
        weights: float32 tensor of any shape, with at least `max_clusters` weights.
        num_clusters: int32 scalar, clusters in use.
        max_clusters: Slots of the codebook.
        seed: int32 (2,).

    Returns:
        float32 (max_clusters,).
    """
    empty = tf.fill([max_clusters], UNUSED_CENTROID)
    return grow(weights, empty, tf.constant(0), num_clusters, seed)


def lloyd(weights: tf.Tensor, codebook: tf.Tensor, steps: int) -> tf.Tensor:
    """Moves centroids to the mean of their weights, some times over; a centroid without weights stays.

    Source: Lloyd, "Least squares quantization in PCM" (IEEE Trans. Information Theory 28, 1982).

    Args:
        weights: float32 tensor of any shape.
        codebook: float32 (max_clusters,).
        steps: Number of iterations.

    Returns:
        float32 (max_clusters,).
    """
    flat = tf.reshape(weights, [-1])
    slots = codebook.shape[0]
    for _ in tf.range(steps):
        nearest = nearest_centroid(flat, codebook)
        counts = tf.math.unsorted_segment_sum(tf.ones_like(flat), nearest, slots)
        sums = tf.math.unsorted_segment_sum(flat, nearest, slots)
        codebook = tf.where(counts > 0, tf.math.divide_no_nan(sums, counts), codebook)
    return codebook


def grow(
    weights: tf.Tensor, codebook: tf.Tensor, old_clusters: tf.Tensor, new_clusters: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    """Fills free slots with new centroids, drawn from the weights as k-means++ does given those in use.

    Args:
        weights: float32 tensor of any shape.
        codebook: float32 (max_clusters,) with `old_clusters` slots in use.
        old_clusters: int32 scalar.
        new_clusters: int32 scalar, at least `old_clusters`, at most max_clusters.
        seed: int32 (2,).

    Returns:
        float32 (max_clusters,) with `new_clusters` slots in use; the old ones are as they were.
    """
    flat = tf.reshape(weights, [-1])
    codebook = _mask_unused(codebook, old_clusters)
    for slot in tf.range(old_clusters, new_clusters):
        distance = tf.square(flat - tf.gather(codebook, nearest_centroid(flat, codebook)))
        cumulative = tf.cumsum(distance)
        fold = tf.random.experimental.stateless_fold_in(seed, slot)
        drawn = tf.random.stateless_uniform([], fold) * cumulative[-1]
        # Without a centroid in use all weights are equally far: the first draw is uniform, as k-means++ wants it.
        member = tf.minimum(tf.searchsorted(cumulative, [drawn], side="right")[0], tf.size(flat) - 1)
        codebook = tf.tensor_scatter_nd_update(codebook, [[slot]], [flat[member]])
    return codebook
