"""DRIVE's and EDEN's form: a random rotation makes a vector's coordinates normal, which few levels then describe.

Source: Vargaftik, Ben-Basat, Portnoy, Mendelson, Ben-Itzhak, Mitzenmacher, "DRIVE: One-bit Distributed Mean Estimation"
(arXiv 2105.08339), and Vargaftik et al., "EDEN: Communication-Efficient and Robust Distributed Mean Estimation for
Federated Learning" (arXiv 2108.08842): randomised Hadamard transform, Lloyd-Max levels of the normal distribution, and
the scale that makes the estimate unbiased.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass

import tensorflow as tf
import tensorflow_federated as tff

from tfc.codec.seed_model import TENSOR_STRIDE
from tfc.config import ExperimentConfig
from tfc.data.ood_pipeline import OodFn
from tfc.federated.method import Method
from tfc.federated.model_spec import ModelFn, plain_spec
from tfc.federated.update_coding import both_directions, build_update_coding_process
from tfc.federated.update_coding_spec import UpdateCodingSpec
from tfc.graph_codec.checksum import bytes_of
from tfc.graph_codec.payload_reader import floats, integers
from tfc.graph_codec.seed_model import mixed
from tfc.update_codecs import bits

LARGEST_BLOCK = 4096
"""Coordinates that are rotated together. A power of two is needed; with one block for all of them the next power of two
could be almost twice the vector."""

LLOYD_MAX_STEPS = 2000


@functools.cache
def normal_levels(width: int) -> tuple[float, ...]:
    """Returns the 2^width Lloyd-Max levels of the standard normal distribution, ascending.

    Source: Max, "Quantizing for minimum distortion" (IRE Trans. Information Theory 6, 1960).

    Args:
        width: Bits per level.
    """
    count = 1 << width
    levels = [4.0 * (number + 0.5) / count - 2.0 for number in range(count)]
    for _ in range(LLOYD_MAX_STEPS):
        edges = [-math.inf, *((low + high) / 2 for low, high in itertools.pairwise(levels)), math.inf]
        masses = [math.erf(edge / math.sqrt(2.0)) / 2.0 for edge in edges]
        densities = [math.exp(-edge * edge / 2.0) / math.sqrt(2.0 * math.pi) for edge in edges]
        levels = [
            (densities[number] - densities[number + 1]) / (masses[number + 1] - masses[number])
            for number in range(count)
        ]
    return tuple(levels)


def block_of(size: int) -> int:
    """Returns the length of a block: the power of two that covers the vector, at most `LARGEST_BLOCK`.

    Args:
        size: Length of the vector.
    """
    return min(LARGEST_BLOCK, 1 << max(0, size - 1).bit_length())


def hadamard(blocks: tf.Tensor) -> tf.Tensor:
    """Returns the orthonormal Walsh-Hadamard transform of each row; its own inverse.

    Args:
        blocks: float32 (blocks, length), the length a power of two.
    """
    length = blocks.shape[1]
    half = 1
    while half < length:
        pairs = tf.reshape(blocks, [-1, 2, half])
        blocks = tf.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], axis=1)
        half *= 2
    return tf.reshape(blocks, [-1, length]) * length**-0.5


def random_signs(seed: tf.Tensor, count: int) -> tf.Tensor:
    """Returns +1 and -1 by the hash of each place, float32 (count,).

    Args:
        seed: int64 scalar below 2^32.
        count: How many.
    """
    stream = mixed((seed + TENSOR_STRIDE) % (1 << 32))
    hashed = mixed(tf.bitwise.bitwise_xor(tf.range(count, dtype=tf.int64), stream))
    return tf.where(hashed < 1 << 31, 1.0, -1.0)


@dataclass(frozen=True)
class Rotated:
    """Codec of rotated, quantised vectors.

    Layout: seed of the rotation, uint32; a scale per block, float32; `width` bits per coordinate, the lowest first:
    the number of its level.

    Attributes:
        size: Length of the vector.
        width: Bits per coordinate.
        unbiased: Whether the scale makes the estimate unbiased, which is right for what many clients average;
            otherwise it makes the squared error least, which is right where a sender makes up for its own error.
    """

    size: int
    width: int
    unbiased: bool

    @property
    def _blocks(self) -> int:
        return -(-self.size // block_of(self.size))

    @property
    def _head(self) -> int:
        return 4 + 4 * self._blocks

    @property
    def most_bytes(self) -> int:
        """Every message is as long."""
        return self._head + -(-self._blocks * block_of(self.size) * self.width // bits.BYTE)

    def encode(self, values: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Encodes a vector; see `UpdateCodec`.

        Args:
            values: float32 (size,).
            seed: Seed of the rotation.
        """
        blocks, block = self._blocks, block_of(self.size)
        padded = tf.pad(values, [[0, blocks * block - self.size]]) * random_signs(seed, blocks * block)
        rotated = hadamard(tf.reshape(padded, [blocks, block]))
        squares = tf.reduce_sum(tf.square(rotated), axis=1)
        normal = rotated * tf.math.divide_no_nan(math.sqrt(block), tf.sqrt(squares))[:, None]
        levels = tf.constant(normal_levels(self.width))
        numbers = tf.searchsorted((levels[:-1] + levels[1:]) / 2.0, tf.reshape(normal, [-1]))
        chosen = tf.reshape(tf.gather(levels, numbers), [blocks, block])
        products = tf.reduce_sum(rotated * chosen, axis=1)
        if self.unbiased:
            scales = tf.math.divide_no_nan(squares, products)
        else:
            scales = products / tf.reduce_sum(tf.square(chosen), axis=1)
        stream = bits.pack(tf.reshape(bits.to_bits(numbers, self.width), [-1]))
        # Of eight bytes, little endian, the first four.
        return tf.concat([bytes_of(seed)[:4], bytes_of(scales), stream], axis=0)

    def decode(self, data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Decodes a vector; see `UpdateCodec`.

        Args:
            data: uint8 (bytes,).
        """
        blocks, block = self._blocks, block_of(self.size)
        padded = tf.concat([data, tf.zeros([self.most_bytes], tf.uint8)], axis=0)[: self.most_bytes]
        padded = tf.ensure_shape(padded, [self.most_bytes])
        seed, scales = integers(padded[:4], 4)[0], floats(padded[4 : self._head])
        stream = bits.unpack(padded[self._head :])[: blocks * block * self.width]
        numbers = bits.from_bits(tf.reshape(stream, [blocks * block, self.width]))
        chosen = tf.gather(tf.constant(normal_levels(self.width)), numbers)
        rotated = tf.reshape(chosen, [blocks, block]) * scales[:, None]
        values = tf.reshape(hadamard(rotated), [-1]) * random_signs(seed, blocks * block)
        sound = tf.equal(tf.size(data), self.most_bytes) & tf.reduce_all(tf.math.is_finite(values))
        return values[: self.size], sound


def eden_spec(model_fn: ModelFn, config: ExperimentConfig) -> UpdateCodingSpec:
    """Returns EDEN's messages: all trainable weights rotated and quantised, unbiased up, with error feedback down.

    Source: Vargaftik et al., "DRIVE: One-bit Distributed Mean Estimation" (arXiv 2105.08339) and "EDEN:
    Communication-Efficient and Robust Distributed Mean Estimation for Federated Learning" (arXiv 2108.08842), for the
    way up. The way down is ours: the papers leave it float32.

    Args:
        model_fn: Builds the Keras model.
        config: `communication.uplink_bits`, `communication.downlink_bits`, `communication.small_values`.
    """
    model = plain_spec(model_fn, config, from_seed=config.model.initial == "seed")
    coded = tuple(range(len(model.layout.trainable_shapes)))
    size = sum(model.downlink.other_sizes[number] for number in coded)
    communication = config.communication
    up = Rotated(size, communication.uplink_bits, unbiased=True)
    return both_directions(model, config, coded, up, Rotated(size, communication.downlink_bits, unbiased=False))


def build_eden(
    model_fn: ModelFn, data_type: tff.Type, config: ExperimentConfig, ood_fn: OodFn | None = None
) -> tff.learning.templates.LearningProcess:
    """Builds EDEN: rotated updates in few bits, unbiased up, with error feedback down.

    Source: Vargaftik et al. (arXiv 2105.08339, arXiv 2108.08842) for the way up; the way down is ours.

    Args:
        model_fn: Builds the Keras model; logits out, a layer named `embedding`.
        data_type: Type of one client's data, from `client_data_type`.
        config: Training settings, `communication.uplink_bits`,
            `communication.downlink_bits`, `communication.small_values`, seed.
        ood_fn: Unused; every builder takes the same arguments.

    Returns:
        A process with types and metrics as `build_fedavg`'s.
    """
    return build_update_coding_process(eden_spec(model_fn, config), data_type, config)


EDEN = Method(build_eden, "rotated")
