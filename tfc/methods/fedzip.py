"""FedZip's form: of each tensor the largest changes, three centroids for them, entropy-coded.

Source: Malekijoo, Fadaeieslam, Malekijou, Homayounfar, Alizadeh-Shabdiz, Rawassizadeh, "FEDZIP: A Compression Framework
for Communication-Efficient Federated Learning" (arXiv 2102.01593), sections on top-z sparsification, quantisation and
encoding.
"""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf
import tensorflow_federated as tff

from tfc.clustering.centroids import lloyd, nearest_centroid
from tfc.codec.rans import FREQUENCY_TOTAL, lanes_for
from tfc.config import ExperimentConfig
from tfc.data.ood_pipeline import OodFn
from tfc.federated.method import Method
from tfc.federated.model_spec import ModelFn, plain_spec
from tfc.federated.update_coding import both_directions, build_update_coding_process, kernels_of
from tfc.federated.update_coding_spec import UpdateCodingSpec
from tfc.graph_codec import rans
from tfc.graph_codec.checksum import bytes_of
from tfc.graph_codec.payload_reader import floats, integers

FEDZIP_SHARE = 0.25
"""Share of each kernel's changes that travel; what is dropped is lost."""

CENTROIDS = 3
LLOYD_STEPS = 20
_SYMBOLS = CENTROIDS + 1


@dataclass(frozen=True)
class SparseClusters:
    """Codec of sparse, clustered tensors.

    Layout: per tensor three centroids, float32; per tensor the frequencies of the three (of 4096; symbol 0, a change
    that does not travel, has what is left), uint16; states of the entropy coder, uint32; its words, uint16. One
    symbol per weight says position and centroid at once; the coder is the interleaved rANS of the other messages in
    the place of the paper's Huffman code, which can't go below one bit per symbol.

    Attributes:
        sizes: Length of each tensor; the vector is all of them, one after the other.
        share: Share of each tensor's changes that travel (z).
    """

    sizes: tuple[int, ...]
    share: float

    @property
    def size(self) -> int:
        """Length of the vector."""
        return sum(self.sizes)

    @property
    def lanes(self) -> int:
        """Lanes of the entropy coder."""
        return lanes_for(self.size)

    @property
    def _head(self) -> int:
        return len(self.sizes) * CENTROIDS * (4 + 2) + 4 * self.lanes

    @property
    def most_bytes(self) -> int:
        """Every symbol takes at most one word."""
        return self._head + 2 * self.size

    def _palette(self, values: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the centroids, float32 (3,), and symbols, int32 (size,), of one tensor."""
        count = max(1, round(size * self.share))
        _, chosen = tf.math.top_k(tf.abs(values), count)
        survivors = tf.gather(values, chosen)
        ordered = tf.sort(survivors)
        # Quantiles start the iterations at the same places for everybody.
        start = tf.gather(ordered, [count * (2 * number + 1) // (2 * CENTROIDS) for number in range(CENTROIDS)])
        centroids = lloyd(survivors, start, LLOYD_STEPS)
        symbols = nearest_centroid(survivors, centroids) + 1
        return centroids, tf.tensor_scatter_nd_update(tf.zeros([size], tf.int32), chosen[:, None], symbols)

    def encode(self, values: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Encodes a vector; see `UpdateCodec`.

        Args:
            values: float32 (size,).
            seed: Unused.
        """
        found = [self._palette(part, size) for part, size in zip(tf.split(values, self.sizes), self.sizes, strict=True)]
        frequencies = tf.stack(
            [_frequencies(symbols, size) for (_, symbols), size in zip(found, self.sizes, strict=True)]
        )
        symbols = tf.concat([symbols for _, symbols in found], axis=0)
        states, words = rans.encode(symbols, self._rows(), frequencies, self.size, self.lanes)
        return tf.concat(
            [
                bytes_of(tf.stack([centroids for centroids, _ in found])),
                _little_endian(frequencies[:, 1:], 2),
                _little_endian(states, 4),
                _little_endian(words, 2),
            ],
            axis=0,
        )

    def _rows(self) -> tf.Tensor:
        return tf.repeat(tf.range(len(self.sizes)), self.sizes)

    def decode(self, data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Decodes a vector; see `UpdateCodec`.

        Args:
            data: uint8 (bytes,).
        """
        head = tf.ensure_shape(tf.concat([data, tf.zeros([self._head], tf.uint8)], axis=0)[: self._head], [self._head])
        count = len(self.sizes) * CENTROIDS
        centroids = tf.reshape(floats(head[: 4 * count]), [-1, CENTROIDS])
        told = tf.reshape(integers(head[4 * count : 6 * count], 2), [-1, CENTROIDS])
        rest = FREQUENCY_TOTAL - tf.reduce_sum(told, axis=1, keepdims=True)
        frequencies = tf.concat([rest, told], axis=1)
        possible = tf.reduce_all(frequencies > 0)
        even = tf.fill([len(self.sizes), _SYMBOLS], tf.constant(FREQUENCY_TOTAL // _SYMBOLS, tf.int64))
        frequencies = tf.where(possible, frequencies, even)
        stream = data[self._head :]
        whole = tf.equal(tf.size(stream) % 2, 0)
        words = integers(stream[: tf.size(stream) // 2 * 2], 2)
        states = integers(head[6 * count :], 4)
        symbols, used, ended = rans.decode(states, words, self._rows(), frequencies, self.size, self.lanes)
        sound = tf.reduce_all(
            [
                tf.size(data) >= self._head,
                possible,
                whole,
                ended,
                tf.equal(used, tf.size(words)),
                tf.reduce_all(tf.math.is_finite(centroids)),
            ]
        )
        values = tf.concat([tf.zeros([len(self.sizes), 1]), centroids], axis=1)
        return tf.gather_nd(values, tf.stack([self._rows(), symbols], axis=1)), sound


def _frequencies(symbols: tf.Tensor, size: int) -> tf.Tensor:
    """Frequencies of the four symbols, int64 (4,): at least 1 each, 4096 in all."""
    counts = tf.cast(tf.math.bincount(symbols, minlength=_SYMBOLS, maxlength=_SYMBOLS), tf.int64)
    shares = 1 + counts * (FREQUENCY_TOTAL - _SYMBOLS) // size
    left = FREQUENCY_TOTAL - tf.reduce_sum(shares)
    return shares + tf.concat([[left], tf.zeros([CENTROIDS], tf.int64)], axis=0)


def _little_endian(numbers: tf.Tensor, width: int) -> tf.Tensor:
    numbers = tf.cast(tf.reshape(numbers, [-1, 1]), tf.int64)
    shifts = tf.constant([1 << (8 * place) for place in range(width)], tf.int64)
    return tf.reshape(tf.cast(numbers // shifts % 256, tf.uint8), [-1])


def fedzip_spec(model_fn: ModelFn, config: ExperimentConfig) -> UpdateCodingSpec:
    """Returns FedZip's messages: kernels sparse and clustered on the way up, float32 on the way down.

    Source: Malekijoo et al., "FEDZIP: A Compression Framework for Communication-Efficient Federated Learning" (arXiv
    2102.01593).

    Args:
        model_fn: Builds the Keras model.
        config: `communication.sparsity`, `communication.small_values`.
    """
    model = plain_spec(model_fn, config, from_seed=config.model.initial == "seed")
    coded = kernels_of(model)
    sizes = tuple(model.downlink.other_sizes[number] for number in coded)
    return both_directions(
        model, config, coded, SparseClusters(sizes, config.communication.sparsity or FEDZIP_SHARE), None
    )


def build_fedzip(
    model_fn: ModelFn, data_type: tff.Type, config: ExperimentConfig, ood_fn: OodFn | None = None
) -> tff.learning.templates.LearningProcess:
    """Builds FedZip: sparse, clustered updates up, float32 down.

    Source: Malekijoo et al. (arXiv 2102.01593).

    Args:
        model_fn: Builds the Keras model; logits out, a layer named `embedding`.
        data_type: Type of one client's data, from `client_data_type`.
        config: Training settings, `communication.sparsity`, `communication.small_values`, seed.
        ood_fn: Unused; every builder takes the same arguments.

    Returns:
        A process with types and metrics as `build_fedavg`'s.
    """
    return build_update_coding_process(fedzip_spec(model_fn, config), data_type, config)


FEDZIP = Method(build_fedzip, "sparse clusters")
