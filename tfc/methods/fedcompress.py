"""The federated methods: each builder returns a `tff.learning.templates.LearningProcess`.

```
distributor ──payload──▶ client work ──payload──▶ aggregator ──bytes─▶ finalizer
     ▲                                                                    │
     └─────────────────────── Broadcast (bytes) ◀─────────────────────────┘
```

All methods share distributor and aggregator. FedAvg and FedCompress share client work; what differs is which kernels
are clustered (for FedAvg none) and what the finalizer makes of the mean. Methods with another coded form of an update
are in `tfc.federated.update_coding`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_federated as tff

from tfc.clustering import rate_controller
from tfc.config import ExperimentConfig
from tfc.data.ood import OodFn
from tfc.federated.aggregator import build_aggregator
from tfc.federated.client_work import build_client_work
from tfc.federated.finalizer import (
    build_averaging_finalizer,
    build_clustered_averaging_finalizer,
    build_compressing_finalizer,
    initial_palettes,
)
from tfc.federated.learning_process import (
    Restart,
    clustered_spec,
    full_participation,
    initial_values,
    initial_weights,
    join,
)
from tfc.federated.model_spec import Broadcast, ModelFn, ModelSpec
from tfc.federated.update_coding import build_coded, eden_spec, fedzip_spec, stc_spec
from tfc.methods.tff_aggregators import build_tff8bit, build_through_aggregator

REPLAYABLE = ("fedavg", "fedcompress")
"""Methods whose messages `tfc.replay` reads."""


def counted_by_formula(config: ExperimentConfig) -> bool:
    """Returns whether the uplink is counted by a formula: tensors, not payloads, cross the boundary.

    Args:
        config: Method and aggregation.
    """
    return config.method == "tff8bit" or config.aggregation != "mean"


def unrecordable(config: ExperimentConfig) -> str:
    """Returns why a run's payloads can't be recorded for `tfc.replay`; an empty text where they can.

    Args:
        config: The experiment.
    """
    faults = config.faults
    reasons = {
        f"method {config.method}: 'tfc replay' knows {', '.join(REPLAYABLE)}": config.method not in REPLAYABLE,
        f"aggregation {config.aggregation}: tensors travel, not payloads": config.aggregation != "mean",
        "server.update_norm_bound: the mean is not that of the answers": config.server.update_norm_bound > 0,
        "faults.corrupt: damaged answers can't be played again": faults.corrupt > 0,
        "faults.min_clients: a replay knows no repeated rounds": faults.min_clients > 0,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def first_price(config: ExperimentConfig) -> tf.Tensor:
    """Returns the price of a bit in the first round, float32 scalar.

    Args:
        config: Number of rounds and settings of the communication.
    """
    communication = config.communication
    if communication.target_ratio:
        return tf.constant(communication.rate_weight)
    return rate_controller.scheduled(communication, config.rounds, tf.constant(1))


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


def _restart(spec: ModelSpec, seed: int) -> Restart:
    def restart(state: Any, trainable: tuple[tf.Tensor, ...], non_trainable: tuple[tf.Tensor, ...]) -> Any:
        old = state.global_model_weights.model
        kernels, others = spec.layout.split(trainable, non_trainable)
        if not spec.palettized_broadcast:
            clusters = tf.cast(state.global_model_weights.control[0], tf.int32)
            return spec.float_broadcast(kernels, others, clusters), state.finalizer
        new = _key_frame(spec, kernels, others, old.num_clusters, state.global_model_weights.control, seed)
        master = getattr(state.finalizer, "master", ())
        return new, state.finalizer._replace(master=kernels) if master else state.finalizer

    return restart


def process_spec(model_fn: ModelFn, config: ExperimentConfig) -> ModelSpec:
    """Returns what the configured method knows of the model, the form of its messages above all.

    Args:
        model_fn: Builds the Keras model.
        config: Names a method of `REPLAYABLE`.
    """
    if config.method == "fedavg":
        return ModelSpec.of(model_fn, "none", 1, full_participation=full_participation(config), from_seed=False)
    return clustered_spec(model_fn, config)


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
    With another `aggregation` than `mean` the updates go through an aggregator of TFF's, see `build_aggregated`.

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
    if config.aggregation != "mean":
        return build_through_aggregator(model_fn, data_type, config)
    spec = ModelSpec.of(model_fn, "none", 1, full_participation=full_participation(config), from_seed=False)
    initial = initial_values(model_fn, config)

    @tff.tensorflow.computation()
    def initial_model():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return _key_frame(spec, (), tuple(initial()), 0, tf.zeros([0]), config.seed)

    return join(
        spec,
        initial_model,
        build_client_work(spec, data_type, config.training, config.clustering.start, config.seed),
        build_aggregator(record_payloads=record_payloads),
        build_averaging_finalizer(spec, norm_bound=config.server.update_norm_bound, record_payloads=record_payloads),
        _restart(spec, config.seed),
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
    `clustering.layers = "conv"` it is the paper's, and with `server.compression = false`, too, its arm without
    server-side compression; the defaults palettize updates in place of weights, add a float
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
    spec = clustered_spec(model_fn, config)
    if not spec.layout.kernels:
        raise ValueError(
            f"the model has no kernel of kind {config.clustering.layers!r} with more than "
            f"{2 * config.clustering.max_clusters} weights: nothing to cluster"
        )
    initial = initial_weights(spec, config.seed)
    clusters = config.clustering.min_clusters

    @tff.tensorflow.computation()
    def initial_kernels():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return initial()[0]

    @tff.tensorflow.computation()
    def initial_model():  # type: ignore[no-untyped-def]  # noqa: ANN202
        if not spec.palettized_broadcast:
            kernels, others = initial()
            return spec.float_broadcast(tuple(kernels), tuple(others), tf.constant(clusters))
        control = tf.stack([first_price(config)])
        if spec.initial_others:
            return spec.first_broadcast(config.seed, tf.constant(clusters), control)
        kernels, others = initial()
        return _key_frame(spec, tuple(kernels), tuple(others), clusters, control, config.seed)

    aggregator = build_aggregator(record_payloads=record_payloads)
    client_work = build_client_work(spec, data_type, config.training, config.clustering.start, config.seed)
    if not config.server.compression:
        averaging = build_clustered_averaging_finalizer(
            spec, config.clustering, norm_bound=config.server.update_norm_bound, record_payloads=record_payloads
        )
        return join(spec, initial_model, client_work, aggregator, averaging, _restart(spec, config.seed))

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
    return join(spec, initial_model, client_work, aggregator, finalizer, _restart(spec, config.seed))


METHODS: dict[str, Callable[..., tff.learning.templates.LearningProcess]] = {
    "eden": functools.partial(build_coded, eden_spec),
    "fedavg": build_fedavg,
    "fedcompress": build_fedcompress,
    "fedzip": functools.partial(build_coded, fedzip_spec),
    "stc": functools.partial(build_coded, stc_spec),
    "tff8bit": build_tff8bit,
}
"""Federated methods by name: (model_fn, data_type, config, ood_fn) -> LearningProcess."""
