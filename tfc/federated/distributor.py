"""Downlink: the payload that the server encoded goes to the clients."""

from __future__ import annotations

import collections

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tfc.federated.model_spec import ModelSpec


def build_distributor(spec: ModelSpec) -> tff.learning.templates.DistributionProcess:
    """Builds the process that broadcasts the bytes.

    Type signature of `next`:
    `(<state=<>@SERVER, broadcast=Broadcast@SERVER> -> <state=<>@SERVER, result=<uint8[?],base>@CLIENTS,
    measurements=<downlink_bytes=int64,clients=int32,payload_bytes=int64,key_frame_bytes=int64>@SERVER>)`. The base
    stands for the client's own memory of the broadcast before: it is handed over beside the payload and not counted.
    `downlink_bytes` counts every client's copy of the payload. Where clients are sampled some would need more than the
    payload: the broadcasts that they missed, or the key frame. `tfc.federated.broadcast_tracker` charges that from
    the lengths.

    Args:
        spec: The model.
    """

    @tff.tensorflow.computation(spec.broadcast_type)
    def to_send(broadcast):
        return broadcast.payload, broadcast.base

    @tff.tensorflow.computation(spec.broadcast_type, np.int32)
    def measure(broadcast, clients):
        length = tf.size(broadcast.payload, out_type=tf.int64)
        return collections.OrderedDict(
            downlink_bytes=length * tf.cast(clients, tf.int64),
            clients=clients,
            payload_bytes=length,
            key_frame_bytes=tf.size(broadcast.key_frame, out_type=tf.int64),
        )

    @tff.federated_computation()
    def initialize():
        return tff.federated_value((), tff.SERVER)

    @tff.federated_computation(initialize.type_signature.result, tff.FederatedType(spec.broadcast_type, tff.SERVER))
    def next_(state, broadcast):
        sent = tff.federated_map(to_send, broadcast)
        clients = tff.federated_sum(tff.federated_value(1, tff.CLIENTS))
        measurements = tff.federated_map(measure, (broadcast, clients))
        return tff.templates.MeasuredProcessOutput(state, tff.federated_broadcast(sent), measurements)

    return tff.learning.templates.DistributionProcess(initialize, next_)
