"""Uplink: the clients' payloads reach the server, which decodes them given its broadcast and takes their mean."""

from __future__ import annotations

import collections
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tfc import graph_codec
from tfc.codec.message_spec import ReferenceModel
from tfc.federated.model_spec import PAYLOAD_TYPE, ModelSpec
from tfc.federated.model_weights import dequantized_kernels
from tfc.federated.running_mean import Aggregate, RunningMean
from tfc.federated.templates import collecting_process
from tfc.graph_codec.frequency_bands import change_of, factors_of


class ClientPayloads(NamedTuple):
    """The payloads of a round, one after the other.

    Attributes:
        data: uint8 (bytes,).
        lengths: int32 (clients,), bytes of each client's payload.
        weights: float32 (clients,), examples of each client; 0 for one that does not count.
    """

    data: Any
    lengths: Any
    weights: Any


PAYLOADS_TYPE = tff.to_type(
    ClientPayloads(PAYLOAD_TYPE, tff.TensorType(np.int32, (None,)), tff.TensorType(np.float32, (None,)))
)
"""TFF type of `ClientPayloads`."""


def build_aggregator(*, record_payloads: bool = False) -> tff.templates.AggregationProcess:
    """Builds the process that collects payloads.

    Type signature of `next`: `(<state=<>@SERVER, payload={uint8[?]}@CLIENTS, weight={float32}@CLIENTS> ->
    <state=<>@SERVER, result=ClientPayloads@SERVER, measurements=<uplink_bytes=int64,lengths=int32[?]>@SERVER>)`.

    Accumulating and merging only concatenate: they have no access to the reference model, without which a payload
    can't be decoded. `mean_of_payloads` does that where the broadcast is, in the finalizer.

    Args:
        record_payloads: Whether the measurements also hold `payloads=ClientPayloads`.
    """

    @tff.tensorflow.computation()
    def zero():
        return ClientPayloads(tf.zeros([0], tf.uint8), tf.zeros([0], tf.int32), tf.zeros([0]))

    @tff.tensorflow.computation(PAYLOADS_TYPE, (PAYLOAD_TYPE, np.float32))
    def accumulate(collected, answer):
        payload, weight = answer
        return ClientPayloads(
            tf.concat([collected.data, payload], axis=0),
            tf.concat([collected.lengths, [tf.size(payload)]], axis=0),
            tf.concat([collected.weights, [weight]], axis=0),
        )

    @tff.tensorflow.computation(PAYLOADS_TYPE, PAYLOADS_TYPE)
    def merge(left, right):
        return tf.nest.map_structure(lambda first, second: tf.concat([first, second], axis=0), left, right)

    @tff.tensorflow.computation(PAYLOADS_TYPE)
    def measure(collected):
        measurements = collections.OrderedDict(
            uplink_bytes=tf.size(collected.data, out_type=tf.int64), lengths=collected.lengths
        )
        if record_payloads:
            measurements["payloads"] = collected
        return measurements

    return collecting_process(zero, accumulate, merge, measure)


DecodeAnswer = Callable[[tf.Tensor], tuple[Sequence[tf.Tensor], tf.Tensor, tf.Tensor]]
"""A payload -> the client's model, one float32 tensor per weight; its four scalars; whether the payload is sound."""


@tf.autograph.experimental.do_not_convert
def bounded(model: Sequence[tf.Tensor], base: Sequence[tf.Tensor], bound: float) -> tuple[tf.Tensor, ...]:
    """Scales a client's change down to a bound: the L2 norm of all its weights' changes together.

    Source: Sun et al., "Can You Really Backdoor Federated Learning?" (arXiv 1911.07963), norm thresholding.

    Args:
        model: The client's model, float32 tensors.
        base: What it started from, likewise.
        bound: Largest norm; more than 0.
    """
    changes = [new - old for new, old in zip(model, base, strict=True)]
    norm = tf.sqrt(tf.add_n([tf.reduce_sum(tf.square(change)) for change in changes]))
    return tuple(
        tf.where(norm > bound, old + change * (bound / norm), new)
        for new, old, change in zip(model, base, changes, strict=True)
    )


def mean_of_answers(
    shapes: Sequence[tuple[int, ...]],
    decode: DecodeAnswer,
    collected: ClientPayloads,
    base: Sequence[tf.Tensor] = (),
    norm_bound: float = 0.0,
) -> Aggregate:
    """Decodes the clients' payloads and averages them; call it inside a `tf.function`.

    A payload that is damaged, or has no weight, does not count.

    Args:
        shapes: Shapes of the model's weights.
        decode: Decodes a payload, whatever it holds.
        collected: The payloads.
        base: The model that the clients started from; needed with a bound.
        norm_bound: Largest L2 norm of a client's change; 0 for no bound.

    Returns:
        The means, all weights as `others`.
    """
    total = RunningMean.empty(shapes)
    ends = tf.cumsum(collected.lengths)
    for number in tf.range(tf.size(ends)):
        # One after the other: decoding ahead of the sums would hold ten models at a time.
        tf.autograph.experimental.set_loop_options(parallel_iterations=1)
        start = ends[number] - collected.lengths[number]
        model, told, sound = decode(collected.data[start : ends[number]])
        if norm_bound:
            model = bounded(model, base, norm_bound)
        # What the payload itself says it weighs; the weight beside it only tells an answer from none.
        total = total.with_answer(model, told, sound & (collected.weights[number] > 0))
    return total.mean()


def mean_of_payloads(
    spec: ModelSpec,
    held: ReferenceModel,
    collected: ClientPayloads,
    base: Sequence[tf.Tensor] = (),
    norm_bound: float = 0.0,
) -> Aggregate:
    """Averages the clients' models as `mean_of_answers` does.

    Args:
        spec: The model.
        held: The broadcast that the clients answered.
        collected: Their payloads.
        base: The broadcast's kernels, then all its other weights; needed with a bound.
        norm_bound: Largest L2 norm of a client's change; 0 for no bound.
    """
    sent = dequantized_kernels(held.palettes)
    given = held if spec.palettized_broadcast else None
    memory = graph_codec.remember(spec.uplink, given)

    def decode(payload: tf.Tensor) -> tuple[Sequence[tf.Tensor], tf.Tensor, tf.Tensor]:
        decoded, sound = graph_codec.decode(payload, spec.uplink, given, memory)
        message = decoded.message
        kernels = dequantized_kernels(message.palettes)
        if spec.palettizes_update:
            parts = zip(sent, kernels, message.band_scales, strict=True)
            kernels = tuple(
                before + change_of(values * factors_of(scales, tuple(before.shape))) for before, values, scales in parts
            )
        return (*kernels, *message.others), message.scalars, sound

    mean = mean_of_answers((*spec.layout.kernel_shapes, *spec.layout.other_shapes), decode, collected, base, norm_bound)
    count = len(spec.layout.kernel_shapes)
    return mean._replace(kernels=mean.others[:count], others=mean.others[count:])
