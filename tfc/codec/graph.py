"""The message format of `tfc.codec.message`, in TensorFlow ops: what runs inside TFF computations."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfc.codec.message import FORMAT_VERSION, HEADER_BYTES, Message, MessageSpec
from tfc.codec.palette import UNUSED_CENTROID, Palette


def index_bits(num_clusters: tf.Tensor) -> tf.Tensor:
    """Returns ceil(log2(num_clusters)), at least 1, as an int32 scalar tensor (1 to 8).

    Args:
        num_clusters: int32 scalar, 1 to 256.
    """
    thresholds = tf.constant([2**power for power in range(1, 8)], tf.int32)
    return 1 + tf.reduce_sum(tf.cast(num_clusters > thresholds, tf.int32))


def _float_bytes(values: tf.Tensor) -> tf.Tensor:
    return tf.reshape(tf.bitcast(tf.reshape(values, [-1]), tf.uint8), [-1])


def _byte_floats(payload: tf.Tensor) -> tf.Tensor:
    return tf.bitcast(tf.reshape(payload, [-1, 4]), tf.float32)


def _pack(indices: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    positions = tf.cast(tf.range(bits), tf.uint8)
    planes = tf.bitwise.bitwise_and(
        tf.bitwise.right_shift(indices[:, None], positions[None, :]), tf.constant(1, tf.uint8)
    )
    flat = tf.reshape(planes, [-1])
    flat = tf.pad(flat, [[0, tf.math.floormod(-tf.size(flat), 8)]])
    places = tf.constant([1, 2, 4, 8, 16, 32, 64, 128], tf.uint8)
    return tf.reduce_sum(tf.reshape(flat, [-1, 8]) * places, axis=1)


def _unpack(packed: tf.Tensor, count: int, bits: tf.Tensor) -> tf.Tensor:
    places = tf.range(8, dtype=tf.int32)
    one = tf.constant(1, tf.uint8)
    planes = tf.bitwise.bitwise_and(tf.bitwise.right_shift(packed[:, None], tf.cast(places, tf.uint8)[None, :]), one)
    planes = tf.reshape(tf.reshape(planes, [-1])[: count * bits], [count, bits])
    return tf.reduce_sum(tf.bitwise.left_shift(planes, tf.cast(tf.range(bits), tf.uint8)[None, :]), axis=1)


def encode(message: Message, spec: MessageSpec) -> tf.Tensor:
    """Encodes a message; the same bytes as `tfc.codec.message.encode`.

    Args:
        message: Tensors with the shapes of `spec`.
        spec: Shapes of the model.

    Returns:
        uint8 tensor of shape (bytes,).
    """
    has_kernels = bool(spec.kernel_shapes)
    num_clusters = tf.cast(message.num_clusters, tf.int32) if has_kernels else tf.constant(0)
    count_bytes = tf.cast(tf.stack([num_clusters % 256, num_clusters // 256]), tf.uint8)
    parts = [tf.constant([FORMAT_VERSION, 0], tf.uint8), count_bytes, _float_bytes(message.scalars)]
    if has_kernels:
        codebooks = tf.stack([palette.codebook for palette in message.palettes])
        parts.append(_float_bytes(codebooks[:, :num_clusters]))
        indices = tf.concat([tf.reshape(palette.indices, [-1]) for palette in message.palettes], axis=0)
        parts.append(_pack(indices, index_bits(num_clusters)))
    if message.others:
        parts.append(_float_bytes(tf.concat([tf.reshape(other, [-1]) for other in message.others], axis=0)))
    return tf.concat(parts, axis=0)


def decode(payload: tf.Tensor, spec: MessageSpec) -> Message:
    """Decodes a message that `encode` made.

    Args:
        payload: uint8 tensor of shape (bytes,).
        spec: Shapes of the model.

    Returns:
        The message as tensors with static shapes; codebooks are filled up with `UNUSED_CENTROID`.
    """
    position: Any = HEADER_BYTES + 4 * spec.num_scalars
    num_clusters = tf.cast(payload[2], tf.int32) + 256 * tf.cast(payload[3], tf.int32)
    scalars = tf.ensure_shape(_byte_floats(payload[HEADER_BYTES:position]), [spec.num_scalars])
    palettes: tuple[Palette, ...] = ()
    if spec.kernel_shapes:
        num_kernels, total = len(spec.kernel_shapes), sum(spec.kernel_sizes)
        end = position + 4 * num_kernels * num_clusters
        codebooks = tf.reshape(_byte_floats(payload[position:end]), [num_kernels, num_clusters])
        unused = [[0, 0], [0, spec.max_clusters - num_clusters]]
        codebooks = tf.pad(codebooks, unused, constant_values=UNUSED_CENTROID)
        codebooks = tf.ensure_shape(codebooks, [num_kernels, spec.max_clusters])
        position = end
        bits = index_bits(num_clusters)
        end = position + (total * bits + 7) // 8
        pieces = tf.split(_unpack(payload[position:end], total, bits), spec.kernel_sizes)
        position = end
        palettes = tuple(
            Palette(codebooks[row], tf.reshape(piece, shape))
            for row, (piece, shape) in enumerate(zip(pieces, spec.kernel_shapes, strict=True))
        )
    others: tuple[tf.Tensor, ...] = ()
    if spec.other_shapes:
        rest = tf.ensure_shape(_byte_floats(payload[position:]), [sum(spec.other_sizes)])
        pieces = tf.split(rest, spec.other_sizes)
        others = tuple(tf.reshape(piece, shape) for piece, shape in zip(pieces, spec.other_shapes, strict=True))
    return Message(num_clusters, palettes, others, scalars)


def dequantize(palette: Palette) -> tf.Tensor:
    """Returns the kernel that a palette stands for, a float32 tensor of the indices' shape.

    Args:
        palette: Codebook (max_clusters,) float32 and indices uint8 of any shape, as tensors.
    """
    return tf.gather(palette.codebook, tf.cast(palette.indices, tf.int32))
