"""The server of update coding: the mean joins its float weights, whose change is coded for the way down."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tfc.codec.message_spec import ReferenceModel
from tfc.federated.aggregator import PAYLOADS_TYPE, ClientPayloads, mean_of_answers
from tfc.federated.finalizer import chosen, measurements_of, usable
from tfc.federated.model_spec import reference_model
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
    """

    round: Any
    master: Any


def build_update_coding_finalizer(
    spec: UpdateCodingSpec, initial_values: tff.Computation, seed: int, norm_bound: float = 0.0
) -> tff.learning.templates.FinalizerProcess:
    """Builds the finalizer of methods whose updates a codec writes.

    Type signature of `next`: `(<state=UpdateCodingState@SERVER, broadcast=Broadcast@SERVER,
    update=ClientPayloads@SERVER> -> <state=UpdateCodingState@SERVER, result=Broadcast@SERVER,
    measurements=<num_clusters=int32,clients_ok=int32,validation_accuracy=float32,quality_score=float32,
    distillation_loss=float32,rate_weight=float32>@SERVER>)`.

    The mean of the clients' changes, weighted by examples, is added to the server's float weights; the broadcast's
    change is the codec's version of what they are ahead of the model that the clients hold. So what one broadcast
    loses, later ones make up for. A round without a client that counts changes no model.

    Args:
        spec: The model and its messages.
        initial_values: No-argument TFF computation that returns the first weights.
        seed: Seed of the run.
        norm_bound: Largest L2 norm of a client's decoded change; 0 for no bound.
    """
    master_type = tff.TensorType(np.float32, (spec.master_size,))
    state_type = tff.to_type(UpdateCodingState(tff.TensorType(np.int32), master_type))

    @tff.tensorflow.computation(initial_values.type_signature.result)
    def first_state(values):
        return UpdateCodingState(tf.constant(0), master_of(spec, tuple(values)))

    @tff.tensorflow.computation(state_type, spec.model.broadcast_type, PAYLOADS_TYPE)
    def finish(state, broadcast, collected):
        @tf.function
        def next_round(state: UpdateCodingState, model: ReferenceModel, collected: ClientPayloads) -> Any:
            mean = mean_of_answers(
                spec.model.layout.other_shapes,
                lambda payload: spec.uplink.decode(payload, model),
                collected,
                model.others,
                norm_bound,
            )
            counts = usable(mean)
            values = chosen(counts, mean.others, model.others)
            round_number, master = state.round + 1, state.master
            if spec.downlink.codec is None:
                new = spec.whole(values)._replace(base=model)
            else:
                sent, _ = spec.downlink.divide(model.others)
                reached, rest = spec.downlink.divide(values)
                master = state.master + (reached - sent)
                changes = tf.where(counts, master - sent, 0.0)
                new = spec.change(changes, rest, model, hashed(seed, Purpose.ROTATION, round_number, SERVER))
            zero = tf.constant(0.0)
            return UpdateCodingState(round_number, master), new, measurements_of(mean, tf.constant(0), zero, zero)

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
