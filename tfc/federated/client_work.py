"""Client work: decode the broadcast, train plain epochs, train clustered epochs, snap, encode the answer."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_federated as tff

from tfc import graph_codec
from tfc.codec.message_spec import Message, ReferenceModel
from tfc.codec.palette import Palette
from tfc.config import TrainingConfig
from tfc.data.augmentation import augmentation_of_steps
from tfc.federated.client_data import first_context
from tfc.federated.clustered_training import CLUSTERED_PHASES
from tfc.federated.local_training import (
    arrival,
    embedding_model,
    local_examples,
    outcome,
    self_test,
    train_plainly,
)
from tfc.federated.model_spec import PAYLOAD_TYPE, ModelSpec, assign, read_weights, reference_model
from tfc.federated.templates import stateless_client_work
from tfc.federated.training_loop import classification_gradients, run_steps


def build_client_update(
    spec: ModelSpec, data_type: tff.Type, training: TrainingConfig, centroid_start: str, seed: int
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
    """
    clustered = bool(spec.layout.kernels)
    clustered_epochs = training.clustered_epochs if clustered else 0
    plain_epochs = training.plain_epochs + (0 if clustered else training.clustered_epochs)

    @tff.tensorflow.computation(PAYLOAD_TYPE, spec.reference_type, data_type)
    def client_update(payload, base, data):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        model = spec.model_fn()
        embedding = embedding_model(model)
        phase = CLUSTERED_PHASES[spec.uplink_mode](model, spec, centroid_start, seed)

        @tf.function
        def work(payload: tf.Tensor, base: ReferenceModel, data: Any) -> Any:
            decoded, understood = graph_codec.decode(payload, spec.downlink, base)
            broadcast = decoded.message
            kernels, others = spec.weights_of(decoded.held)
            if not spec.palettized_broadcast:
                clusters = tf.cast(tf.clip_by_value(broadcast.scalars[0], 1.0, spec.max_clusters), tf.int32)
                broadcast = broadcast._replace(num_clusters=clusters)
            context = first_context(data["context"])
            epochs = plain_epochs + clustered_epochs
            local = local_examples(data["train"], context, epochs, training.batch_size, seed)
            x, y, order = local
            plain_steps = tf.shape(order)[0] * plain_epochs // epochs
            assign(model, spec.layout, kernels, others)

            augment = augmentation_of_steps(training.augmentation, seed, context.round, context.client)
            train_plainly(model, local, plain_steps, training, augment, context.scale)

            palettes: tuple[Palette, ...] = ()
            if clustered:
                phase.start(broadcast, context)
                if clustered_epochs:
                    plain_gradients = classification_gradients(model, phase.variables, phase.applied)
                    run_steps(
                        order[plain_steps:],
                        x,
                        y,
                        phase.variables,
                        lambda x, y: phase.gradients_of(plain_gradients(x, y)),
                        training.clustered_learning_rate,
                        augment,
                        plain_steps,
                    )
                palettes = phase.snap()

            test = self_test(model, embedding, data["validation"], local.count, phase.centroids)
            _, others = read_weights(model, spec.layout)
            slots = spec.update_levels if spec.palettizes_update else broadcast.num_clusters
            answer_message = Message(tf.convert_to_tensor(slots), palettes, others, test.scalars)
            given = decoded.held if clustered and spec.palettized_broadcast else None
            answer = graph_codec.encode(answer_message, spec.uplink, given, update=spec.palettizes_update)
            found = arrival(context, local.count, understood, test.finite, tf.size(answer))
            return outcome(answer, found, test, context, seed)

        return work(payload, reference_model(base), data)

    return client_update


def build_client_work(
    spec: ModelSpec, data_type: tff.Type, training: TrainingConfig, centroid_start: str, seed: int
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
    """
    client_update = build_client_update(spec, data_type, training, centroid_start, seed)
    return stateless_client_work(client_update, spec.reference_type, data_type)
