"""Sparse ternary compression: the largest changes as their signs, one magnitude for all, gaps Golomb-coded.

Source: Sattler, Wiedemann, Müller, Samek, "Robust and Communication-Efficient Federated Learning from Non-IID Data"
(arXiv 1903.02891), Algorithms 1 (compression), 3 and 4 (Golomb coding).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import tensorflow as tf
import tensorflow_federated as tff

from tfc.config import ExperimentConfig
from tfc.data.ood_pipeline import OodFn
from tfc.federated.method import Method
from tfc.federated.model_spec import ModelFn, plain_spec
from tfc.federated.update_coding import both_directions, build_update_coding_process, kernels_of
from tfc.federated.update_coding_spec import UpdateCodingSpec
from tfc.graph_codec.checksum import bytes_of
from tfc.graph_codec.payload_reader import floats, integers
from tfc.update_codecs import bits

STC_SHARE = 0.1
"""Share of an update's values that travel, each way: denser than the paper's 1/400, for short runs."""

_HEADER = 9
"""Number of values (4 bytes), magnitude (float32), digits of a remainder (1 byte)."""


def golomb_digits(share: float) -> int:
    """Returns the binary digits of a gap's remainder, the paper's b*.

    Args:
        share: Share of the values that are not zero, more than 0 and less than 1.
    """
    golden = (math.sqrt(5.0) + 1.0) / 2.0
    return max(0, 1 + math.floor(math.log2(math.log(golden - 1.0) / math.log1p(-share))))


@dataclass(frozen=True)
class SparseTernary:
    """Codec of sparse ternary vectors.

    Layout: number k of values, uint32; magnitude, float32; digits b, uint8; then bits, the lowest of a byte first: for
    each value b digits of (gap - 1) mod 2^b and a sign (1: negative); then, for each value, (gap - 1) div 2^b ones and
    a zero; ones up to the full byte. A gap is the distance to the value before. These are the bits of the paper's
    Golomb code, reordered so that they can be read without a loop.

    Attributes:
        size: Length of the vector.
        share: Share of its values that travel.
    """

    size: int
    share: float

    @property
    def count(self) -> int:
        """Number of values that travel."""
        return max(1, round(self.size * self.share))

    @property
    def digits(self) -> int:
        """Digits of a gap's remainder."""
        return golomb_digits(min(self.share, 0.5))

    @property
    def most_bytes(self) -> int:
        """Every value with its digits, sign and zero, and as many ones as all gaps together can have."""
        return _HEADER + 1 + (self.size * (self.digits + 2) + (self.size >> self.digits)) // bits.BYTE + 1

    def encode(self, values: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Encodes a vector; see `UpdateCodec`. Of equal magnitudes the first ones travel.

        Args:
            values: float32 (size,).
            seed: Unused.
        """
        largest, chosen = tf.math.top_k(tf.abs(values), self.count, sorted=True)
        places = tf.sort(chosen)
        gaps = places - tf.concat([[-1], places[:-1]], axis=0) - 1
        quotients, remainders = gaps // (1 << self.digits), gaps % (1 << self.digits)
        signs = tf.cast(tf.gather(values, places) < 0, tf.int32)
        fixed = tf.concat([bits.to_bits(remainders, self.digits), signs[:, None]], axis=1)
        ends = tf.cumsum(quotients + 1) - 1
        unary = tf.ones([ends[-1] + 1], tf.int32)
        unary = tf.tensor_scatter_nd_update(unary, ends[:, None], tf.zeros_like(ends))
        stream = bits.pack(tf.concat([tf.reshape(fixed, [-1]), unary], axis=0), filler=1)
        magnitude = tf.reduce_mean(largest)
        head = [bytes_of(tf.constant([self.count])), bytes_of(magnitude), tf.constant([self.digits], tf.uint8)]
        return tf.concat([*head, stream], axis=0)

    def decode(self, data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Decodes a vector; see `UpdateCodec`.

        Args:
            data: uint8 (bytes,).
        """
        head = tf.ensure_shape(tf.concat([data, tf.zeros([_HEADER], tf.uint8)], axis=0)[:_HEADER], [_HEADER])
        magnitude = floats(head[4:8])[0]
        stream = bits.unpack(data[_HEADER:])
        told = integers(head[:4], 4)[0]
        width = self.digits + 1
        fits = (told <= self.size) & (told * width <= tf.size(stream, out_type=tf.int64))
        count = tf.cast(tf.where(fits, told, 0), tf.int32)
        fixed = tf.reshape(stream[: count * width], [count, width])
        fixed = tf.ensure_shape(fixed, [None, width])
        unary = stream[count * width :]
        found = tf.cast(tf.where(tf.equal(unary, 0))[:, 0], tf.int32)
        last = tf.where(tf.size(found) > 0, tf.reduce_max(tf.concat([[-1], found], axis=0)), -1)
        ends = tf.concat([found, tf.zeros([count], tf.int32)], axis=0)[:count]
        quotients = tf.cast(ends - tf.concat([[-1], ends[:-1]], axis=0)[:count] - 1, tf.int64)
        gaps = quotients * (1 << self.digits) + tf.cast(bits.from_bits(fixed[:, : self.digits]), tf.int64)
        places = tf.cumsum(gaps + 1) - 1
        sound = tf.reduce_all(
            [
                tf.size(data) >= _HEADER,
                fits,
                tf.equal(tf.cast(head[8], tf.int32), self.digits),
                tf.equal(tf.size(found), count),
                tf.size(unary) - (last + 1) < bits.BYTE,
                tf.reduce_all((places >= 0) & (places < self.size)),
                tf.math.is_finite(magnitude) & (magnitude >= 0.0),
            ]
        )
        changes = tf.cast(1 - 2 * fixed[:, self.digits], tf.float32) * magnitude
        places = tf.clip_by_value(places, 0, self.size - 1)
        return tf.tensor_scatter_nd_update(tf.zeros([self.size]), places[:, None], changes), sound


def stc_spec(model_fn: ModelFn, config: ExperimentConfig) -> UpdateCodingSpec:
    """Returns STC's messages: all kernels as one sparse ternary vector, both ways, with error feedback.

    Source: Sattler, Wiedemann, Müller, Samek, "Robust and Communication-Efficient Federated Learning from Non-IID Data"
    (arXiv 1903.02891), Algorithm 2.

    Args:
        model_fn: Builds the Keras model.
        config: `communication.sparsity`, `communication.small_values`, number of clients.
    """
    model = plain_spec(model_fn, config, from_seed=config.model.initial == "seed")
    coded = kernels_of(model)
    size = sum(model.downlink.other_sizes[number] for number in coded)
    codec = SparseTernary(size, config.communication.sparsity or STC_SHARE)
    return both_directions(model, config, coded, codec, codec, config.data.num_clients)


def build_stc(
    model_fn: ModelFn, data_type: tff.Type, config: ExperimentConfig, ood_fn: OodFn | None = None
) -> tff.learning.templates.LearningProcess:
    """Builds STC: sparse ternary compression both ways, with error feedback.

    Source: Sattler, Wiedemann, Müller, Samek (arXiv 1903.02891), Algorithm 2.

    Args:
        model_fn: Builds the Keras model; logits out, a layer named `embedding`.
        data_type: Type of one client's data, from `client_data_type`.
        config: Training settings, `communication.sparsity`, `communication.small_values`, seed.
        ood_fn: Unused; every builder takes the same arguments.

    Returns:
        A process with types and metrics as `build_fedavg`'s; its client work's state stands for
        the clients' memories of what coding lost.
    """
    return build_update_coding_process(stc_spec(model_fn, config), data_type, config)


STC = Method(build_stc, "sparse ternary")
