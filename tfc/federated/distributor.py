"""Downlink: the server's model goes to the clients as one payload."""

from __future__ import annotations

import collections

import tensorflow as tf
import tensorflow_federated as tff

from tfc.codec import graph
from tfc.codec.message import Message
from tfc.federated.global_model import PAYLOAD_TYPE, ModelSpec


def build_distributor(spec: ModelSpec) -> tff.learning.templates.DistributionProcess:
    """Builds the process that encodes the model once at the server and broadcasts the bytes.

    Type signature of `next`:
    `(<state=<>@SERVER, model=GlobalModel@SERVER> -> <state=<>@SERVER, result=uint8[?]@CLIENTS,
    measurements=<downlink_bytes=int64,clients=int32>@SERVER>)`; `downlink_bytes` counts every client's copy.

    Args:
        spec: The model.
    """

    @tff.tensorflow.computation(spec.global_model_type)
    def encode(model):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return graph.encode(Message(model.num_clusters, model.palettes, model.others, tf.zeros([0])), spec.downlink)

    @tff.tensorflow.computation(PAYLOAD_TYPE, tf.int32.as_numpy_dtype)
    def measure(payload, clients):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        length = tf.size(payload, out_type=tf.int64)
        return collections.OrderedDict(downlink_bytes=length * tf.cast(clients, tf.int64), clients=clients)

    @tff.federated_computation()
    def initialize():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return tff.federated_value((), tff.SERVER)

    @tff.federated_computation(initialize.type_signature.result, tff.FederatedType(spec.global_model_type, tff.SERVER))
    def next_(state, model):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        payload = tff.federated_map(encode, model)
        clients = tff.federated_sum(tff.federated_value(1, tff.CLIENTS))
        measurements = tff.federated_map(measure, (payload, clients))
        return tff.templates.MeasuredProcessOutput(state, tff.federated_broadcast(payload), measurements)

    return tff.learning.templates.DistributionProcess(initialize, next_)
