"""Client work: decode the broadcast, train plain epochs, train clustered epochs, snap, encode the answer."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_federated as tff

from tfc import graph_codec
from tfc.codec.message_spec import Message, ReferenceModel
from tfc.codec.palette import Palette
from tfc.config import TrainingConfig
from tfc.federated.client_faults import arrival, outcome
from tfc.federated.clustered_training import ClusteredTraining
from tfc.federated.local_training import LocalRound, LocalTraining
from tfc.federated.model_spec import PAYLOAD_TYPE, ModelSpec, reference_model
from tfc.federated.model_weights import read_weights
from tfc.federated.released_gradients import released_gradients
from tfc.federated.templates import stateless_client_work
from tfc.federated.training_loop import classification_gradients, run_steps
from tfc.registries import UPLINK_MODES


def build_client_update(
    spec: ModelSpec, data_type: tff.Type, training: TrainingConfig, centroid_start: str, seed: int, rounds: int = 1
) -> tff.Computation:
    """Builds what one client computes in one round.

    Type signature: `(<payload=uint8[?], base=ReferenceModel, data=<train,validation,context>> -> <update=uint8[?],
    weight=float32,by_fault=int32[3]>)`. A client that can't decode the broadcast, has no examples, whose update is not
    finite, that drops out or is too late answers with an empty payload, weight 0 and a one at its fault. Its answer is
    coded given the broadcast.

    Without clustered kernels in `spec`, all epochs are plain (FedAvg).

    Args:
        spec: The model.
        data_type: Type of one client's data.
        training: Epochs, batch size, learning rates.
        centroid_start: Where weights are clustered, a key of `CENTROID_STARTS`.
        seed: Seed of the run.
        rounds: Number of rounds of the run, for learning rates that fall.
    """

    @tff.tensorflow.computation(PAYLOAD_TYPE, spec.reference_type, data_type)
    @released_gradients()
    def client_update(payload, base, data):
        local_training = LocalTraining.of(spec, training, seed, rounds)
        clustering = UPLINK_MODES[spec.uplink_mode](local_training.model, spec, centroid_start, seed)

        @tf.function
        def work(payload: tf.Tensor, base: ReferenceModel, data: Any) -> Any:
            decoded, understood = graph_codec.decode(payload, spec.downlink, base)
            local = local_training.run(*spec.weights_of(decoded.held), data)
            broadcast = _with_num_clusters(decoded.message, spec)
            palettes: tuple[Palette, ...] = ()
            scales: tuple[tf.Tensor, ...] = ()
            if spec.layout.kernels:
                clustering.start(broadcast, local.context)
                _train_clustered(local_training, clustering, local)
                palettes, scales = clustering.snap()

            test = local_training.finish(local, data, clustering.centroids)
            _, others = read_weights(local_training.model, spec.layout)
            slots = spec.update_levels if spec.palettizes_update else broadcast.num_clusters
            message = Message(tf.convert_to_tensor(slots), palettes, others, test.scalars, scales)
            given = decoded.held if spec.layout.kernels and spec.palettized_broadcast else None
            answer = graph_codec.encode(message, spec.uplink, given, update=spec.palettizes_update)
            found = arrival(local.context, local.examples.count, understood, test.finite, tf.size(answer))
            return outcome(answer, found, test, local.context, seed)

        return work(payload, reference_model(base), data)

    return client_update


def _with_num_clusters(broadcast: Message, spec: ModelSpec) -> Message:
    """The broadcast with its number of clusters: one of float32 weights tells it in its scalar."""
    if spec.palettized_broadcast:
        return broadcast
    clusters = tf.cast(tf.clip_by_value(broadcast.scalars[0], 1.0, spec.max_clusters), tf.int32)
    return broadcast._replace(num_clusters=clusters)


def _train_clustered(local_training: LocalTraining, clustering: ClusteredTraining, local: LocalRound) -> None:
    """Trains the clustered epochs, in which the model computes through its palettes."""
    if not local_training.clustered_epochs:
        return
    gradients = classification_gradients(local_training.model, clustering.variables, clustering.applied, local.keyed)
    run_steps(
        local.examples.order[local.plain_steps :],
        local.examples.x,
        local.examples.y,
        clustering.variables,
        lambda x, y, step: clustering.gradients_of(gradients(x, y, step)),
        local_training.learning_rate(local_training.training.clustered_learning_rate, local.context),
        local.augment,
        local.plain_steps,
    )


def build_client_work(
    spec: ModelSpec, data_type: tff.Type, training: TrainingConfig, centroid_start: str, seed: int, rounds: int = 1
) -> tff.learning.templates.ClientWorkProcess:
    """Builds the process that lets every sampled client train.

    Type signature of `next`: `(<state=<>@SERVER, received={<uint8[?],base>}@CLIENTS,
    data={<train,validation,context>}@CLIENTS> -> <state=<>@SERVER,
    result={<update=uint8[?],update_weight=float32>}@CLIENTS, measurements=<clients_failed=int32,
    clients_by_fault=int32[3]>@SERVER>)`.

    Args:
        spec: The model.
        data_type: Type of one client's data.
        training: Epochs, batch size, learning rates.
        centroid_start: A key of `CENTROID_STARTS`.
        seed: Seed of the run.
        rounds: Number of rounds of the run, for learning rates that fall.
    """
    client_update = build_client_update(spec, data_type, training, centroid_start, seed, rounds)
    return stateless_client_work(client_update, spec.reference_type, data_type)
