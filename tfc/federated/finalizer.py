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
from tfc.federated.aggregator import Aggregate
from tfc.federated.global_model import GlobalModel, ModelSpec, assign, dequantized_kernels, read_weights
from tfc.seeds import Purpose, stateless

LLOYD_STEPS = 10


def build_averaging_finalizer(spec: ModelSpec, aggregate_type: tff.Type) -> tff.learning.templates.FinalizerProcess:
    """Builds FedAvg's finalizer: the mean of the clients' models is the new model; without clients, the old one stays.

    Type signature of `next`: `(<state=<>@SERVER, model=GlobalModel@SERVER, update=Aggregate@SERVER> ->
    <state=<>@SERVER, result=GlobalModel@SERVER, measurements=<num_clusters=int32>@SERVER>)`.

    Args:
        spec: The model; it has no clustered kernels.
        aggregate_type: Type of the aggregator's result.
    """

    @tff.tensorflow.computation(spec.global_model_type, aggregate_type)
    def average(model, aggregate):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        others = tuple(
            tf.where(aggregate.weight > 0, new, old) for old, new in zip(model.others, aggregate.others, strict=True)
        )
        return GlobalModel(model.num_clusters, (), others)

    @tff.federated_computation()
    def initialize():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return tff.federated_value((), tff.SERVER)

    @tff.federated_computation(
        initialize.type_signature.result,
        tff.FederatedType(spec.global_model_type, tff.SERVER),
        tff.FederatedType(aggregate_type, tff.SERVER),
    )
    def next_(state, model, aggregate):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        measurements = tff.federated_value(collections.OrderedDict(num_clusters=0), tff.SERVER)
        return tff.templates.MeasuredProcessOutput(state, tff.federated_map(average, (model, aggregate)), measurements)

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
    aggregate_type: tff.Type,
    initial_kernels: tff.Computation,
    ood_fn: OodFn,
    clustering: ClusteringConfig,
    server: ServerConfig,
    seed: int,
) -> tff.learning.templates.FinalizerProcess:
    """Builds FedCompress's finalizer: controller, master, distillation into the clustered student, snap.

    Type signature of `next`: `(<state=CompressorState@SERVER, model=GlobalModel@SERVER, update=Aggregate@SERVER> ->
    <state=CompressorState@SERVER, result=GlobalModel@SERVER,
    measurements=<num_clusters=int32,distillation_loss=float32>@SERVER>)`. A round without a client that counts changes
    nothing but the round's number.

    With `server.master`, float kernels stay at the server: they take over the mean of the clients' changes, and the
    student is a palettized copy of them. Otherwise (the paper) the student is a copy of the clients' mean.

    Args:
        spec: The model.
        aggregate_type: Type of the aggregator's result.
        initial_kernels: No-argument TFF computation that returns the kernels before clustering.
        ood_fn: Builds the unlabelled out-of-distribution pipeline.
        clustering: Start of the centroids and the controller's settings.
        server: Distillation's settings.
        seed: Seed of the run.
    """

    @tff.tensorflow.computation()
    def initial_controller():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return tf.constant(0), controller.initial_state(clustering)

    @tff.tensorflow.computation(initial_controller.type_signature.result, initial_kernels.type_signature.result)
    def initial_state(start, kernels):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return CompressorState(start[0], start[1], tuple(kernels) if server.master else ())

    state_type = initial_state.type_signature.result

    @tff.tensorflow.computation(state_type, spec.global_model_type, aggregate_type)
    def compress(state, model, aggregate):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
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
            next_model = GlobalModel(control.num_clusters, palettes, others)
            return CompressorState(round_number, control, latent if server.master else ()), next_model, loss

        @tf.function
        def next_round(state: CompressorState, model: GlobalModel, aggregate: Aggregate) -> Any:
            unchanged = state._replace(round=state.round + 1), model, tf.constant(0.0)
            return tf.cond(
                aggregate.weight > 0,
                lambda: work(state, model, aggregate),
                lambda: tf.nest.map_structure(tf.identity, unchanged),
            )

        new_state, new_model, loss = next_round(state, model, aggregate)
        measurements = collections.OrderedDict(num_clusters=new_model.num_clusters, distillation_loss=loss)
        return new_state, new_model, measurements

    @tff.federated_computation()
    def initialize():  # type: ignore[no-untyped-def]  # noqa: ANN202
        start = tff.federated_eval(initial_controller, tff.SERVER)
        kernels = tff.federated_eval(initial_kernels, tff.SERVER)
        return tff.federated_map(initial_state, (start, kernels))

    @tff.federated_computation(
        initialize.type_signature.result,
        tff.FederatedType(spec.global_model_type, tff.SERVER),
        tff.FederatedType(aggregate_type, tff.SERVER),
    )
    def next_(state, model, aggregate):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        new_state, new_model, measurements = tff.federated_map(compress, (state, model, aggregate))
        return tff.templates.MeasuredProcessOutput(new_state, new_model, measurements)

    return tff.learning.templates.FinalizerProcess(initialize, next_)
