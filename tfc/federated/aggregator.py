"""Uplink: the clients' payloads become one mean model at the server."""

from __future__ import annotations

import collections
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tfc.codec import graph
from tfc.federated.global_model import PAYLOAD_TYPE, ModelSpec, dequantized_kernels


class Aggregate(NamedTuple):
    """What the server learns from the clients of a round.

    Attributes:
        kernels: float32 tensors, mean of the clients' clustered kernels, weighted by examples.
        others: float32 tensors, mean of all other weights (BatchNorm statistics included).
        accuracy: float32 scalar, mean validation accuracy, weighted by validation examples.
        score: float32 scalar, mean representation quality score, weighted likewise.
        weight: float32 scalar, examples of all clients that count; 0 where none does.
    """

    kernels: tuple[Any, ...]
    others: tuple[Any, ...]
    accuracy: Any
    score: Any
    weight: Any


class _Sums(NamedTuple):
    kernels: tuple[Any, ...]
    others: tuple[Any, ...]
    accuracy: Any
    score: Any
    weight: Any
    validation_weight: Any
    uplink_bytes: Any
    clients_ok: Any


def build_aggregator(spec: ModelSpec) -> tff.templates.AggregationProcess:
    """Builds the weighted mean of the clients' models, over payloads.

    Type signature of `next`: `(<state=<>@SERVER, payload={uint8[?]}@CLIENTS, weight={float32}@CLIENTS> ->
    <state=<>@SERVER, result=Aggregate@SERVER, measurements=<uplink_bytes=int64,clients_ok=int32,
    validation_accuracy=float32,quality_score=float32>@SERVER>)`. A payload of weight 0 is not even decoded.

    Args:
        spec: The model.
    """

    @tff.tensorflow.computation()
    def zero():  # type: ignore[no-untyped-def]  # noqa: ANN202
        nothing = tf.zeros([])
        return _Sums(
            tuple(tf.zeros(shape) for shape in spec.layout.kernel_shapes),
            tuple(tf.zeros(shape) for shape in spec.layout.other_shapes),
            nothing,
            nothing,
            nothing,
            nothing,
            tf.constant(0, tf.int64),
            tf.constant(0, tf.int32),
        )

    sums_type = zero.type_signature.result

    @tff.tensorflow.computation(sums_type, (PAYLOAD_TYPE, np.float32))
    def accumulate(sums, answer):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        payload, weight = answer

        def add() -> _Sums:
            message = graph.decode(payload, spec.uplink)
            _, validation_weight, accuracy, score = tf.unstack(message.scalars)
            return _Sums(
                tuple(
                    total + weight * kernel
                    for total, kernel in zip(sums.kernels, dequantized_kernels(message.palettes), strict=True)
                ),
                tuple(total + weight * other for total, other in zip(sums.others, message.others, strict=True)),
                sums.accuracy + validation_weight * accuracy,
                sums.score + validation_weight * score,
                sums.weight + weight,
                sums.validation_weight + validation_weight,
                sums.uplink_bytes + tf.size(payload, out_type=tf.int64),
                sums.clients_ok + 1,
            )

        return tf.cond(weight > 0, add, lambda: tf.nest.map_structure(tf.identity, _Sums(*sums)))

    @tff.tensorflow.computation(sums_type, sums_type)
    def merge(left, right):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return tf.nest.map_structure(tf.add, left, right)

    @tff.tensorflow.computation(sums_type)
    def report(sums):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        def mean(total: tf.Tensor) -> tf.Tensor:
            return tf.math.divide_no_nan(total, sums.weight)

        accuracy = tf.math.divide_no_nan(sums.accuracy, sums.validation_weight)
        score = tf.math.divide_no_nan(sums.score, sums.validation_weight)
        aggregate = Aggregate(
            tuple(map(mean, sums.kernels)), tuple(map(mean, sums.others)), accuracy, score, sums.weight
        )
        measurements = collections.OrderedDict(
            uplink_bytes=sums.uplink_bytes,
            clients_ok=sums.clients_ok,
            validation_accuracy=accuracy,
            quality_score=score,
        )
        return aggregate, measurements

    @tff.federated_computation()
    def initialize():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return tff.federated_value((), tff.SERVER)

    @tff.federated_computation(
        initialize.type_signature.result,
        tff.FederatedType(PAYLOAD_TYPE, tff.CLIENTS),
        tff.FederatedType(np.float32, tff.CLIENTS),
    )
    def next_(state, payload, weight):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        sums = tff.federated_aggregate(tff.federated_zip((payload, weight)), zero(), accumulate, merge, report)
        return tff.templates.MeasuredProcessOutput(state, sums[0], sums[1])

    return tff.templates.AggregationProcess(initialize, next_)
