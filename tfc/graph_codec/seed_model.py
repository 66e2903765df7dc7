"""The initial model of `tfc.codec.seed_model` in TensorFlow ops: the same bits."""

from __future__ import annotations

import tensorflow as tf

from tfc.codec.message_spec import MessageSpec, ReferenceModel
from tfc.codec.palette import UNUSED_CENTROID, Palette
from tfc.codec.seed_model import HASH_BITS, MULTIPLIERS, TENSOR_STRIDE

_WORD = 1 << 32


def mixed(values: tf.Tensor) -> tf.Tensor:
    """Mixes 32-bit integers; see `tfc.codec.seed_model.mixed`.

    Args:
        values: int64 below 2^32, any shape.

    Returns:
        int64 below 2^32, the same shape.
    """
    for shift, multiplier in zip((16, 15), MULTIPLIERS, strict=True):
        values = tf.bitwise.bitwise_xor(values, values // (1 << shift))
        # Products of 32 by 32 bits leave int64: the upper half of the multiplier is taken by itself.
        high, low = divmod(multiplier, 1 << 16)
        values = (values * low + (values * high % (1 << 16)) * (1 << 16)) % _WORD
    return tf.bitwise.bitwise_xor(values, values // (1 << 16))


def hashes(seed: tf.Tensor, tensor: int, count: int) -> tf.Tensor:
    """Returns the hash of each element of a tensor, int64 (count,) below 2^24.

    Args:
        seed: int64 scalar below 2^32.
        tensor: Number of the tensor in the model.
        count: Number of elements.
    """
    stream = mixed((seed + TENSOR_STRIDE * (tensor + 1)) % _WORD)
    return mixed(tf.bitwise.bitwise_xor(tf.range(count, dtype=tf.int64), stream)) // (1 << (32 - HASH_BITS))


def uniform(hashed: tf.Tensor, limit: float) -> tf.Tensor:
    """Returns hashes as floats in (-limit, limit).

    Args:
        hashed: int64 below 2^24.
        limit: Bound.
    """
    odd = tf.cast(2 * hashed + 1 - (1 << HASH_BITS), tf.float32)
    return odd * tf.constant(limit * 2.0**-HASH_BITS, tf.float32)


@tf.autograph.experimental.do_not_convert
def initial_kernels(seed: tf.Tensor, spec: MessageSpec) -> tuple[tf.Tensor, ...]:
    """Returns the float weights of every clustered kernel.

    Args:
        seed: int64 scalar below 2^32.
        spec: Shapes and limits of the model.
    """
    return tuple(
        tf.reshape(uniform(hashes(seed, start.tensor, size), start.limit), shape)
        for start, size, shape in zip(spec.initial_kernels, spec.kernel_sizes, spec.kernel_shapes, strict=True)
    )


@tf.autograph.experimental.do_not_convert
def initial_others(seed: tf.Tensor, spec: MessageSpec) -> tuple[tf.Tensor, ...]:
    """Returns every other parameter's start.

    Args:
        seed: int64 scalar below 2^32.
        spec: Shapes and starts of the model.
    """
    others = []
    for start, size, shape in zip(spec.initial_others, spec.other_sizes, spec.other_shapes, strict=True):
        values = tf.fill([size], tf.constant(start.constant, tf.float32))
        if start.limit:
            values = uniform(hashes(seed, start.tensor, size), start.limit)
        others.append(tf.reshape(values, shape))
    return tuple(others)


@tf.autograph.experimental.do_not_convert
def expand(seed: tf.Tensor, num_clusters: tf.Tensor, spec: MessageSpec) -> ReferenceModel:
    """Returns the palettized initial model: what an end holds after the message of a seed.

    Args:
        seed: int64 scalar below 2^32.
        num_clusters: int32 scalar.
        spec: Shapes, limits and starts of the model.
    """
    slots = tf.range(spec.max_clusters)
    middles = tf.cast(2 * slots + 1 - num_clusters, tf.float32)
    palettes, moves = [], []
    # One codebook per possible number of clusters, divided in float64 as NumPy's side does.
    counts, limits = range(spec.max_clusters + 1), [start.limit for start in spec.initial_kernels]
    gaps = tf.constant([[limit / max(count, 1) for count in counts] for limit in limits], tf.float32)
    sizes = zip(spec.initial_kernels, spec.kernel_sizes, spec.kernel_shapes, strict=True)
    for number, (start, size, shape) in enumerate(sizes):
        indices = hashes(seed, start.tensor, size) * tf.cast(num_clusters, tf.int64) // (1 << HASH_BITS)
        codebook = tf.where(slots < num_clusters, middles * gaps[number, num_clusters], UNUSED_CENTROID)
        palettes.append(Palette(codebook, tf.reshape(tf.cast(indices, tf.uint8), shape)))
        moves.append(tf.zeros(shape, tf.uint8))
    return ReferenceModel(num_clusters, tuple(palettes), tuple(moves), initial_others(seed, spec))
