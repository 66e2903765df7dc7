"""Bits and bytes in TensorFlow ops. The first bit of a byte is its lowest."""

from __future__ import annotations

import tensorflow as tf

BYTE = 8


def pack(bits: tf.Tensor, filler: int = 0) -> tf.Tensor:
    """Returns the bytes that bits make up, uint8 (bytes,).

    Args:
        bits: int32 (bits,), 0 or 1.
        filler: What fills up the last byte.
    """
    missing = -tf.size(bits) % BYTE
    full = tf.reshape(tf.concat([bits, tf.fill([missing], filler)], axis=0), [-1, BYTE])
    return tf.cast(tf.reduce_sum(full * [1 << place for place in range(BYTE)], axis=1), tf.uint8)


def unpack(data: tf.Tensor) -> tf.Tensor:
    """Returns the bits of bytes, int32 (8 * bytes,).

    Args:
        data: uint8 (bytes,).
    """
    places = tf.constant([1 << place for place in range(BYTE)])
    return tf.reshape(tf.cast(data, tf.int32)[:, None] // places % 2, [-1])


def to_bits(numbers: tf.Tensor, width: int) -> tf.Tensor:
    """Returns the binary digits of numbers, lowest first, int32 (numbers, width).

    Args:
        numbers: int32 (numbers,), at least 0 and below 2^width.
        width: Digits per number.
    """
    return numbers[:, None] // tf.constant([1 << place for place in range(width)], tf.int32) % 2


def from_bits(bits: tf.Tensor) -> tf.Tensor:
    """Inverse of `to_bits`.

    Args:
        bits: int32 (numbers, width).

    Returns:
        int32 (numbers,).
    """
    return tf.reduce_sum(bits * tf.constant([1 << place for place in range(bits.shape[1])], tf.int32), axis=1)
