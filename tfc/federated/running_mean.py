"""The weighted mean of clients' models, one answer after the other, and an aggregator that keeps nothing else.

Sums are float32, in the order of the answers; workers that share the clients add up their parts, and the order of
additions moves the last bits of the mean.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tfc import graph_codec
from tfc.federated.model_spec import PAYLOAD_TYPE, ModelSpec
from tfc.federated.templates import collecting_process

MOST_EXAMPLES = float(1 << 24)
"""More than any client has; float32 counts exactly up to it, and no single client can drown the others by a claim."""


class Aggregate(NamedTuple):
    """The decoded mean of a round's answers.

    Attributes:
        kernels: float32 tensors, mean of the clients' clustered kernels, weighted by examples.
        others: float32 tensors, mean of all other weights (BatchNorm statistics included).
        accuracy: float32 scalar, mean validation accuracy, weighted by validation examples.
        score: float32 scalar, mean representation quality score, weighted likewise.
        weight: float32 scalar, examples of all clients that count; 0 where none does.
        clients: int32 scalar, number of clients that count.
    """

    kernels: tuple[Any, ...]
    others: tuple[Any, ...]
    accuracy: Any
    score: Any
    weight: Any
    clients: Any


class RunningMean(NamedTuple):
    """Sums over the answers so far.

    Attributes:
        weights: float32 tensors, the clients' weights times their numbers of examples.
        examples: float32 scalar, training examples of the clients that count.
        validation: float32 scalar, their validation examples.
        scores: float32 (2,), accuracy and quality score times validation examples.
        clients: int32 scalar, clients that count.
    """

    weights: tuple[Any, ...]
    examples: Any
    validation: Any
    scores: Any
    clients: Any

    @classmethod
    def empty(cls, shapes: Sequence[tuple[int, ...]]) -> RunningMean:
        """Returns the sums over no answer.

        Args:
            shapes: Shapes of the model's weights.
        """
        weights = tuple(tf.zeros(shape) for shape in shapes)
        return cls(weights, tf.constant(0.0), tf.constant(0.0), tf.zeros([2]), tf.constant(0))

    @tf.autograph.experimental.do_not_convert
    def with_answer(self, model: Sequence[tf.Tensor], told: tf.Tensor, counts: tf.Tensor) -> RunningMean:
        """Returns the sums with another answer; one that does not count, or claims what cannot be, changes nothing.

        Args:
            model: The client's model, float32 tensors.
            told: float32 (4,), what the payload says: training and validation examples, accuracy, quality score.
            counts: bool scalar, whether the payload is sound and arrived.
        """
        counts &= (told[0] > 0) & _plausible(told)
        # Numbers of a payload that does not count may be anything, and 0 times infinity is not 0.
        told = tf.where(counts, told, 0.0)
        weights = tuple(
            total + told[0] * tf.where(counts, tensor, 0.0) for total, tensor in zip(self.weights, model, strict=True)
        )
        scores = self.scores + told[1] * told[2:4]
        clients = self.clients + tf.cast(counts, tf.int32)
        return RunningMean(weights, self.examples + told[0], self.validation + told[1], scores, clients)

    def mean(self) -> Aggregate:
        """Returns the means, all weights as `others`; zeros where no answer counts."""
        others = tuple(tf.math.divide_no_nan(weights, self.examples) for weights in self.weights)
        scores = tf.math.divide_no_nan(self.scores, self.validation)
        return Aggregate((), others, scores[0], scores[1], self.examples, self.clients)


def _plausible(scalars: tf.Tensor) -> tf.Tensor:
    """Whether numbers of examples, accuracy and score are plausible client metrics."""
    counts, accuracy, score = scalars[:2], scalars[2], scalars[3]
    return tf.reduce_all(
        [
            tf.reduce_all((counts >= 0.0) & (counts <= MOST_EXAMPLES)),
            (accuracy >= 0.0) & (accuracy <= 1.0),
            (score >= 0.0) & (score <= MOST_EXAMPLES),
        ]
    )


class Collected(NamedTuple):
    """What a round's answers amount to, without the answers.

    Attributes:
        total: Sums over them.
        lengths: int32 (clients,), bytes of each client's payload.
    """

    total: RunningMean
    lengths: Any


def collected_type(spec: ModelSpec) -> tff.Type:
    """Returns the TFF type of `Collected` for a model.

    Args:
        spec: The model; it has no clustered kernels.
    """
    weights = tuple(tff.TensorType(np.float32, shape) for shape in spec.layout.other_shapes)
    scalar = tff.TensorType(np.float32)
    total = RunningMean(weights, scalar, scalar, tff.TensorType(np.float32, (2,)), tff.TensorType(np.int32))
    return tff.to_type(Collected(total, tff.TensorType(np.int32, (None,))))


def build_mean_aggregator(spec: ModelSpec) -> tff.templates.AggregationProcess:
    """Builds the process that adds float32 answers up as they come, in place of holding them all.

    Type signature of `next`: `(<state=<>@SERVER, payload={uint8[?]}@CLIENTS, weight={float32}@CLIENTS> ->
    <state=<>@SERVER, result=Collected@SERVER, measurements=<uplink_bytes=int64,lengths=int32[?]>@SERVER>)`.

    Args:
        spec: The model; it has no clustered kernels, so a payload is decoded without what the clients hold.
    """
    type_ = collected_type(spec)

    @tff.tensorflow.computation()
    def zero():
        return Collected(RunningMean.empty(spec.layout.other_shapes), tf.zeros([0], tf.int32))

    @tff.tensorflow.computation(type_, (PAYLOAD_TYPE, np.float32))
    def accumulate(collected, answer):
        payload, weight = answer
        decoded, sound = graph_codec.decode(payload, spec.uplink)
        message = decoded.message
        total = RunningMean(*collected.total).with_answer(message.others, message.scalars, sound & (weight > 0))
        return Collected(total, tf.concat([collected.lengths, [tf.size(payload)]], axis=0))

    @tff.tensorflow.computation(type_, type_)
    def merge(left, right):
        total = tf.nest.map_structure(tf.add, RunningMean(*left.total), RunningMean(*right.total))
        return Collected(total, tf.concat([left.lengths, right.lengths], axis=0))

    @tff.tensorflow.computation(type_)
    def measure(collected):
        uplink_bytes = tf.reduce_sum(tf.cast(collected.lengths, tf.int64))
        return collections.OrderedDict(uplink_bytes=uplink_bytes, lengths=collected.lengths)

    return collecting_process(zero, accumulate, merge, measure)
