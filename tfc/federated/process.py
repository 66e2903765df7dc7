"""The federated methods: each builder returns a `tff.learning.templates.LearningProcess`.

```
distributor ──payload──▶ client work ──payload──▶ aggregator ──bytes─▶ finalizer
     ▲                                                                    │
     └─────────────────────── Broadcast (bytes) ◀─────────────────────────┘
```

All methods share distributor, client work and aggregator; what differs is which kernels are clustered (for FedAvg none)
and what the finalizer makes of the mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_federated as tff

from tfc.codec.graph import seed_model
from tfc.config import ExperimentConfig
from tfc.data.ood import OodFn
from tfc.federated import rate_controller
from tfc.federated.aggregator import build_aggregator
from tfc.federated.client_work import build_client_work
from tfc.federated.distributor import build_distributor
from tfc.federated.finalizer import build_averaging_finalizer, build_compressing_finalizer, initial_palettes
from tfc.federated.global_model import Broadcast, ModelFn, ModelSpec, read_weights, to_model_weights


def first_price(config: ExperimentConfig) -> tf.Tensor:
    """Returns the price of a bit in the first round, float32 scalar.

    Args:
        config: Number of rounds and settings of the communication.
    """
    communication = config.communication
    if communication.target_ratio:
        return tf.constant(communication.rate_weight)
    return rate_controller.scheduled(communication, config.rounds, tf.constant(1))


def _own_weights(spec: ModelSpec) -> tff.Computation:
    """A no-argument computation that returns (kernels, others) of a freshly built model."""

    @tff.tensorflow.computation()
    def initial():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return read_weights(spec.model_fn(), spec.layout)

    return initial


def _seed_weights(spec: ModelSpec, seed: int) -> tff.Computation:
    """A no-argument computation that returns (kernels, others) expanded from a seed."""

    @tff.tensorflow.computation()
    def initial():  # type: ignore[no-untyped-def]  # noqa: ANN202
        number = tf.constant(seed, tf.int64)
        kernels = seed_model.initial_kernels(number, spec.downlink)
        return kernels, seed_model.initial_others(number, spec.downlink)

    return initial


def _initial_weights(spec: ModelSpec, seed: int) -> tff.Computation:
    return _seed_weights(spec, seed) if spec.initial_others else _own_weights(spec)


def _key_frame(
    spec: ModelSpec,
    kernels: tuple[tf.Tensor, ...],
    others: tuple[tf.Tensor, ...],
    clusters: Any,
    control: Any,
    seed: int,
) -> Broadcast:
    """A broadcast to clients that hold nothing yet."""

    @tf.function
    def encode() -> Broadcast:
        palettes = initial_palettes(kernels, spec, clusters, seed) if kernels else ()
        return spec.broadcast(tf.convert_to_tensor(clusters), palettes, others, control, None)

    return encode()


def _join(
    spec: ModelSpec,
    initial_model: tff.Computation,
    client_work: tff.learning.templates.ClientWorkProcess,
    aggregator: tff.templates.AggregationProcess,
    finalizer: tff.learning.templates.FinalizerProcess,
    seed: int,
) -> tff.learning.templates.LearningProcess:
    """Joins the parts; `get_model_weights` and `set_model_weights` speak of plain weights, as TFF's users expect."""
    composed = tff.learning.templates.compose_learning_process(
        initial_model, build_distributor(spec), client_work, aggregator, finalizer
    )
    state_type = composed.initialize.type_signature.result.member

    @tff.tensorflow.computation(state_type)
    def get_model_weights(state):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return to_model_weights(spec.layout, state.global_model_weights.model)

    @tff.tensorflow.computation(state_type, get_model_weights.type_signature.result)
    def set_model_weights(state, weights):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        old = state.global_model_weights.model
        kernels, others = spec.layout.split(tuple(weights.trainable), tuple(weights.non_trainable))
        control = state.global_model_weights.control
        new = _key_frame(spec, kernels, others, old.num_clusters, control, seed)
        master = getattr(state.finalizer, "master", ())
        finalizer = state.finalizer._replace(master=kernels) if master else state.finalizer
        return state._replace(global_model_weights=new, finalizer=finalizer)

    # Keras rewires the bases of its layer classes each time a model is built in a bare graph, as TFF's tracing does,
    # and the caller's own models stop working. Building the same classes once more outside of a graph wires them back.
    spec.model_fn()
    return tff.learning.templates.LearningProcess(
        composed.initialize, composed.next, get_model_weights, set_model_weights
    )


def process_spec(model_fn: ModelFn, config: ExperimentConfig) -> ModelSpec:
    """Returns what the configured method knows of the model, the form of its messages above all.

    Args:
        model_fn: Builds the Keras model.
        config: Names the method.
    """
    if config.method == "fedavg":
        return ModelSpec.of(model_fn, "none", 1, everyone=_everyone(config), from_seed=False)
    return _clustered_spec(model_fn, config)


def _everyone(config: ExperimentConfig) -> bool:
    return config.clients_per_round in (0, config.data.num_clients)


def _clustered_spec(model_fn: ModelFn, config: ExperimentConfig) -> ModelSpec:
    return ModelSpec.of(
        model_fn,
        config.clustering.layers,
        config.clustering.max_clusters,
        uplink_mode=config.communication.uplink,
        update_levels=config.communication.levels,
        everyone=_everyone(config),
        from_seed=config.model.initial == "seed",
    )


def build_fedavg(
    model_fn: ModelFn,
    data_type: tff.Type,
    config: ExperimentConfig,
    ood_fn: OodFn | None = None,
    *,
    record_payloads: bool = False,
) -> tff.learning.templates.LearningProcess:
    """Builds federated averaging of all weights, BatchNorm statistics included.

    Source: McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data" (AISTATS 2017,
    arXiv 1602.05629), Algorithm 1. (TFF's own `build_weighted_fed_avg` leaves BatchNorm statistics at their start.)

    Args:
        model_fn: Builds the Keras model; logits out, a layer named `embedding`.
        data_type: Type of one client's data, from `client_data_type`.
        config: Training settings and seed.
        ood_fn: Unused; every builder takes the same arguments.
        record_payloads: Whether the metrics also hold the clients' payloads.

    Returns:
        A process with `next: (<S@SERVER, {<train,validation,context>}@CLIENTS> -> <state=S@SERVER,metrics@SERVER>)`;
        metrics: distributor.{downlink_bytes, clients, payload_bytes, key_frame_bytes}, client_work.clients_failed,
        aggregator.uplink_bytes, finalizer.{num_clusters, clients_ok, validation_accuracy, quality_score,
        distillation_loss, rate_weight}.
    """
    spec = ModelSpec.of(model_fn, "none", 1, everyone=_everyone(config), from_seed=False)
    # The same first weights as FedCompress has: expanded kernel by kernel of the layout that is clustered there.
    start = _clustered_spec(model_fn, config)
    initial = _initial_weights(start, config.seed)

    @tff.tensorflow.computation()
    def initial_model():  # type: ignore[no-untyped-def]  # noqa: ANN202
        kernels, others = initial()
        trainable, non_trainable = start.layout.join(tuple(kernels), tuple(others))
        return _key_frame(spec, (), (*trainable, *non_trainable), 0, tf.zeros([0]), config.seed)

    return _join(
        spec,
        initial_model,
        build_client_work(spec, data_type, config.training, config.clustering.start, config.seed),
        build_aggregator(record_payloads=record_payloads),
        build_averaging_finalizer(spec, record_payloads=record_payloads),
        config.seed,
    )


def build_fedcompress(
    model_fn: ModelFn,
    data_type: tff.Type,
    config: ExperimentConfig,
    ood_fn: OodFn | None = None,
    *,
    record_payloads: bool = False,
) -> tff.learning.templates.LearningProcess:
    """Builds FedCompress: weight clustering at clients, server-side distillation, a number of clusters that adapts.

    Source: Tsouvalas, Saeed, Ozcelebi, Meratnia, "Communication-Efficient Federated Learning through Adaptive Weight
    Clustering and Server-Side Distillation" (ICASSP 2024, doi 10.1109/ICASSP48485.2024.10447174). With
    `communication.uplink = "weights"`, `server.master = false`, `clustering.start = "kmeans++"` and
    `clustering.layers = "conv"` it is the paper's; the defaults palettize updates in place of weights, add a float
    master at the server, and cluster all kernels.

    Args:
        model_fn: Builds the Keras model; logits out, a layer named `embedding`.
        data_type: Type of one client's data, from `client_data_type`.
        config: Settings and seed.
        ood_fn: Builds the unlabelled out-of-distribution pipeline.
        record_payloads: Whether the metrics also hold the clients' payloads and what they amount to.

    Returns:
        A process with `next: (<S@SERVER, {<train,validation,context>}@CLIENTS> -> <state=S@SERVER,metrics@SERVER>)`;
        metrics as `build_fedavg`'s. With `model.initial = "seed"` the first weights are expanded from the seed (Glorot
        uniform), not `model_fn`'s; later broadcasts are coded given the one before.

    Raises:
        ValueError: If `ood_fn` is missing, or the model has no kernel large enough to cluster.
    """
    if ood_fn is None:
        raise ValueError("FedCompress distils on out-of-distribution data: ood_fn must build a pipeline")
    spec = _clustered_spec(model_fn, config)
    if not spec.layout.kernels:
        raise ValueError(
            f"the model has no kernel of kind {config.clustering.layers!r} with more than "
            f"{2 * config.clustering.max_clusters} weights: nothing to cluster"
        )
    initial = _initial_weights(spec, config.seed)
    clusters = config.clustering.min_clusters

    @tff.tensorflow.computation()
    def initial_kernels():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return initial()[0]

    @tff.tensorflow.computation()
    def initial_model():  # type: ignore[no-untyped-def]  # noqa: ANN202
        control = tf.stack([first_price(config)])
        if spec.initial_others:
            return spec.first_broadcast(config.seed, tf.constant(clusters), control)
        kernels, others = initial()
        return _key_frame(spec, tuple(kernels), tuple(others), clusters, control, config.seed)

    finalizer = build_compressing_finalizer(
        spec,
        initial_kernels,
        ood_fn,
        config.clustering,
        config.server,
        config.communication,
        config.seed,
        rounds=config.rounds,
        record_payloads=record_payloads,
    )
    client_work = build_client_work(spec, data_type, config.training, config.clustering.start, config.seed)
    return _join(
        spec, initial_model, client_work, build_aggregator(record_payloads=record_payloads), finalizer, config.seed
    )


METHODS: dict[str, Callable[..., tff.learning.templates.LearningProcess]] = {
    "fedavg": build_fedavg,
    "fedcompress": build_fedcompress,
}
"""Federated methods by name: (model_fn, data_type, config, ood_fn) -> LearningProcess."""
