"""Adler-32 in TensorFlow ops."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfc.codec.message_spec import ReferenceModel

_ADLER_MODULUS = 65521


def adler32(data: tf.Tensor) -> tf.Tensor:
    """Returns `zlib.adler32` of bytes as an int64 scalar.

    Args:
        data: uint8 (bytes,).
    """
    values = tf.cast(data, tf.int64)
    count = tf.size(values, out_type=tf.int64)
    low = (1 + tf.reduce_sum(values)) % _ADLER_MODULUS
    places = tf.range(count, 0, -1, dtype=tf.int64) % _ADLER_MODULUS
    # Each product is below 2^24: sums over 2^39 bytes stay exact.
    high = (count + tf.reduce_sum(values * places)) % _ADLER_MODULUS
    return high * (1 << 16) + low


def bytes_of(values: tf.Tensor) -> tf.Tensor:
    """Returns a tensor's bytes, little endian, uint8 (bytes,).

    Args:
        values: A tensor of numbers of more than 8 bits, any shape.
    """
    return tf.reshape(tf.bitcast(values, tf.uint8), [-1])


def flat(tensors: Sequence[tf.Tensor], dtype: tf.DType) -> tf.Tensor:
    """Joins the elements of tensors one after the other.

    Args:
        tensors: Any number of them.
        dtype: Their type.
    """
    return tf.concat([tf.zeros([0], dtype), *(tf.reshape(tensor, [-1]) for tensor in tensors)], axis=0)


def reference_checksum(held: ReferenceModel) -> tf.Tensor:
    """Returns the Adler-32 of a held model as an int64 scalar; see `tfc.codec.message.reference_checksum`.

    Args:
        held: Tensors.
    """
    floats = flat([*(palette.codebook for palette in held.palettes), *held.others], tf.float32)
    small = flat([*(palette.indices for palette in held.palettes), *held.moves], tf.uint8)
    return adler32(tf.concat([small, bytes_of(floats)], axis=0))
