"""What a codec of updates is."""

from __future__ import annotations

from typing import Protocol

import tensorflow as tf


class UpdateCodec(Protocol):
    """Turns a vector of changes into bytes and back, in TensorFlow ops; call it inside a `tf.function`.

    Both ends have the same codec. What depends on the message (counts, scales, tables) is in the message.

    Attributes:
        size: Length of the vector.
        most_bytes: No sound message is longer.
    """

    @property
    def size(self) -> int:
        """Length of the vector."""

    @property
    def most_bytes(self) -> int:
        """No sound message is longer."""

    def encode(self, values: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Encodes a vector.

        Args:
            values: float32 (size,), finite.
            seed: int64 scalar below 2^32, of whatever is random.

        Returns:
            uint8 (bytes,).
        """

    def decode(self, data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Decodes a vector; total: whatever the bytes are, it ends with a vector and a verdict.

        Args:
            data: uint8 (bytes,), at most `most_bytes` of them.

        Returns:
            float32 (size,), and a bool scalar: whether the bytes are a sound message. Where they are not, the values
            mean nothing.
        """
