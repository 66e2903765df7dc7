"""Joins the parts of a method to a `tff.learning.templates.LearningProcess`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_federated as tff

from tfc.federated.distributor import build_distributor
from tfc.federated.model_spec import ModelSpec, reference_model, to_model_weights

Restart = Callable[[Any, tuple[Any, ...], tuple[Any, ...]], Any]
"""(state, trainable, non-trainable weights) -> (broadcast of these weights, the finalizer's state for them)."""


class _Process(tff.learning.templates.LearningProcess):
    """A learning process that traces `set_model_weights` when it is asked for: few runs set weights from outside."""

    def __init__(
        self,
        initialize: tff.Computation,
        next_: tff.Computation,
        get_model_weights: tff.Computation,
        trace_set_model_weights: Callable[[], tff.Computation],
    ) -> None:
        state_type = initialize.type_signature.result.member
        weights_type = get_model_weights.type_signature.result

        @tff.tensorflow.computation(state_type, weights_type)
        def same(state, weights):
            return tf.nest.map_structure(tf.identity, state)

        super().__init__(initialize, next_, get_model_weights, same)
        self._trace, self._traced = trace_set_model_weights, False

    @property
    def set_model_weights(self) -> tff.Computation:
        """Sets the model's weights in a state: `(<state=S,weights=ModelWeights> -> S)`."""
        if not self._traced:
            self._set_model_weights, self._traced = self._trace(), True
        return self._set_model_weights


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

    def trace_set_model_weights() -> tff.Computation:
        @tff.tensorflow.computation(state_type, get_model_weights.type_signature.result)
        def set_model_weights(state, weights):
            # Frozen weights stay as they are.
            moving = tuple(weights.non_trainable[position] for position in spec.layout.moving)
            new, finalizer = restart(state, tuple(weights.trainable), moving)
            return state._replace(global_model_weights=new, finalizer=finalizer)

        return set_model_weights

    # Keras rewires the bases of its layer classes each time a model is built in a bare graph, as TFF's tracing does,
    # and the caller's own models stop working. Building the same classes once more outside of a graph wires them back.
    spec.model_fn()
    return _Process(composed.initialize, composed.next, get_model_weights, trace_set_model_weights)
