"""What the server makes of the clients' mean: FedAvg keeps it, FedCompress distils it into a clustered model."""

from __future__ import annotations

import collections
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_federated as tff

from tfc.clustering import controller, rate_controller
from tfc.clustering.centroids import grow, kmeans_plus_plus, lloyd, nearest_centroid
from tfc.clustering.controller import ControllerState
from tfc.clustering.rate_controller import RateState
from tfc.clustering.weights import ClusteredKernels
from tfc.codec.message_spec import ReferenceModel
from tfc.codec.palette import Palette
from tfc.config import ClusteringConfig, CommunicationConfig, ServerConfig
from tfc.data.ood import OodFn
from tfc.federated.aggregator import PAYLOADS_TYPE, Aggregate, ClientPayloads, mean_of_payloads
from tfc.federated.model_spec import (
    CLIENT_SCALARS,
    Broadcast,
    ModelSpec,
    assign,
    dequantized_kernels,
    read_weights,
    reference_model,
)
from tfc.federated.templates import finalizer_process, no_state
from tfc.methods.distillation import distill
from tfc.seeds import Purpose, stateless

LLOYD_STEPS = 10


def measurements_of(
    aggregate: Aggregate, num_clusters: tf.Tensor, distillation_loss: tf.Tensor, rate_weight: tf.Tensor
) -> collections.OrderedDict[str, Any]:
    """Returns what every method's finalizer measures.

    Args:
        aggregate: What the clients said.
        num_clusters: int32 scalar, clusters of the next broadcast; 0 without any.
        distillation_loss: float32 scalar.
        rate_weight: float32 scalar, price of a bit in the next broadcast.
    """
    return collections.OrderedDict(
        num_clusters=num_clusters,
        clients_ok=aggregate.clients,
        validation_accuracy=aggregate.accuracy,
        quality_score=aggregate.score,
        distillation_loss=distillation_loss,
        rate_weight=rate_weight,
    )


def build_averaging_finalizer(
    spec: ModelSpec, *, norm_bound: float = 0.0, record_payloads: bool = False
) -> tff.learning.templates.FinalizerProcess:
    """Builds FedAvg's finalizer: the mean of the clients' models is the new model; without clients, the old one stays.

    Type signature of `next`: `(<state=<>@SERVER, broadcast=Broadcast@SERVER, update=ClientPayloads@SERVER> ->
    <state=<>@SERVER, result=Broadcast@SERVER, measurements=<num_clusters=int32,clients_ok=int32,
    validation_accuracy=float32,quality_score=float32,distillation_loss=float32,rate_weight=float32>@SERVER>)`.

    Args:
        spec: The model; it has no clustered kernels.
        norm_bound: Largest L2 norm of a client's change; 0 for no bound.
        record_payloads: Whether the measurements also hold `average=<kernels,others>`, what the payloads amount to.
    """

    @tff.tensorflow.computation((), spec.broadcast_type, PAYLOADS_TYPE)
    def average(state, broadcast, collected):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        @tf.function
        def next_round(old: tuple[tf.Tensor, ...], collected: ClientPayloads) -> Any:
            nothing = ReferenceModel(tf.constant(0), (), (), ())
            aggregate = mean_of_payloads(spec, nothing, collected, old, norm_bound)
            others = tuple(
                tf.where(aggregate.weight > 0, new, before) for before, new in zip(old, aggregate.others, strict=True)
            )
            new = spec.broadcast(tf.constant(0), (), others, tf.zeros([0]), None)
            measurements = measurements_of(aggregate, tf.constant(0), tf.constant(0.0), tf.constant(0.0))
            if record_payloads:
                measurements["average"] = (aggregate.kernels, aggregate.others)
            return new, measurements

        return state, *next_round(tuple(broadcast.model.others), ClientPayloads(*collected))

    return finalizer_process(no_state, average)


def all_finite(tensors: Any) -> tf.Tensor:
    """Whether every number of a structure of float tensors is finite."""
    parts = [tf.reduce_all(tf.math.is_finite(tensor)) for tensor in tf.nest.flatten(tensors)]
    return tf.reduce_all(tf.stack(parts))


def build_clustered_averaging_finalizer(
    spec: ModelSpec, clustering: ClusteringConfig, *, norm_bound: float = 0.0, record_payloads: bool = False
) -> tff.learning.templates.FinalizerProcess:
    """Builds the finalizer of FedCompress without server-side compression: the mean goes down as float32.

    Type signature of `next`: `(<state=ControllerState@SERVER, broadcast=Broadcast@SERVER,
    update=ClientPayloads@SERVER> -> <state=ControllerState@SERVER, result=Broadcast@SERVER, measurements as
    `build_averaging_finalizer`'s>)`. The number of clusters that clients use grows as in FedCompress.

    Args:
        spec: The model; its broadcasts are not palettized.
        clustering: The controller's settings.
        norm_bound: Largest L2 norm of a client's change; 0 for no bound.
        record_payloads: Whether the measurements also hold `average=<kernels,others>`, what the payloads amount to.
    """

    @tff.tensorflow.computation()
    def initial_state():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return controller.initial_state(clustering)

    @tff.tensorflow.computation(initial_state.type_signature.result, spec.broadcast_type, PAYLOADS_TYPE)
    def average(state, broadcast, collected):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        @tf.function
        def next_round(state: ControllerState, model: ReferenceModel, collected: ClientPayloads) -> Any:
            old_kernels, old_others = spec.weights_of(model)
            aggregate = mean_of_payloads(spec, model, collected, (*old_kernels, *old_others), norm_bound)
            usable = (aggregate.weight > 0) & all_finite((aggregate.kernels, aggregate.others))
            kernels, others = (
                tuple(tf.where(usable, new, old) for new, old in zip(*parts, strict=True))
                for parts in ((aggregate.kernels, old_kernels), (aggregate.others, old_others))
            )
            grown = controller.next_state(state, aggregate.accuracy, aggregate.score, clustering)
            control = tf.nest.map_structure(lambda new, old: tf.where(usable, new, old), grown, state)
            new = spec.float_broadcast(kernels, others, control.num_clusters)
            zero = tf.constant(0.0)
            measurements = measurements_of(aggregate, control.num_clusters, zero, zero)
            if record_payloads:
                measurements["average"] = (aggregate.kernels, aggregate.others)
            return control, new._replace(base=model), measurements

        return next_round(ControllerState(*state), reference_model(broadcast.model), ClientPayloads(*collected))

    @tff.federated_computation()
    def initialize():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return tff.federated_eval(initial_state, tff.SERVER)

    return finalizer_process(initialize, average)


class CompressorState(NamedTuple):
    """What the compressing finalizer remembers.

    Attributes:
        round: int32 scalar, rounds finished.
        controller: State of the number of clusters.
        rate: State of the price of a bit.
        master: float32 kernels that updates add up in; empty where `server.master` is false.
    """

    round: Any
    controller: ControllerState
    rate: RateState
    master: tuple[Any, ...]


class _NextModel(NamedTuple):
    """What a round arrives at, before it is encoded: state, int32 clusters, palettes, other parameters, mean loss."""

    state: CompressorState
    num_clusters: Any
    palettes: tuple[Palette, ...]
    others: tuple[Any, ...]
    loss: Any


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
    model: ReferenceModel,
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
    communication: CommunicationConfig,
    seed: int,
    *,
    rounds: int,
    record_payloads: bool = False,
) -> tff.learning.templates.FinalizerProcess:
    """Builds FedCompress's finalizer: controller, master, distillation into the clustered student, snap.

    Type signature of `next`: `(<state=CompressorState@SERVER, broadcast=Broadcast@SERVER,
    update=ClientPayloads@SERVER> -> <state=CompressorState@SERVER, result=Broadcast@SERVER,
    measurements=<num_clusters=int32,clients_ok=int32,validation_accuracy=float32,quality_score=float32,
    distillation_loss=float32,rate_weight=float32>@SERVER>)`. A round without a client that counts, or whose numbers are
    not finite, changes nothing but the round's number.

    With `server.master`, float kernels stay at the server: they take over the mean of the clients' changes, and are
    what teaches and what the student is a palettized copy of. Otherwise (the paper) that is the clients' mean.

    Args:
        spec: The model.
        initial_kernels: No-argument TFF computation that returns the kernels before clustering.
        ood_fn: Builds the unlabelled out-of-distribution pipeline.
        clustering: Start of the centroids and the controller's settings.
        server: Distillation's settings.
        communication: Price of a bit, or the ratio that it follows from.
        seed: Seed of the run.
        rounds: Number of rounds of the run, over which the price of a bit falls.
        record_payloads: Whether the measurements also hold `average=<kernels,others>`, what the payloads amount to.
    """
    sizes = (*spec.downlink.kernel_sizes, *spec.downlink.other_sizes)
    target = communication.target_ratio
    budget = rate_controller.round_budget(sum(sizes), CLIENT_SCALARS, target) if target else 0.0

    @tff.tensorflow.computation()
    def initial_controller():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return tf.constant(0), controller.initial_state(clustering), rate_controller.initial_state(communication)

    @tff.tensorflow.computation(initial_controller.type_signature.result, initial_kernels.type_signature.result)
    def initial_state(start, kernels):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return CompressorState(start[0], start[1], start[2], tuple(kernels) if server.master else ())

    state_type = initial_state.type_signature.result

    @tff.tensorflow.computation(state_type, spec.broadcast_type, PAYLOADS_TYPE)
    def compress(state, broadcast, collected):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        teacher, student = spec.model_fn(), spec.model_fn()
        clustered = ClusteredKernels(student, spec.layout, spec.max_clusters)

        def next_rate(state: CompressorState, broadcast: Broadcast, collected: ClientPayloads) -> RateState:
            rate = RateState(*state.rate)
            if not target:
                # What the next broadcast names.
                return rate._replace(rate_weight=rate_controller.scheduled(communication, rounds, state.round + 2))
            answers = tf.maximum(tf.math.count_nonzero(collected.lengths, dtype=tf.int32), 1)
            uplink = tf.cast(tf.reduce_sum(collected.lengths) / answers, tf.float32)
            return rate_controller.next_state(rate, uplink, tf.cast(tf.size(broadcast.payload), tf.float32), budget)

        def work(state: CompressorState, model: ReferenceModel, aggregate: Aggregate, rate: RateState) -> _NextModel:
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
            # Where there is a master, it is the better teacher: what clients changed in earlier rounds and snapping
            # lost is in it, too.
            assign(teacher, spec.layout, latent, aggregate.others)
            assign(student, spec.layout, latent, aggregate.others)
            clustered.start(_next_codebooks(spec, clustering, model, latent, control.num_clusters, round_number, seed))
            loss = distill(teacher, student, clustered, ood_fn, server)
            palettes = clustered.snap()
            _, others = read_weights(student, spec.layout)
            new_state = CompressorState(round_number, control, rate, latent if server.master else ())
            return _NextModel(new_state, control.num_clusters, palettes, tuple(others), loss)

        @tf.function
        def next_round(state: CompressorState, broadcast: Broadcast, collected: ClientPayloads) -> Any:
            model = broadcast.model
            base = (*dequantized_kernels(model.palettes), *model.others)
            aggregate = mean_of_payloads(spec, model, collected, base, server.update_norm_bound)
            rate = next_rate(state, broadcast, collected)

            def stay() -> _NextModel:
                # Sent again, it costs next to nothing to clients that hold it.
                kept = state._replace(round=state.round + 1, rate=rate)
                again = _NextModel(kept, model.num_clusters, model.palettes, model.others, 0.0)
                return tf.nest.map_structure(tf.identity, again)

            usable = (aggregate.weight > 0) & all_finite((aggregate.kernels, aggregate.others))
            new = tf.cond(usable, lambda: work(state, model, aggregate, rate), stay)
            # A distillation that diverged must not become the model.
            codebooks = [palette.codebook for palette in new.palettes]
            healthy = all_finite((new.state.master, new.others, codebooks, new.loss))
            new = tf.cond(healthy, lambda: new, stay)
            sent = spec.broadcast(new.num_clusters, new.palettes, new.others, tf.stack([rate.rate_weight]), model)
            measurements = measurements_of(aggregate, sent.model.num_clusters, new.loss, rate.rate_weight)
            if record_payloads:
                measurements["average"] = (aggregate.kernels, aggregate.others)
            return new.state, sent, measurements

        received = Broadcast(*broadcast)._replace(
            base=reference_model(broadcast.base), model=reference_model(broadcast.model)
        )
        return next_round(state, received, ClientPayloads(*collected))

    @tff.federated_computation()
    def initialize():  # type: ignore[no-untyped-def]  # noqa: ANN202
        start = tff.federated_eval(initial_controller, tff.SERVER)
        kernels = tff.federated_eval(initial_kernels, tff.SERVER)
        return tff.federated_map(initial_state, (start, kernels))

    return finalizer_process(initialize, compress)
