"""FedCompress without server-side compression, an arm of the paper: the clients' mean goes down as float32."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_federated as tff

from tfc.clustering import controller
from tfc.clustering.controller import ControllerState
from tfc.codec.message_spec import ReferenceModel
from tfc.config import ExperimentConfig
from tfc.federated.aggregator import PAYLOADS_TYPE, ClientPayloads, mean_of_payloads
from tfc.federated.finalizer import chosen, measurements_of, usable
from tfc.federated.model_spec import ModelSpec, reference_model
from tfc.federated.server_optimizer import server_optimizer
from tfc.federated.templates import finalizer_process


def build_clustered_averaging_finalizer(
    spec: ModelSpec, config: ExperimentConfig, *, record_payloads: bool = False
) -> tff.learning.templates.FinalizerProcess:
    """Builds the finalizer of FedCompress without server-side compression: the mean goes down as float32.

    Type signature of `next`: `(<state=<ControllerState,S>@SERVER, broadcast=Broadcast@SERVER,
    update=ClientPayloads@SERVER> -> <state=<ControllerState,S>@SERVER, result=Broadcast@SERVER, measurements as
    `build_averaging_finalizer`'s>)`. The number of clusters that clients use grows as in FedCompress.

    Args:
        spec: The model; its broadcasts are not palettized.
        config: The controller's settings, `server_optimizer`, `server.update_norm_bound`, `rounds`.
        record_payloads: Whether the measurements also hold `average=<kernels,others>`, what the payloads amount to.
    """
    optimizer = server_optimizer(spec, config)

    @tff.tensorflow.computation()
    def initial_state():
        return controller.initial_state(config.clustering), optimizer.initial_state()

    @tff.tensorflow.computation(initial_state.type_signature.result, spec.broadcast_type, PAYLOADS_TYPE)
    def average(state, broadcast, collected):
        @tf.function
        def next_round(state: Any, model: ReferenceModel, collected: ClientPayloads) -> Any:
            before, remembered = ControllerState(*state[0]), state[1]
            old_kernels, old_others = spec.weights_of(model)
            old = (*old_kernels, *old_others)
            aggregate = mean_of_payloads(spec, model, collected, old, config.server.update_norm_bound)
            counts = usable(aggregate)
            means = (*aggregate.kernels, *aggregate.others)
            remembered, values = optimizer.step(remembered, old, means, counts)
            kernels, others = values[: len(old_kernels)], values[len(old_kernels) :]
            grown = controller.next_state(before, aggregate.accuracy, aggregate.score, config.clustering)
            control = ControllerState(*chosen(counts, grown, before))
            new = spec.float_broadcast(kernels, others, control.num_clusters)
            zero = tf.constant(0.0)
            measurements = measurements_of(aggregate, control.num_clusters, zero, zero)
            if record_payloads:
                measurements["average"] = (aggregate.kernels, aggregate.others)
            return (control, remembered), new._replace(base=model), measurements

        return next_round(state, reference_model(broadcast.model), ClientPayloads(*collected))

    @tff.federated_computation()
    def initialize():
        return tff.federated_eval(initial_state, tff.SERVER)

    return finalizer_process(initialize, average)
