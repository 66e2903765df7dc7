"""FedCompress at the server: the float master, distillation into the clustered student, the number of clusters.

Source: FedCompress (doi 10.1109/ICASSP48485.2024.10447174), server-side self-compression. One round, in order:

1. the clients' payloads are decoded and averaged (`tfc.federated.aggregator`);
2. the number of clusters may grow (`tfc.clustering.controller`), and the rate weight of the clients' updates follows
   its schedule or the asked ratio (`tfc.clustering.rate_controller`);
3. the server's optimiser moves the master by the mean of the clients' changes; the master becomes the teacher;
4. the student, a copy whose kernels are clustered, learns from the teacher on out-of-distribution inputs
   (`tfc.methods.distillation`) and is snapped to its centroids: it is the next broadcast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_federated as tff

from tfc.clustering import controller, rate_controller
from tfc.clustering.centroids import grow, kmeans_plus_plus, lloyd
from tfc.clustering.controller import ControllerState
from tfc.clustering.rate_controller import RateState
from tfc.clustering.weights import ClusteredKernels
from tfc.codec.message_spec import ReferenceModel
from tfc.codec.palette import Palette
from tfc.config import ExperimentConfig
from tfc.data.ood_pipeline import OodFn
from tfc.federated.aggregator import PAYLOADS_TYPE, ClientPayloads, mean_of_payloads
from tfc.federated.finalizer import all_finite, measurements_of, usable
from tfc.federated.key_frame import LLOYD_STEPS
from tfc.federated.model_spec import CLIENT_SCALARS, Broadcast, ModelSpec, reference_model
from tfc.federated.model_weights import assign, dequantized_kernels, read_weights
from tfc.federated.released_gradients import released_gradients
from tfc.federated.running_mean import Aggregate
from tfc.federated.server_optimizer import ServerOptimizer, server_optimizer
from tfc.federated.templates import finalizer_process
from tfc.methods.distillation import distill
from tfc.seeds import Purpose, stateless


class CompressorState(NamedTuple):
    """What the compressing finalizer remembers.

    Attributes:
        round: int32 scalar, rounds finished.
        controller: State of the number of clusters.
        rate: State of the rate weight.
        master: float32 kernels that updates add up in; empty where `server.master` is false.
        optimizer: State of the server's optimiser.
    """

    round: Any
    controller: ControllerState
    rate: RateState
    master: tuple[Any, ...]
    optimizer: Any


class NextModel(NamedTuple):
    """What a round arrives at, before it is encoded.

    Attributes:
        state: State of the finalizer after the round.
        num_clusters: int32 scalar.
        palettes: One per clustered kernel.
        others: float32 tensors, the side parameters.
        loss: float32 scalar, distillation's loss in its last step.
    """

    state: CompressorState
    num_clusters: Any
    palettes: tuple[Palette, ...]
    others: tuple[Any, ...]
    loss: Any


@dataclass(frozen=True)
class ServerCompression:
    """The server's part of FedCompress; its methods are traced into the finalizer.

    Attributes:
        spec: The model.
        ood_fn: Builds the unlabelled out-of-distribution pipeline.
        config: Settings of clustering, server and communication; number of rounds; seed.
    """

    spec: ModelSpec
    ood_fn: OodFn
    config: ExperimentConfig

    def next_rate(self, state: CompressorState, broadcast: Broadcast, collected: ClientPayloads) -> RateState:
        """Returns the state of the rate weight that the next broadcast tells the clients.

        Args:
            state: The finalizer's.
            broadcast: What the clients answered.
            collected: Their payloads.
        """
        communication, rate = self.config.communication, RateState(*state.rate)
        if not communication.target_ratio:
            scheduled = rate_controller.scheduled(communication, self.config.rounds, state.round + 2)
            return rate._replace(rate_weight=scheduled)
        sizes = (*self.spec.downlink.kernel_sizes, *self.spec.downlink.other_sizes)
        budget = rate_controller.round_budget(sum(sizes), CLIENT_SCALARS, communication.target_ratio)
        answers = tf.maximum(tf.math.count_nonzero(collected.lengths, dtype=tf.int32), 1)
        uplink = tf.cast(tf.reduce_sum(collected.lengths) / answers, tf.float32)
        return rate_controller.next_state(rate, uplink, tf.cast(tf.size(broadcast.payload), tf.float32), budget)

    @property
    def optimizer(self) -> ServerOptimizer:
        """The server's optimiser, for kernels and the other trained weights."""
        return server_optimizer(self.spec, self.config)

    def teacher_weights(
        self, state: CompressorState, model: ReferenceModel, aggregate: Aggregate
    ) -> tuple[Any, tuple[tf.Tensor, ...], tuple[tf.Tensor, ...]]:
        """Returns the optimiser's state, and the weights that teach and that the student starts from.

        Where there is a master it is the better teacher than the mean: changes of earlier rounds that snapping lost
        are in it, too.

        Args:
            state: The finalizer's.
            model: The broadcast that the clients answered.
            aggregate: What they said.

        Returns:
            The state; kernels, float32 tensors; all other weights, likewise.
        """
        sent = dequantized_kernels(model.palettes)
        before, after = sent, tuple(aggregate.kernels)
        if self.config.server.master:
            before = tuple(state.master)
            after = tuple(held + (mean - was) for held, mean, was in zip(before, aggregate.kernels, sent, strict=True))
        old, new = (*before, *model.others), (*after, *aggregate.others)
        remembered, values = self.optimizer.step(state.optimizer, old, new, usable(aggregate))
        return remembered, values[: len(sent)], values[len(sent) :]

    def first_codebooks(
        self, model: ReferenceModel, kernels: tuple[tf.Tensor, ...], num_clusters: tf.Tensor, round_number: tf.Tensor
    ) -> list[tf.Tensor]:
        """Returns the student's first centroids: last round's, grown and refined; or drawn anew (the paper's).

        Args:
            model: The broadcast that the clients answered.
            kernels: float32 tensors, the teacher's.
            num_clusters: int32 scalar.
            round_number: int32 scalar, from 1.
        """
        codebooks = []
        for number, (palette, weights) in enumerate(zip(model.palettes, kernels, strict=True)):
            fold = stateless(self.config.seed, Purpose.CENTROIDS, round_number, -1, number)
            if self.config.clustering.start == "kmeans++":
                start = kmeans_plus_plus(weights, num_clusters, self.spec.max_clusters, fold)
            else:
                start = palette.codebook
                if self.config.clustering.min_clusters < self.config.clustering.max_clusters:
                    start = grow(weights, start, model.num_clusters, num_clusters, fold)
                start = lloyd(weights, start, LLOYD_STEPS)
            codebooks.append(start)
        return codebooks

    def compress(
        self, models: _Models, state: CompressorState, model: ReferenceModel, aggregate: Aggregate, rate: RateState
    ) -> NextModel:
        """Distils the mean into the clustered student.

        Args:
            models: Teacher and student.
            state: The finalizer's.
            model: The broadcast that the clients answered.
            aggregate: What they said.
            rate: State of the rate weight after the round.
        """
        clusters = ControllerState(*state.controller)
        clusters = controller.next_state(clusters, aggregate.accuracy, aggregate.score, self.config.clustering)
        remembered, kernels, rest = self.teacher_weights(state, model, aggregate)
        for each in (models.teacher, models.student):
            assign(each, self.spec.layout, kernels, rest, self.spec.frozen)
        models.clustered.start(self.first_codebooks(model, kernels, clusters.num_clusters, state.round + 1))
        loss = distill(models.teacher, models.student, models.clustered, self.ood_fn, self.config.server)
        palettes = models.clustered.snap(model.palettes, clusters.num_clusters, self.config.server.rate_weight)
        _, others = read_weights(models.student, self.spec.layout)
        master = kernels if self.config.server.master else ()
        new = CompressorState(state.round + 1, clusters, rate, master, remembered)
        return NextModel(new, clusters.num_clusters, palettes, tuple(others), loss)

    def next_model(
        self,
        models: _Models,
        state: CompressorState,
        model: ReferenceModel,
        aggregate: Aggregate,
        rate: RateState,
    ) -> NextModel:
        """Returns the compressed mean; the old model where the round has none, or distillation diverged.

        Args:
            models: Teacher and student.
            state: The finalizer's.
            model: The broadcast that the clients answered.
            aggregate: What they said.
            rate: State of the rate weight after the round.
        """

        def stay() -> NextModel:
            # Sent again, it costs next to nothing to clients that hold it.
            kept = state._replace(round=state.round + 1, rate=rate, optimizer=self.optimizer.skip(state.optimizer))
            again = NextModel(kept, model.num_clusters, model.palettes, model.others, 0.0)
            return tf.nest.map_structure(tf.identity, again)

        new = tf.cond(usable(aggregate), lambda: self.compress(models, state, model, aggregate, rate), stay)
        codebooks = [palette.codebook for palette in new.palettes]
        healthy = all_finite((new.state.master, new.others, codebooks, new.loss))
        return tf.cond(healthy, lambda: new, stay)


@dataclass(frozen=True)
class _Models:
    """Teacher and student, built while the finalizer is traced."""

    teacher: tf.keras.Model
    student: tf.keras.Model
    clustered: ClusteredKernels

    @classmethod
    def of(cls, spec: ModelSpec) -> _Models:
        teacher, student = spec.model_fn(), spec.model_fn()
        return cls(teacher, student, ClusteredKernels(student, spec.layout, spec.max_clusters))


def build_compressing_finalizer(
    spec: ModelSpec,
    initial_kernels: tff.Computation,
    ood_fn: OodFn,
    config: ExperimentConfig,
    *,
    record_payloads: bool = False,
) -> tff.learning.templates.FinalizerProcess:
    """Builds FedCompress's finalizer: controller, master, distillation into the clustered student, snap.

    Type signature of `next`: `(<state=CompressorState@SERVER, broadcast=Broadcast@SERVER,
    update=ClientPayloads@SERVER> -> <state=CompressorState@SERVER, result=Broadcast@SERVER,
    measurements=<num_clusters=int32,clients_ok=int32,validation_accuracy=float32,quality_score=float32,
    distillation_loss=float32,rate_weight=float32>@SERVER>)`. A round without a client that counts, or whose numbers are
    not finite, changes nothing but the round's number.

    With `server.master`, float kernels stay at the server: the mean of the clients' changes is added to them, they
    teach, and the student is their palettized copy. Otherwise (the paper) that is the clients' mean.

    Args:
        spec: The model.
        initial_kernels: No-argument TFF computation that returns the kernels before clustering.
        ood_fn: Builds the unlabelled out-of-distribution pipeline.
        config: Settings of clustering, server and communication; number of rounds; seed.
        record_payloads: Whether the measurements also hold `average=<kernels,others>`, what the payloads amount to.
    """
    compression = ServerCompression(spec, ood_fn, config)

    @tff.tensorflow.computation()
    def initial_controllers():
        rate = rate_controller.initial_state(config.communication)
        return tf.constant(0), controller.initial_state(config.clustering), rate, compression.optimizer.initial_state()

    @tff.tensorflow.computation(initial_controllers.type_signature.result, initial_kernels.type_signature.result)
    def initial_state(start, kernels):
        master = tuple(kernels) if config.server.master else ()
        return CompressorState(start[0], start[1], start[2], master, start[3])

    @tff.tensorflow.computation(initial_state.type_signature.result, spec.broadcast_type, PAYLOADS_TYPE)
    @released_gradients()
    def finish(state, broadcast, collected):
        models = _Models.of(spec)

        @tf.function
        def next_round(state: CompressorState, broadcast: Broadcast, collected: ClientPayloads) -> Any:
            model = broadcast.model
            base = (*dequantized_kernels(model.palettes), *model.others)
            aggregate = mean_of_payloads(spec, model, collected, base, config.server.update_norm_bound)
            rate = compression.next_rate(state, broadcast, collected)
            new = compression.next_model(models, state, model, aggregate, rate)
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
    def initialize():
        start = tff.federated_eval(initial_controllers, tff.SERVER)
        kernels = tff.federated_eval(initial_kernels, tff.SERVER)
        return tff.federated_map(initial_state, (start, kernels))

    return finalizer_process(initialize, finish)
