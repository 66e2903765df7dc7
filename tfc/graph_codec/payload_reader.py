"""Reads a payload inside a graph: anything can be read anywhere, and what is wrong is noted."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfc.codec.differences import LARGEST_EXPONENT, SMALLEST_EXPONENT
from tfc.codec.message_spec import (
    FORMAT_VERSION,
    HEADER_BYTES,
    MAGIC,
    MOVES,
    TRAILER_BYTES,
    Kind,
    MessageSpec,
)
from tfc.codec.tables import TABLE_BYTES
from tfc.graph_codec.checksum import adler32


def integers(data: tf.Tensor, width: int) -> tf.Tensor:
    """Returns little-endian numbers of `width` bytes each, int64.

    Args:
        data: uint8 (bytes,), a multiple of `width`.
        width: Bytes per number.
    """
    shifts = tf.constant([1 << (8 * place) for place in range(width)], tf.int64)
    return tf.reduce_sum(tf.cast(tf.reshape(data, [-1, width]), tf.int64) * shifts, axis=-1)


def floats(data: tf.Tensor) -> tf.Tensor:
    """Returns float32 numbers.

    Args:
        data: uint8 (bytes,), a multiple of 4.
    """
    return tf.bitcast(tf.reshape(data, [-1, 4]), tf.float32)


def signed(data: tf.Tensor) -> tf.Tensor:
    """Returns signed bytes as int32.

    Args:
        data: uint8 (bytes,).
    """
    return tf.cast(tf.bitcast(data, tf.int8), tf.int32)


class PayloadReader:
    """A payload of which any part can be read anywhere: zeros follow its end.

    Attributes:
        length: int32 scalar, bytes of the payload.
        body_end: int32 scalar, where its checksum starts.
        position: int32 scalar, where the next piece starts; may be beyond the end.
        checks: bool scalars, all true where nothing was wrong so far.
        padded: uint8, the payload and the zeros behind it.
    """

    def __init__(self, payload: tf.Tensor, room: int) -> None:
        """Starts at the front.

        Args:
            payload: uint8 (bytes,), of any length.
            room: Zeros behind it, at least as many as the longest piece.
        """
        self.length = tf.size(payload)
        self.body_end = tf.maximum(self.length - TRAILER_BYTES, 0)
        self.position: tf.Tensor = tf.constant(0)
        self.checks: list[tf.Tensor] = []
        self.padded = tf.concat([payload, tf.zeros([room], tf.uint8)], axis=0)

    def take(self, count: int, used: Any = None) -> tf.Tensor:
        """Returns `count` bytes from the present position and moves on by `used` of them (all, unless told)."""
        piece = tf.slice(self.padded, [tf.minimum(self.position, self.length)], [count])
        self.position += count if used is None else used
        return tf.ensure_shape(piece, [count])

    def exponents(self, count: int) -> tf.Tensor:
        """Returns the next exponents, int32 (count,), brought within the format's limits."""
        found = signed(self.take(count))
        limited = tf.clip_by_value(found, SMALLEST_EXPONENT, LARGEST_EXPONENT)
        self.checks.append(tf.reduce_all(tf.equal(found, limited)))
        return limited


def longest_part(spec: MessageSpec) -> int:
    """Returns a number of bytes that no part of a message exceeds.

    Args:
        spec: Shapes of the model.
    """
    kernels = len(spec.kernel_sizes)
    room = HEADER_BYTES + 4 * spec.num_scalars + 5 * kernels + len(spec.other_sizes) + 4 * spec.lanes
    room += 4 * kernels * spec.max_clusters + 4 * sum(spec.other_sizes)
    return room + TABLE_BYTES * (kernels * spec.ranks * MOVES + 2)


def read_header(
    reader: PayloadReader, payload: tf.Tensor, spec: MessageSpec, name: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Reads and checks what surrounds a message.

    Args:
        reader: At the front of a payload; collects the checks.
        payload: uint8 (bytes,).
        spec: Shapes of the model.
        name: Checksum of what this end holds, int64 scalar; -1 where it holds nothing.

    Returns:
        Kind and number of clusters, int32 scalars within their limits.
    """
    header = reader.take(HEADER_BYTES)
    trailer = tf.ensure_shape(tf.slice(reader.padded, [reader.body_end], [TRAILER_BYTES]), [TRAILER_BYTES])
    kind = tf.cast(header[3], tf.int32)
    # Catch-up messages are made and read outside of graphs.
    kinds = [each for each in spec.kinds if each != Kind.CATCH_UP] if spec.kernel_shapes else [Kind.KEY_FRAME]
    expected = tf.reduce_any(tf.equal(kind, tf.constant([int(each) for each in kinds])))
    coded_given = tf.equal(kind, Kind.DELTA) | tf.equal(kind, Kind.UPDATE)
    num_clusters = tf.cast(integers(header[8:10], 2)[0], tf.int32)
    lowest, highest = (1, spec.max_clusters) if spec.kernel_shapes else (0, 0)
    smallest = tf.where(tf.equal(kind, Kind.UPDATE), highest, lowest)
    reader.checks += [
        tf.reduce_all(tf.equal(header[:3], tf.constant([*MAGIC, FORMAT_VERSION], tf.uint8))),
        reader.length >= HEADER_BYTES + TRAILER_BYTES,
        tf.equal(adler32(payload[: reader.body_end]), integers(trailer, 4)[0]),
        expected & tf.equal(integers(header[4:8], 4)[0], tf.where(coded_given, name, 0)),
        reader.length <= spec.most_bytes,
        (num_clusters >= smallest) & (num_clusters <= highest),
        tf.equal(tf.cast(header[10], tf.int32), spec.lanes.bit_length() - 1)
        & tf.equal(tf.cast(header[11], tf.int32), 0),
    ]
    return tf.where(expected, kind, int(kinds[0])), tf.clip_by_value(num_clusters, smallest, highest)
