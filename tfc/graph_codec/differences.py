"""Steps from what the receiver holds, in TensorFlow ops; see `tfc.codec.differences`."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tfc.codec.differences import COARSEST_BITS, FINEST_BITS, LARGEST_EXPONENT, SMALLEST_EXPONENT, SMALLEST_SCALE
from tfc.codec.message_spec import MessageSpec, ReferenceModel
from tfc.graph_codec.checksum import flat


def exponents_of(values: tf.Tensor) -> tf.Tensor:
    """Returns floor(log2(magnitude)) of each value from its bits, int32, within the format's limits.

    Args:
        values: float32, any shape.
    """
    found = tf.bitwise.right_shift(tf.bitcast(tf.abs(values), tf.int32), 23) - 127
    return tf.clip_by_value(found, SMALLEST_EXPONENT, LARGEST_EXPONENT)


def power_of_two(exponents: tf.Tensor) -> tf.Tensor:
    """Returns exact float32 powers of two (`tf.pow` is not exact).

    Args:
        exponents: int32, between -126 and 127.
    """
    return tf.bitcast((exponents + 127) * (1 << 23), tf.float32)


def scales(held: tf.Tensor, relative: tf.Tensor) -> tf.Tensor:
    """Returns what steps are multiplied by at each place, float32 powers of two.

    Args:
        held: float32 (values,), what the receiver holds.
        relative: bool (values,), whether precision follows the value's own magnitude.
    """
    return power_of_two(tf.where(relative, tf.maximum(exponents_of(held), SMALLEST_SCALE), 0))


def step_exponents(
    values: tf.Tensor, held: tf.Tensor, scale: tf.Tensor, owner: tf.Tensor, bits: tf.Tensor, relative: tf.Tensor
) -> tf.Tensor:
    """Chooses the step of each parameter; see `tfc.codec.differences.step_exponent`.

    Args:
        values: float32 (values,), what is to be sent.
        held: float32 (values,), what the receiver holds.
        scale: float32 (values,), from `scales`.
        owner: int32 (values,), the parameter that each value belongs to, ascending.
        bits: int32 (count,), precision of the largest change of each parameter.
        relative: bool (count,), whether precision follows each value's own magnitude.

    Returns:
        int32 (count,).
    """

    def largest(amounts: tf.Tensor) -> tf.Tensor:
        return exponents_of(tf.maximum(tf.math.unsorted_segment_max(tf.abs(amounts), owner, bits.shape[0]), 0.0))

    change, new = largest((values - held) / scale), largest(values / scale)
    followed = tf.minimum(0, tf.maximum(2 * new, bits - COARSEST_BITS))
    change = tf.where(relative, tf.minimum(change, followed), change)
    chosen = tf.maximum(change + 1 - bits, new - FINEST_BITS)
    return tf.clip_by_value(chosen, SMALLEST_EXPONENT, LARGEST_EXPONENT)


def to_steps(values: tf.Tensor, held: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
    """Returns the number of steps to each value, int32, rounded half to even, within 16 bits.

    Args:
        values: float32.
        held: float32.
        step: float32 powers of two.
    """
    return tf.cast(tf.clip_by_value(tf.round((values - held) / step), -32767.0, 32767.0), tf.int32)


def from_steps(steps: tf.Tensor, held: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
    """Returns the values that a receiver gets, float32.

    Args:
        steps: int32.
        held: float32.
        step: float32 powers of two.
    """
    return held + tf.cast(steps, tf.float32) * step


class HeldParameters(NamedTuple):
    """The other parameters that the receiver holds, one after the other.

    Attributes:
        values: float32 (values,).
        scale: float32 (values,), what a step of exponent 0 is worth.
        owner: int32 (values,), number of the parameter.
        relative: bool (values,), whether they are variances.
    """

    values: tf.Tensor
    scale: tf.Tensor
    owner: tf.Tensor
    relative: tf.Tensor

    def at_least(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the least values that a receiver takes, float32 (values,).

        Args:
            step: float32 (values,), what a step is worth.
        """
        return tf.where(self.relative, tf.minimum(self.scale / 8.0, 2.0 * step), float("-inf"))

    @classmethod
    def of(cls, spec: MessageSpec, held: ReferenceModel) -> HeldParameters:
        """Reads them from a held model.

        Args:
            spec: Shapes of the model.
            held: What the receiver holds.
        """
        values = flat(held.others, tf.float32)
        relative = tf.repeat(tf.constant(spec.is_relative, tf.bool), spec.other_sizes)
        owner = tf.repeat(tf.range(len(spec.other_sizes)), spec.other_sizes)
        return cls(values, scales(values, relative), owner, relative)
