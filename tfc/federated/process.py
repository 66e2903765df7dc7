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

import tensorflow as tf
import tensorflow_federated as tff

from tfc.config import ExperimentConfig
from tfc.data.ood import OodFn
from tfc.federated.aggregator import build_aggregator
from tfc.federated.client_work import build_client_work
from tfc.federated.distributor import build_distributor
from tfc.federated.finalizer import build_averaging_finalizer, build_compressing_finalizer, initial_palettes
from tfc.federated.global_model import Broadcast, GlobalModel, ModelFn, ModelSpec, read_weights, to_model_weights


def _initial_weights(spec: ModelSpec) -> tff.Computation:
    """A no-argument computation that returns (kernels, others) of a freshly built model."""

    @tff.tensorflow.computation()
    def initial():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return read_weights(spec.model_fn(), spec.layout)

    return initial


def _first_broadcast(spec: ModelSpec, model: GlobalModel) -> Broadcast:
    """A key frame: nobody holds anything yet."""

    @tf.function
    def encode() -> Broadcast:
        return spec.broadcast(model, None)

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
        palettes = initial_palettes(kernels, spec, old.num_clusters, seed) if kernels else ()
        new = _first_broadcast(spec, GlobalModel(old.num_clusters, palettes, others))
        master = getattr(state.finalizer, "master", ())
        finalizer = state.finalizer._replace(master=kernels) if master else state.finalizer
        return state._replace(global_model_weights=new, finalizer=finalizer)

    # Keras rewires the bases of its layer classes each time a model is built in a bare graph, as TFF's tracing does,
    # and the caller's own models stop working. Building the same classes once more outside of a graph wires them back.
    spec.model_fn()
    return tff.learning.templates.LearningProcess(
        composed.initialize, composed.next, get_model_weights, set_model_weights
    )


def build_fedavg(
    model_fn: ModelFn, data_type: tff.Type, config: ExperimentConfig, ood_fn: OodFn | None = None
) -> tff.learning.templates.LearningProcess:
    """Builds federated averaging of all weights, BatchNorm statistics included.

    Source: McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data" (AISTATS 2017,
    arXiv 1602.05629), Algorithm 1. (TFF's own `build_weighted_fed_avg` leaves BatchNorm statistics at their start.)

    Args:
        model_fn: Builds the Keras model; logits out, a layer named `embedding`.
        data_type: Type of one client's data, from `client_data_type`.
        config: Training settings and seed.
        ood_fn: Unused; every builder takes the same arguments.

    Returns:
        A process with `next: (<S@SERVER, {<train,validation,context>}@CLIENTS> -> <state=S@SERVER,metrics@SERVER>)`;
        metrics: distributor.downlink_bytes, client_work.clients_failed, aggregator.uplink_bytes,
        finalizer.{num_clusters, clients_ok, validation_accuracy, quality_score, distillation_loss}.
    """
    spec = ModelSpec.of(model_fn, "none", 1)
    initial = _initial_weights(spec)

    @tff.tensorflow.computation()
    def initial_model():  # type: ignore[no-untyped-def]  # noqa: ANN202
        _, others = initial()
        return _first_broadcast(spec, GlobalModel(tf.constant(0), (), tuple(others)))

    return _join(
        spec,
        initial_model,
        build_client_work(spec, data_type, config.training, config.clustering.start, config.seed),
        build_aggregator(),
        build_averaging_finalizer(spec),
        config.seed,
    )


def build_fedcompress(
    model_fn: ModelFn, data_type: tff.Type, config: ExperimentConfig, ood_fn: OodFn | None = None
) -> tff.learning.templates.LearningProcess:
    """Builds FedCompress: weight clustering at clients, server-side distillation, a number of clusters that adapts.

    Source: Tsouvalas, Saeed, Ozcelebi, Meratnia, "Communication-Efficient Federated Learning through Adaptive Weight
    Clustering and Server-Side Distillation" (ICASSP 2024, doi 10.1109/ICASSP48485.2024.10447174). With
    `server.master = false`, `clustering.start = "kmeans++"` and `clustering.layers = "conv"` it is the paper's; the
    defaults add a float master at the server, a warm start of the centroids, and all kernels.

    Args:
        model_fn: Builds the Keras model; logits out, a layer named `embedding`.
        data_type: Type of one client's data, from `client_data_type`.
        config: Settings and seed.
        ood_fn: Builds the unlabelled out-of-distribution pipeline.

    Returns:
        A process with `next: (<S@SERVER, {<train,validation,context>}@CLIENTS> -> <state=S@SERVER,metrics@SERVER>)`;
        metrics as `build_fedavg`'s. Broadcasts are coded given the one before where all clients take part in every
        round, else each is a key frame.

    Raises:
        ValueError: If `ood_fn` is missing, or the model has no kernel large enough to cluster.
    """
    if ood_fn is None:
        raise ValueError("FedCompress distils on out-of-distribution data: ood_fn must build a pipeline")
    spec = ModelSpec.of(model_fn, config.clustering.layers, config.clustering.max_clusters)
    if not spec.layout.kernels:
        raise ValueError(
            f"the model has no kernel of kind {config.clustering.layers!r} with more than "
            f"{2 * config.clustering.max_clusters} weights: nothing to cluster"
        )
    initial = _initial_weights(spec)

    @tff.tensorflow.computation()
    def initial_kernels():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return initial()[0]

    @tff.tensorflow.computation()
    def initial_model():  # type: ignore[no-untyped-def]  # noqa: ANN202
        kernels, others = initial()
        palettes = initial_palettes(tuple(kernels), spec, config.clustering.min_clusters, config.seed)
        model = GlobalModel(tf.constant(config.clustering.min_clusters), palettes, tuple(others))
        return _first_broadcast(spec, model)

    finalizer = build_compressing_finalizer(
        spec,
        initial_kernels,
        ood_fn,
        config.clustering,
        config.server,
        config.seed,
        clients_hold_base=config.clients_per_round in (0, config.data.num_clients),
    )
    client_work = build_client_work(spec, data_type, config.training, config.clustering.start, config.seed)
    return _join(spec, initial_model, client_work, build_aggregator(), finalizer, config.seed)


METHODS: dict[str, Callable[..., tff.learning.templates.LearningProcess]] = {
    "fedavg": build_fedavg,
    "fedcompress": build_fedcompress,
}
"""Federated methods by name: (model_fn, data_type, config, ood_fn) -> LearningProcess."""
