"""Joins the parts of a method to a `tff.learning.templates.LearningProcess`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow_federated as tff

from tfc.federated.distributor import build_distributor
from tfc.federated.model_spec import ModelSpec, reference_model, to_model_weights

Restart = Callable[[Any, tuple[Any, ...], tuple[Any, ...]], Any]
"""(state, trainable, non-trainable weights) -> (broadcast of these weights, the finalizer's state for them)."""


def join(
    spec: ModelSpec,
    initial_model: tff.Computation,
    client_work: tff.learning.templates.ClientWorkProcess,
    aggregator: tff.templates.AggregationProcess,
    finalizer: tff.learning.templates.FinalizerProcess,
    restart: Restart,
) -> tff.learning.templates.LearningProcess:
    """Joins the parts; `get_model_weights` and `set_model_weights` speak of plain weights, as TFF's users expect.

    Args:
        spec: The model.
        initial_model: No-argument TFF computation that returns the first broadcast.
        client_work: Trains.
        aggregator: Collects.
        finalizer: Makes the next broadcast.
        restart: Makes the broadcast of weights that are set from outside.
    """
    composed = tff.learning.templates.compose_learning_process(
        initial_model, build_distributor(spec), client_work, aggregator, finalizer
    )
    state_type = composed.initialize.type_signature.result.member

    @tff.tensorflow.computation(state_type)
    def get_model_weights(state):
        return to_model_weights(spec, reference_model(state.global_model_weights.model))

    @tff.tensorflow.computation(state_type, get_model_weights.type_signature.result)
    def set_model_weights(state, weights):
        new, finalizer = restart(state, tuple(weights.trainable), tuple(weights.non_trainable))
        return state._replace(global_model_weights=new, finalizer=finalizer)

    # Keras rewires the bases of its layer classes each time a model is built in a bare graph, as TFF's tracing does,
    # and the caller's own models stop working. Building the same classes once more outside of a graph wires them back.
    spec.model_fn()
    return tff.learning.templates.LearningProcess(
        composed.initialize, composed.next, get_model_weights, set_model_weights
    )
