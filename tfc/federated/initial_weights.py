"""The weights that training starts at: a model's own, or those that a seed stands for; the same in every method."""

from __future__ import annotations

import dataclasses

import tensorflow as tf
import tensorflow_federated as tff

from tfc.config import ExperimentConfig
from tfc.federated.model_spec import ModelFn, ModelSpec, clustered_spec
from tfc.federated.model_weights import read_weights
from tfc.graph_codec import seed_model


def _own_weights(spec: ModelSpec) -> tff.Computation:
    """A no-argument computation that returns (kernels, others) of a model built here and now."""
    # Not in the computation's graph, where a model that was read from a file would have other weights.
    kernels, others = tf.nest.map_structure(lambda value: value.numpy(), read_weights(spec.model_fn(), spec.layout))

    @tff.tensorflow.computation()
    def initial():
        return tuple(map(tf.constant, kernels)), tuple(map(tf.constant, others))

    return initial


def _seed_weights(spec: ModelSpec, seed: int) -> tff.Computation:
    """A no-argument computation that returns (kernels, others) expanded from a seed."""

    @tff.tensorflow.computation()
    def initial():
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
    def values():
        kernels, others = first()
        trainable, non_trainable = spec.layout.join(tuple(kernels), tuple(others))
        return (*trainable, *non_trainable)

    return values
