"""Side parameters: the weights that a method's codec leaves alone, BatchNorm statistics above all.

They are about one percent of a model. As float32 they may outweigh everything else in a message: there are two forms.
"""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from tfc.graph_codec.checksum import bytes_of
from tfc.graph_codec.payload_reader import floats, signed

_LARGEST = 127
_SMALLEST_VARIANCE = 1e-10
_HALVINGS = 3
"""A variance's factor is told by its 8th root, which three squarings undo: about a logarithm, and exact arithmetic."""


@dataclass(frozen=True)
class Float32SideParameters:
    """Every value as float32.

    Attributes:
        sizes: Length of each tensor.
        variances: Which of them are variances; it makes no difference here.
    """

    sizes: tuple[int, ...]
    variances: tuple[bool, ...]

    @property
    def num_bytes(self) -> int:
        """Length of what `encode` writes."""
        return 4 * sum(self.sizes)

    def encode(self, values: tf.Tensor, held: tf.Tensor) -> tf.Tensor:
        """Returns the bytes, uint8 (num_bytes,).

        Args:
            values: float32 (sum of sizes,).
            held: Unused.
        """
        return bytes_of(values)

    def decode(self, data: tf.Tensor, held: tf.Tensor) -> tf.Tensor:
        """Returns the values, float32 (sum of sizes,); they may be not finite.

        Args:
            data: uint8 (num_bytes,).
            held: Unused.
        """
        return floats(data)


@dataclass(frozen=True)
class ByteSideParameters:
    """Every value as a signed byte: its change in steps, of which its tensor's largest change takes 127.

    Layout: per tensor the step, float32; then a byte per value. Variances of one layer may lie orders of magnitude
    apart: they change by the factor (1 + |number| step)^8, or by its inverse where the number is negative, so that
    none ever gets negative. Decoding multiplies, adds and divides only: all ends get the same bits.

    Attributes:
        sizes: Length of each tensor.
        variances: Which of them are variances.
    """

    sizes: tuple[int, ...]
    variances: tuple[bool, ...]

    @property
    def num_bytes(self) -> int:
        """Length of what `encode` writes."""
        return 4 * len(self.sizes) + sum(self.sizes)

    def _is_variance(self) -> tf.Tensor:
        flags = [flag for flag, size in zip(self.variances, self.sizes, strict=True) for _ in range(size)]
        return tf.constant(flags, tf.bool, [sum(self.sizes)])

    def _owners(self) -> tf.Tensor:
        return tf.repeat(tf.range(len(self.sizes)), tf.constant(self.sizes, tf.int32, [len(self.sizes)]))

    def encode(self, values: tf.Tensor, held: tf.Tensor) -> tf.Tensor:
        """Returns the bytes, uint8 (num_bytes,).

        Args:
            values: float32 (sum of sizes,).
            held: float32 (sum of sizes,), what the receiver holds.
        """
        changes = tf.where(self._is_variance(), _root_change(values, held), values - held)
        largest = tf.math.unsorted_segment_max(tf.abs(changes), self._owners(), len(self.sizes))
        steps = largest / _LARGEST
        numbers = tf.round(tf.math.divide_no_nan(changes, tf.gather(steps, self._owners())))
        numbers = tf.cast(tf.clip_by_value(numbers, -float(_LARGEST), float(_LARGEST)), tf.int8)
        return tf.concat([bytes_of(steps), tf.bitcast(numbers, tf.uint8)], axis=0)

    def decode(self, data: tf.Tensor, held: tf.Tensor) -> tf.Tensor:
        """Returns the values, float32 (sum of sizes,); they may be not finite.

        Args:
            data: uint8 (num_bytes,).
            held: float32 (sum of sizes,), what this end holds.
        """
        tensors = len(self.sizes)
        steps = tf.gather(floats(data[: 4 * tensors]), self._owners())
        changes = tf.cast(signed(data[4 * tensors :]), tf.float32) * steps
        factor = 1.0 + tf.abs(changes)
        for _ in range(_HALVINGS):
            factor *= factor
        limited = tf.where(tf.equal(changes, 0.0), held, tf.maximum(held, _SMALLEST_VARIANCE))
        variances = tf.where(changes < 0.0, limited / factor, limited * factor)
        return tf.where(self._is_variance(), variances, held + changes)


def _root_change(values: tf.Tensor, held: tf.Tensor) -> tf.Tensor:
    """The 8th root of each factor, less 1; negative where the value is smaller."""
    values, held = tf.maximum(values, _SMALLEST_VARIANCE), tf.maximum(held, _SMALLEST_VARIANCE)
    root = tf.maximum(values, held) / tf.minimum(values, held)
    for _ in range(_HALVINGS):
        root = tf.sqrt(root)
    return tf.sign(values - held) * (root - 1.0)
