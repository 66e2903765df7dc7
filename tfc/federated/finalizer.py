"""What the server makes of the clients' mean: FedAvg keeps it, FedCompress distils it into a clustered model."""

from __future__ import annotations

import collections
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_federated as tff

from tfc.clustering import controller
from tfc.clustering.centroids import grow, kmeans_plus_plus, lloyd, nearest_centroid
from tfc.clustering.controller import ControllerState
from tfc.clustering.weights import ClusteredKernels
from tfc.codec.palette import Palette
from tfc.config import ClusteringConfig, ServerConfig
from tfc.data.ood import OodFn
from tfc.distillation import distill
from tfc.federated.aggregator import PAYLOADS_TYPE, Aggregate, ClientPayloads, mean_of_payloads
from tfc.federated.global_model import Broadcast, GlobalModel, ModelSpec, assign, dequantized_kernels, read_weights
from tfc.seeds import Purpose, stateless

LLOYD_STEPS = 10


def _measurements(aggregate: Aggregate, num_clusters: tf.Tensor, distillation_loss: tf.Tensor) -> Any:
    return collections.OrderedDict(
        num_clusters=num_clusters,
        clients_ok=aggregate.clients,
        validation_accuracy=aggregate.accuracy,
        quality_score=aggregate.score,
        distillation_loss=distillation_loss,
    )


def build_averaging_finalizer(spec: ModelSpec) -> tff.learning.templates.FinalizerProcess:
    """Builds FedAvg's finalizer: the mean of the clients' models is the new model; without clients, the old one stays.

    Type signature of `next`: `(<state=<>@SERVER, broadcast=Broadcast@SERVER, update=ClientPayloads@SERVER> ->
    <state=<>@SERVER, result=Broadcast@SERVER, measurements=<num_clusters=int32,clients_ok=int32,
    validation_accuracy=float32,quality_score=float32,distillation_loss=float32>@SERVER>)`.

    Args:
        spec: The model; it has no clustered kernels.
    """

    @tff.tensorflow.computation(spec.broadcast_type, PAYLOADS_TYPE)
    def average(broadcast, collected):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        @tf.function
        def next_round(old: tuple[tf.Tensor, ...], collected: ClientPayloads) -> Any:
            aggregate = mean_of_payloads(spec, (), collected)
            others = tuple(
                tf.where(aggregate.weight > 0, new, before) for before, new in zip(old, aggregate.others, strict=True)
            )
            model = GlobalModel(tf.constant(0), (), others)
            return spec.broadcast(model, None), _measurements(aggregate, tf.constant(0), tf.constant(0.0))

        return next_round(tuple(broadcast.model.others), ClientPayloads(*collected))

    @tff.federated_computation()
    def initialize():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return tff.federated_value((), tff.SERVER)

    @tff.federated_computation(
        initialize.type_signature.result,
        tff.FederatedType(spec.broadcast_type, tff.SERVER),
        tff.FederatedType(PAYLOADS_TYPE, tff.SERVER),
    )
    def next_(state, broadcast, collected):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        new, measurements = tff.federated_map(average, (broadcast, collected))
        return tff.templates.MeasuredProcessOutput(state, new, measurements)

    return tff.learning.templates.FinalizerProcess(initialize, next_)


class CompressorState(NamedTuple):
    """What the compressing finalizer remembers.

    Attributes:
        round: int32 scalar, rounds finished.
        controller: State of the number of clusters.
        master: float32 kernels that updates add up in; empty where `server.master` is false.
    """

    round: Any
    controller: ControllerState
    master: tuple[Any, ...]


def initial_palettes(kernels: tuple[Any, ...], spec: ModelSpec, num_clusters: Any, seed: int) -> tuple[Palette, ...]:
    """Clusters kernels that have no codebook yet: k-means++, then Lloyd's iterations.

    Args:
        kernels: float32 tensors, one per clustered kernel.
        spec: The model.
        num_clusters: int32 scalar.
        seed: Seed of the run.
    """

    @tf.function  # turns the loops into loops of the graph; TFF's bare graphs don't
    def cluster() -> tuple[Palette, ...]:
        palettes = []
        for number, weights in enumerate(kernels):
            fold = stateless(seed, Purpose.CENTROIDS, 0, number)
            start = kmeans_plus_plus(weights, tf.convert_to_tensor(num_clusters), spec.max_clusters, fold)
            codebook = lloyd(weights, start, LLOYD_STEPS)
            palettes.append(Palette(codebook, tf.cast(nearest_centroid(weights, codebook), tf.uint8)))
        return tuple(palettes)

    palettes: tuple[Palette, ...] = cluster()
    return palettes


def _next_codebooks(
    spec: ModelSpec,
    clustering: ClusteringConfig,
    model: GlobalModel,
    latent: tuple[tf.Tensor, ...],
    num_clusters: tf.Tensor,
    round_number: tf.Tensor,
    seed: int,
) -> list[tf.Tensor]:
    """The student's first centroids: last round's, new ones in free slots, refined; or drawn anew (the paper's)."""
    codebooks = []
    for number, (palette, weights) in enumerate(zip(model.palettes, latent, strict=True)):
        fold = stateless(seed, Purpose.CENTROIDS, round_number, -1, number)
        if clustering.start == "kmeans++":
            start = kmeans_plus_plus(weights, num_clusters, spec.max_clusters, fold)
        else:
            start = grow(weights, palette.codebook, model.num_clusters, num_clusters, fold)
            start = lloyd(weights, start, LLOYD_STEPS)
        codebooks.append(start)
    return codebooks


def build_compressing_finalizer(
    spec: ModelSpec,
    initial_kernels: tff.Computation,
    ood_fn: OodFn,
    clustering: ClusteringConfig,
    server: ServerConfig,
    seed: int,
    *,
    clients_hold_base: bool,
) -> tff.learning.templates.FinalizerProcess:
    """Builds FedCompress's finalizer: controller, master, distillation into the clustered student, snap.

    Type signature of `next`: `(<state=CompressorState@SERVER, broadcast=Broadcast@SERVER,
    update=ClientPayloads@SERVER> -> <state=CompressorState@SERVER, result=Broadcast@SERVER,
    measurements=<num_clusters=int32,clients_ok=int32,validation_accuracy=float32,quality_score=float32,
    distillation_loss=float32>@SERVER>)`. A round without a client that counts changes nothing but the round's number.

    With `server.master`, float kernels stay at the server: they take over the mean of the clients' changes, and the
    student is a palettized copy of them. Otherwise (the paper) the student is a copy of the clients' mean.

    Args:
        spec: The model.
        initial_kernels: No-argument TFF computation that returns the kernels before clustering.
        ood_fn: Builds the unlabelled out-of-distribution pipeline.
        clustering: Start of the centroids and the controller's settings.
        server: Distillation's settings.
        seed: Seed of the run.
        clients_hold_base: Whether every client of a round has seen the broadcast before, so that the next one may be
            coded given it; else every broadcast is a key frame.
    """

    @tff.tensorflow.computation()
    def initial_controller():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return tf.constant(0), controller.initial_state(clustering)

    @tff.tensorflow.computation(initial_controller.type_signature.result, initial_kernels.type_signature.result)
    def initial_state(start, kernels):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return CompressorState(start[0], start[1], tuple(kernels) if server.master else ())

    state_type = initial_state.type_signature.result

    @tff.tensorflow.computation(state_type, spec.broadcast_type, PAYLOADS_TYPE)
    def compress(state, broadcast, collected):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        teacher, student = spec.model_fn(), spec.model_fn()
        clustered = ClusteredKernels(student, spec.layout, spec.max_clusters)

        def work(state: CompressorState, model: GlobalModel, aggregate: Aggregate) -> Any:
            round_number = state.round + 1
            control = controller.next_state(
                ControllerState(*state.controller), aggregate.accuracy, aggregate.score, clustering
            )
            latent = tuple(aggregate.kernels)
            if server.master:
                sent = dequantized_kernels(model.palettes)
                latent = tuple(
                    master + (mean - kernel)
                    for master, mean, kernel in zip(state.master, aggregate.kernels, sent, strict=True)
                )
            assign(teacher, spec.layout, aggregate.kernels, aggregate.others)
            assign(student, spec.layout, latent, aggregate.others)
            clustered.start(_next_codebooks(spec, clustering, model, latent, control.num_clusters, round_number, seed))
            loss = distill(teacher, student, clustered, ood_fn, server)
            palettes = clustered.snap()
            _, others = read_weights(student, spec.layout)
            base = tuple(model.palettes) if clients_hold_base else None
            next_broadcast = spec.broadcast(GlobalModel(control.num_clusters, palettes, others), base)
            return CompressorState(round_number, control, latent if server.master else ()), next_broadcast, loss

        @tf.function
        def next_round(state: CompressorState, broadcast: Broadcast, collected: ClientPayloads) -> Any:
            model = broadcast.model
            aggregate = mean_of_payloads(spec, tuple(model.palettes), collected)

            def stay() -> Any:
                # Sent again, it costs next to nothing to clients that hold it.
                again = spec.broadcast(model, tuple(model.palettes) if clients_hold_base else None)
                return tf.nest.map_structure(tf.identity, (state._replace(round=state.round + 1), again, 0.0))

            new_state, new_broadcast, loss = tf.cond(aggregate.weight > 0, lambda: work(state, model, aggregate), stay)
            measurements = _measurements(aggregate, new_broadcast.model.num_clusters, loss)
            return new_state, new_broadcast, measurements

        return next_round(state, broadcast, ClientPayloads(*collected))

    @tff.federated_computation()
    def initialize():  # type: ignore[no-untyped-def]  # noqa: ANN202
        start = tff.federated_eval(initial_controller, tff.SERVER)
        kernels = tff.federated_eval(initial_kernels, tff.SERVER)
        return tff.federated_map(initial_state, (start, kernels))

    @tff.federated_computation(
        initialize.type_signature.result,
        tff.FederatedType(spec.broadcast_type, tff.SERVER),
        tff.FederatedType(PAYLOADS_TYPE, tff.SERVER),
    )
    def next_(state, broadcast, collected):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        new_state, new_broadcast, measurements = tff.federated_map(compress, (state, broadcast, collected))
        return tff.templates.MeasuredProcessOutput(new_state, new_broadcast, measurements)

    return tff.learning.templates.FinalizerProcess(initialize, next_)
