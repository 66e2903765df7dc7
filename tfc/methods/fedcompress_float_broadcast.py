"""FedCompress without server-side compression, an arm of the paper: the clients' mean goes down as float32."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_federated as tff

from tfc.clustering import controller
from tfc.clustering.controller import ControllerState
from tfc.codec.message_spec import ReferenceModel
from tfc.config import ClusteringConfig
from tfc.federated.aggregator import PAYLOADS_TYPE, ClientPayloads, mean_of_payloads
from tfc.federated.finalizer import chosen, measurements_of, usable
from tfc.federated.model_spec import ModelSpec, reference_model
from tfc.federated.templates import finalizer_process


def build_clustered_averaging_finalizer(
    spec: ModelSpec, clustering: ClusteringConfig, *, norm_bound: float = 0.0, record_payloads: bool = False
) -> tff.learning.templates.FinalizerProcess:
    """Builds the finalizer of FedCompress without server-side compression: the mean goes down as float32.

    Type signature of `next`: `(<state=ControllerState@SERVER, broadcast=Broadcast@SERVER,
    update=ClientPayloads@SERVER> -> <state=ControllerState@SERVER, result=Broadcast@SERVER, measurements as
    `build_averaging_finalizer`'s>)`. The number of clusters that clients use grows as in FedCompress.

    Args:
        spec: The model; its broadcasts are not palettized.
        clustering: The controller's settings.
        norm_bound: Largest L2 norm of a client's change; 0 for no bound.
        record_payloads: Whether the measurements also hold `average=<kernels,others>`, what the payloads amount to.
    """

    @tff.tensorflow.computation()
    def initial_state():
        return controller.initial_state(clustering)

    @tff.tensorflow.computation(initial_state.type_signature.result, spec.broadcast_type, PAYLOADS_TYPE)
    def average(state, broadcast, collected):
        @tf.function
        def next_round(state: ControllerState, model: ReferenceModel, collected: ClientPayloads) -> Any:
            old_kernels, old_others = spec.weights_of(model)
            aggregate = mean_of_payloads(spec, model, collected, (*old_kernels, *old_others), norm_bound)
            counts = usable(aggregate)
            kernels, others = (
                chosen(counts, *parts) for parts in ((aggregate.kernels, old_kernels), (aggregate.others, old_others))
            )
            grown = controller.next_state(state, aggregate.accuracy, aggregate.score, clustering)
            control = ControllerState(*chosen(counts, grown, state))
            new = spec.float_broadcast(kernels, others, control.num_clusters)
            zero = tf.constant(0.0)
            measurements = measurements_of(aggregate, control.num_clusters, zero, zero)
            if record_payloads:
                measurements["average"] = (aggregate.kernels, aggregate.others)
            return control, new._replace(base=model), measurements

        return next_round(ControllerState(*state), reference_model(broadcast.model), ClientPayloads(*collected))

    @tff.federated_computation()
    def initialize():
        return tff.federated_eval(initial_state, tff.SERVER)

    return finalizer_process(initialize, average)
