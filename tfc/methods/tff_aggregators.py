"""Federated averaging of float32 updates through any of TFF's aggregators: 8-bit quantised, robust, private.

Here nothing is encoded: what crosses the boundary are tensors, and bytes follow from a formula, not from payloads.
"""

from __future__ import annotations

import collections
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tfc import graph_codec
from tfc.codec.message_spec import ReferenceModel, float32_message_bytes
from tfc.config import ExperimentConfig
from tfc.data.ood_pipeline import OodFn
from tfc.federated.client_faults import arrival
from tfc.federated.finalizer import all_finite, measurements_of
from tfc.federated.initial_weights import initial_values
from tfc.federated.learning_process import join
from tfc.federated.local_training import LocalTraining
from tfc.federated.method import Method
from tfc.federated.model_spec import CLIENT_SCALARS, PAYLOAD_TYPE, ModelFn, ModelSpec, plain_spec, reference_model
from tfc.federated.model_weights import read_weights
from tfc.federated.released_gradients import released_gradients
from tfc.federated.running_mean import Aggregate
from tfc.federated.server_optimizer import server_optimizer
from tfc.federated.templates import finalizer_process, stateless_client_work
from tfc.registries import AGGREGATORS

QUANTIZED_ABOVE = 20_000
"""`tff.learning.compression_aggregator` quantises tensors with more elements than this to 8 bits."""

AggregationFactory = Any
"""A `tff.aggregators.WeightedAggregationFactory` or `UnweightedAggregationFactory`; TFF's types can't be annotated."""


def quantized_bytes(sizes: tuple[int, ...]) -> int:
    """Returns the bytes of a client's update under TFF's 8-bit compression, by formula.

    Large tensors take a byte per value and two float32 bounds, others four bytes per value.

    Args:
        sizes: Number of values of each tensor.
    """
    large = [size for size in sizes if size > QUANTIZED_ABOVE]
    small = sum(sizes) - sum(large)
    return float32_message_bytes(small, CLIENT_SCALARS) + sum(large) + 8 * len(large)


def _update_type(spec: ModelSpec) -> tff.Type:
    return tff.to_type(tuple(tff.TensorType(np.float32, shape) for shape in spec.layout.other_shapes))


def _client_work(
    spec: ModelSpec, data_type: tff.Type, config: ExperimentConfig, client_bytes: int
) -> tff.learning.templates.ClientWorkProcess:
    """Clients' plain training; `result={<update=<float32[...],...>,update_weight=float32>}@CLIENTS`.

    A client that fails (see `build_client_update`) answers with zeros of weight 0.
    """

    @tff.tensorflow.computation(PAYLOAD_TYPE, spec.reference_type, data_type)
    @released_gradients()
    def client_update(payload, base, data):
        local_training = LocalTraining.of(spec, config.training, config.seed, config.rounds)

        @tf.function
        def work(payload: tf.Tensor, base: ReferenceModel, data: Any) -> Any:
            decoded, understood = graph_codec.decode(payload, spec.downlink, base)
            sent = decoded.message.others
            local = local_training.run((), sent, data)
            test = local_training.finish(local, data)
            found = arrival(local.context, local.examples.count, understood, test.finite, client_bytes)
            # Tensors don't get damaged: an answer that would be is refused at once.
            sound = found.accepted
            _, values = read_weights(local_training.model, spec.layout)
            update = tuple(tf.where(sound, new - old, 0.0) for new, old in zip(values, sent, strict=True))
            weight = tf.where(sound, test.scalars[0], 0.0)
            return collections.OrderedDict(update=update, weight=weight, by_fault=found.by_fault)

        return work(payload, reference_model(base), data)

    return stateless_client_work(client_update, spec.reference_type, data_type)


def _counting(
    factory: AggregationFactory, update_type: tff.Type, client_bytes: int
) -> tff.templates.AggregationProcess:
    """The factory's process, with bytes by formula and the number of answers beside its result."""
    if isinstance(factory, tff.aggregators.UnweightedAggregationFactory):
        factory = tff.aggregators.as_weighted_aggregator(factory)
    inner = factory.create(update_type, tff.TensorType(np.float32))

    @tff.tensorflow.computation(np.float32)
    def answered(weight):
        return tf.cast(weight > 0, tf.int32)

    @tff.tensorflow.computation(np.int32, inner.next.type_signature.result.measurements.member)
    def measure(clients, more):
        return collections.OrderedDict(uplink_bytes=tf.cast(clients, tf.int64) * client_bytes, aggregator=more)

    @tff.federated_computation(
        inner.initialize.type_signature.result,
        tff.FederatedType(update_type, tff.CLIENTS),
        tff.FederatedType(np.float32, tff.CLIENTS),
    )
    def next_(state, value, weight):
        output = inner.next(state, value, weight)
        clients = tff.federated_sum(tff.federated_map(answered, weight))
        return tff.templates.MeasuredProcessOutput(
            output.state,
            tff.federated_zip((output.result, clients)),
            tff.federated_map(measure, (clients, output.measurements)),
        )

    return tff.templates.AggregationProcess(inner.initialize, next_)


def _finalizer(spec: ModelSpec, config: ExperimentConfig) -> tff.learning.templates.FinalizerProcess:
    """The aggregated update moves the model; where nobody answered or a number is not finite, the model stays."""
    aggregated_type = tff.to_type((_update_type(spec), np.int32))
    optimizer = server_optimizer(spec, config)

    @tff.tensorflow.computation()
    def initial_state():
        return optimizer.initial_state()

    @tff.tensorflow.computation(initial_state.type_signature.result, spec.broadcast_type, aggregated_type)
    def add(state, broadcast, aggregated):
        update, clients = tuple(aggregated[0]), aggregated[1]
        old = tuple(broadcast.model.others)
        # Noise, or a bound on each weight's change, must not make a variance negative.
        changed = tuple(
            tf.maximum(before + change, 0.0) if variance else before + change
            for before, change, variance in zip(old, update, spec.relative_others, strict=True)
        )
        state, values = optimizer.step(state, old, changed, (clients > 0) & all_finite(update))
        zero = tf.constant(0.0)
        mean = Aggregate((), values, zero, zero, tf.cast(clients, tf.float32), clients)
        new = spec.broadcast(tf.constant(0), (), values, tf.zeros([0]), None)
        return state, new, measurements_of(mean, tf.constant(0), zero, zero)

    @tff.federated_computation()
    def initialize():
        return tff.federated_eval(initial_state, tff.SERVER)

    return finalizer_process(initialize, add)


def build_aggregated(
    model_fn: ModelFn,
    data_type: tff.Type,
    config: ExperimentConfig,
    factory: AggregationFactory,
    *,
    client_bytes: int | None = None,
) -> tff.learning.templates.LearningProcess:
    """Builds federated averaging of all weights through an aggregator of TFF's.

    Args:
        model_fn: Builds the Keras model; logits out, a layer named `embedding`.
        data_type: Type of one client's data, from `client_data_type`.
        config: Training settings and seed.
        factory: Such as `tff.learning.robust_aggregator()` or a `tff.aggregators.DifferentiallyPrivateFactory`; what it
            aggregates is each client's change of every weight, BatchNorm statistics included. An unweighted one counts
            clients that failed as changes of zero.
        client_bytes: What a client's update takes, by formula; None for float32.

    Returns:
        A process with types and metrics as `build_fedavg`'s; the aggregator's own measurements are beside
        `uplink_bytes`. Clients' validation accuracy and quality score stay with them: these metrics are 0.

    Examples:
        >>> import numpy as np
        >>> import tensorflow as tf
        >>> import tfc
        >>> def model_fn():
        ...     layers = tf.keras.layers
        ...     return tf.keras.Sequential(
        ...         [tf.keras.Input((8, 8, 1)), layers.Flatten(name="embedding"), layers.Dense(4)]
        ...     )
        >>> data_type = tfc.client_data_type((8, 8, 1), np.float32)
        >>> import tensorflow_federated as tff
        >>> factory = tff.learning.robust_aggregator()
        >>> process = tfc.build_aggregated(model_fn, data_type, tfc.load("demo", ["method=fedavg"]), factory)
        >>> len(process.get_model_weights.type_signature.result.trainable)
        2
    """
    spec = plain_spec(model_fn, config)
    first = initial_values(model_fn, config)
    if client_bytes is None:
        client_bytes = float32_message_bytes(sum(spec.downlink.other_sizes), CLIENT_SCALARS)

    @tff.tensorflow.computation()
    def initial_model():
        return spec.broadcast(tf.constant(0), (), tuple(first()), tf.zeros([0]), None)

    def restart(state: Any, trainable: tuple[tf.Tensor, ...], non_trainable: tuple[tf.Tensor, ...]) -> Any:
        new = spec.broadcast(tf.constant(0), (), (*trainable, *non_trainable), tf.zeros([0]), None)
        return new, server_optimizer(spec, config).forget(state.finalizer)

    return join(
        spec,
        initial_model,
        _client_work(spec, data_type, config, client_bytes),
        _counting(factory, _update_type(spec), client_bytes),
        _finalizer(spec, config),
        restart,
    )


def robust(config: ExperimentConfig) -> AggregationFactory:
    """Returns TFF's robust aggregator: it zeroes and clips updates by bounds that adapt.

    Source: Andrew, Thakkar, McMahan, Ramaswamy (arXiv 1905.03871).

    Args:
        config: Unused; every aggregator takes the same arguments.
    """
    return tff.learning.robust_aggregator()


def differentially_private(config: ExperimentConfig) -> AggregationFactory:
    """Returns TFF's aggregator that clips updates and adds Gaussian noise to their unweighted sum.

    Source: McMahan, Ramage, Talwar, Zhang (arXiv 1710.06963), with a fixed number of clients as divisor.

    Args:
        config: `server.noise_multiplier`, `server.update_norm_bound`, clients of a round.
    """
    return tff.aggregators.DifferentiallyPrivateFactory.gaussian_fixed(
        noise_multiplier=config.server.noise_multiplier,
        clients_per_round=config.clients_per_round or config.data.num_clients,
        clip=config.server.update_norm_bound,
    )


def _bounded(config: ExperimentConfig, factory: AggregationFactory) -> AggregationFactory:
    """The factory behind a bound on the norm of each client's change, where one is set."""
    bound = config.server.update_norm_bound
    return tff.aggregators.clipping_factory(bound, factory) if bound and config.aggregation != "dp" else factory


def build_through_aggregator(
    model_fn: ModelFn, data_type: tff.Type, config: ExperimentConfig
) -> tff.learning.templates.LearningProcess:
    """Builds federated averaging through the aggregator that `aggregation` names.

    Args:
        model_fn: Builds the Keras model; logits out, a layer named `embedding`.
        data_type: Type of one client's data, from `client_data_type`.
        config: `aggregation`, training settings and seed.

    Returns:
        As `build_aggregated`.
    """
    return build_aggregated(model_fn, data_type, config, _bounded(config, AGGREGATORS[config.aggregation](config)))


def build_tff8bit(
    model_fn: ModelFn,
    data_type: tff.Type,
    config: ExperimentConfig,
    ood_fn: OodFn | None = None,
) -> tff.learning.templates.LearningProcess:
    """Builds federated averaging through `tff.learning.compression_aggregator`, TFF's own 8-bit quantisation.

    Without its adaptive zeroing and clipping, whose bounds start far below the updates of a short run and follow over
    many rounds.

    Args:
        model_fn: Builds the Keras model; logits out, a layer named `embedding`.
        data_type: Type of one client's data, from `client_data_type`.
        config: Training settings and seed.
        ood_fn: Unused; every builder takes the same arguments.

    Returns:
        As `build_aggregated`.
    """
    sizes = plain_spec(model_fn, config).downlink.other_sizes
    factory = _bounded(config, tff.learning.compression_aggregator(zeroing=False, clipping=False))
    return build_aggregated(model_fn, data_type, config, factory, client_bytes=quantized_bytes(sizes))


TFF8BIT = Method(
    build_tff8bit, "8 bit", counts_by_formula=True, unseeded=lambda config: "TFF's quantisation rounds at random"
)
