"""Joins the parts of a method to a learning process, and what all methods start at."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_federated as tff

from tfc.config import ExperimentConfig
from tfc.federated.distributor import build_distributor
from tfc.federated.model_spec import ModelFn, ModelSpec, read_weights, reference_model, to_model_weights
from tfc.graph_codec import seed_model

Restart = Callable[[Any, tuple[Any, ...], tuple[Any, ...]], Any]
"""(state, trainable, non-trainable weights) -> (broadcast of these weights, the finalizer's state for them)."""


def full_participation(config: ExperimentConfig) -> bool:
    """Returns whether all clients take part in every round.

    Args:
        config: Number of clients, in all and per round.
    """
    return config.clients_per_round in (0, config.data.num_clients)


def clustered_spec(model_fn: ModelFn, config: ExperimentConfig) -> ModelSpec:
    """Returns what FedCompress knows of the model.

    Args:
        model_fn: Builds the Keras model.
        config: Settings of clustering and communication.
    """
    return ModelSpec.of(
        model_fn,
        config.clustering.layers,
        config.clustering.max_clusters,
        uplink_mode=config.communication.uplink,
        update_levels=config.communication.levels,
        full_participation=full_participation(config),
        from_seed=config.model.initial == "seed",
        palettized_broadcast=config.server.compression,
    )


def _own_weights(spec: ModelSpec) -> tff.Computation:
    """A no-argument computation that returns (kernels, others) of a model built here and now."""
    # Not in the computation's graph, where a model that was read from a file would have other weights.
    kernels, others = tf.nest.map_structure(lambda value: value.numpy(), read_weights(spec.model_fn(), spec.layout))

    @tff.tensorflow.computation()
    def initial():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return tuple(map(tf.constant, kernels)), tuple(map(tf.constant, others))

    return initial


def _seed_weights(spec: ModelSpec, seed: int) -> tff.Computation:
    """A no-argument computation that returns (kernels, others) expanded from a seed."""

    @tff.tensorflow.computation()
    def initial():  # type: ignore[no-untyped-def]  # noqa: ANN202
        number = tf.constant(seed, tf.int64)
        kernels = seed_model.initial_kernels(number, spec.downlink)
        return kernels, seed_model.initial_others(number, spec.downlink)

    return initial


def initial_weights(spec: ModelSpec, seed: int) -> tff.Computation:
    """Returns a no-argument computation that returns the first weights as (kernels, others).

    Args:
        spec: The model; its own weights, or those that a seed stands for.
        seed: Seed of the run.
    """
    # The form of the broadcasts must not decide what training starts at.
    spec = dataclasses.replace(spec, palettized_broadcast=True)
    return _seed_weights(spec, seed) if spec.initial_others else _own_weights(spec)


def initial_values(model_fn: ModelFn, config: ExperimentConfig) -> tff.Computation:
    """Returns a no-argument computation that returns the first weights in a row: trainable ones, then the others.

    They are FedCompress's, whatever the method: expanded kernel by kernel of the layout that is clustered there.

    Args:
        model_fn: Builds the Keras model.
        config: Settings of clustering, and the seed.
    """
    spec = clustered_spec(model_fn, config)
    first = initial_weights(spec, config.seed)

    @tff.tensorflow.computation()
    def values():  # type: ignore[no-untyped-def]  # noqa: ANN202
        kernels, others = first()
        trainable, non_trainable = spec.layout.join(tuple(kernels), tuple(others))
        return (*trainable, *non_trainable)

    return values


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
    def get_model_weights(state):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return to_model_weights(spec, reference_model(state.global_model_weights.model))

    @tff.tensorflow.computation(state_type, get_model_weights.type_signature.result)
    def set_model_weights(state, weights):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        new, finalizer = restart(state, tuple(weights.trainable), tuple(weights.non_trainable))
        return state._replace(global_model_weights=new, finalizer=finalizer)

    # Keras rewires the bases of its layer classes each time a model is built in a bare graph, as TFF's tracing does,
    # and the caller's own models stop working. Building the same classes once more outside of a graph wires them back.
    spec.model_fn()
    return tff.learning.templates.LearningProcess(
        composed.initialize, composed.next, get_model_weights, set_model_weights
    )
