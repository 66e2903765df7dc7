"""The server of update coding: the mean joins its float weights, whose change is coded for the way down."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_federated as tff

from tfc.codec.message_spec import ReferenceModel
from tfc.config import ExperimentConfig
from tfc.federated.aggregator import PAYLOADS_TYPE, ClientPayloads, mean_of_answers
from tfc.federated.finalizer import chosen, measurements_of, usable
from tfc.federated.model_spec import reference_model
from tfc.federated.server_optimizer import server_optimizer
from tfc.federated.templates import finalizer_process
from tfc.federated.update_coding_spec import UpdateCodingSpec
from tfc.seeds import Purpose, hashed

SERVER = 0x7FFFFFFF
"""Stands for the server where randomness is a function of a client's number."""


class UpdateCodingState(NamedTuple):
    """What the finalizer remembers.

    Attributes:
        round: int32 scalar, rounds finished.
        master: float32 vector, the weights that the codec takes as the server has them; empty where broadcasts lose
            nothing. What it is ahead of the broadcast is what coding lost so far.
        optimizer: State of the server's optimiser.
    """

    round: Any
    master: Any
    optimizer: Any


def build_update_coding_finalizer(
    spec: UpdateCodingSpec, initial_values: tff.Computation, config: ExperimentConfig
) -> tff.learning.templates.FinalizerProcess:
    """Builds the finalizer of methods whose updates a codec writes.

    Type signature of `next`: `(<state=UpdateCodingState@SERVER, broadcast=Broadcast@SERVER,
    update=ClientPayloads@SERVER> -> <state=UpdateCodingState@SERVER, result=Broadcast@SERVER,
    measurements=<num_clusters=int32,clients_ok=int32,validation_accuracy=float32,quality_score=float32,
    distillation_loss=float32,rate_weight=float32>@SERVER>)`.

    The server's optimiser moves its float weights by the mean of the clients' changes, weighted by examples; the
    broadcast's change is the codec's version of what they are ahead of the model that the clients hold. So what one
    broadcast loses, later ones make up for. A round without a client that counts changes no model.

    Args:
        spec: The model and its messages.
        initial_values: No-argument TFF computation that returns the first weights.
        config: `server_optimizer`, `server.update_norm_bound`, `rounds`, seed.
    """
    optimizer = server_optimizer(spec.model, config)

    @tff.tensorflow.computation(initial_values.type_signature.result)
    def first_state(values):
        return UpdateCodingState(tf.constant(0), master_of(spec, tuple(values)), optimizer.initial_state())

    @tff.tensorflow.computation(first_state.type_signature.result, spec.model.broadcast_type, PAYLOADS_TYPE)
    def finish(state, broadcast, collected):
        @tf.function
        def next_round(state: UpdateCodingState, model: ReferenceModel, collected: ClientPayloads) -> Any:
            mean = mean_of_answers(
                spec.model.layout.other_shapes,
                lambda payload: spec.uplink.decode(payload, model),
                collected,
                model.others,
                config.server.update_norm_bound,
            )
            counts = usable(mean)
            round_number, master = state.round + 1, state.master
            if spec.downlink.codec is None:
                remembered, values = optimizer.step(state.optimizer, model.others, mean.others, counts)
                new = spec.whole(values)._replace(base=model)
            else:
                sent, small = spec.downlink.divide(model.others)
                reached, rest = spec.downlink.divide(chosen(counts, mean.others, model.others))
                # What the server has: its float weights where the codec loses something, else what it sent.
                before = spec.downlink.join(master, small)
                after = spec.downlink.join(master + (reached - sent), rest)
                remembered, values = optimizer.step(state.optimizer, before, after, counts)
                master, rest = spec.downlink.divide(values)
                changes = tf.where(counts, master - sent, 0.0)
                key = hashed(config.seed, Purpose.ROTATION, round_number, SERVER)
                new = spec.change(changes, rest, model, key)
            zero = tf.constant(0.0)
            measurements = measurements_of(mean, tf.constant(0), zero, zero)
            return UpdateCodingState(round_number, master, remembered), new, measurements

        return next_round(UpdateCodingState(*state), reference_model(broadcast.model), ClientPayloads(*collected))

    @tff.federated_computation()
    def initialize():
        return tff.federated_map(first_state, tff.federated_eval(initial_values, tff.SERVER))

    return finalizer_process(initialize, finish)


def master_of(spec: UpdateCodingSpec, values: tuple[Any, ...]) -> tf.Tensor:
    """Returns the server's float weights for a model, float32 vector.

    Args:
        spec: The model and its messages.
        values: One float32 tensor per weight.
    """
    return spec.downlink.divide(values)[0] if spec.master_size else tf.zeros([0])
