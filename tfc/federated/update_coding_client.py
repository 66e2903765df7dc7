"""Client work under a coded update: decode the broadcast, train, code what changed, remember what was lost."""

from __future__ import annotations

import collections
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tfc.config import TrainingConfig
from tfc.data.augmentation import augmentation_of_steps
from tfc.federated.client_data import first_context
from tfc.federated.local_training import (
    arrival,
    embedding_model,
    local_examples,
    outcome,
    self_test,
    train_plainly,
)
from tfc.federated.model_spec import PAYLOAD_TYPE, assign, read_weights, reference_model
from tfc.federated.templates import received_type, results_and_measurements
from tfc.federated.update_coding_spec import CodedSpec
from tfc.seeds import Purpose, hashed


def build_coded_client_update(
    spec: CodedSpec, data_type: tff.Type, training: TrainingConfig, seed: int
) -> tff.Computation:
    """Builds what one client computes in one round.

    Type signature: `(<payload=uint8[?], base=ReferenceModel, memory=float32[clients,size],
    data=<train,validation,context>> -> <update=uint8[?], weight=float32, by_fault=int32[3], client=int32,
    lost=float32[size]>)`.
    A client that fails (see `build_client_update`) answers with an empty payload and remembers what it did before, as
    one does whose answer is damaged on its way.

    What a client's codec loses is added to its next update (error feedback) where the specification says so. `memory`
    holds a row per client and stands for the clients' own memories; no client looks at another's row.

    Args:
        spec: The model and its messages.
        data_type: Type of one client's data.
        training: Epochs, batch size, learning rate; clustered epochs are plain ones here.
        seed: Seed of the run.
    """
    epochs = training.plain_epochs + training.clustered_epochs

    @tff.tensorflow.computation(PAYLOAD_TYPE, spec.model.reference_type, spec.memory_type, data_type)
    def client_update(payload, base, memory, data):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        model = spec.model.model_fn()
        embedding = embedding_model(model)

        @tf.function
        def work(payload: tf.Tensor, base: Any, memory: tf.Tensor, data: Any) -> Any:
            sent, _, understood = spec.downlink.decode(payload, base)
            context = first_context(data["context"])
            local = local_examples(data["train"], context, epochs, training.batch_size, seed)
            assign(model, spec.model.layout, (), sent)
            augment = augmentation_of_steps(training.augmentation, seed, context.round, context.client)
            train_plainly(model, local, None, training, augment, context.scale)
            test = self_test(model, embedding, data["validation"], local.count)

            _, values = read_weights(model, spec.model.layout)
            before, _ = spec.uplink.divide(sent)
            after, rest = spec.uplink.divide(values)
            row = tf.clip_by_value(context.client, 0, max(spec.num_clients - 1, 0))
            old = tf.gather(memory, row) if spec.num_clients else tf.zeros([0])
            changes = after - before + old if spec.num_clients else after - before
            held = spec.holding(sent)
            key = hashed(seed, Purpose.ROTATION, context.round, context.client)
            answer = spec.uplink.encode_update(changes, rest, test.scalars, held, key)
            found = arrival(context, local.count, understood, test.finite, tf.size(answer))
            lost = old
            if spec.num_clients:
                told, _, _ = spec.uplink.decode(answer, held)
                lost = tf.where(found.accepted, changes - (spec.uplink.divide(told)[0] - before), old)
            arrived = outcome(answer, found, test, context, seed)
            return collections.OrderedDict(**arrived, client=context.client, lost=lost)

        return work(payload, reference_model(base), memory, data)

    return client_update


def build_coded_client_work(
    spec: CodedSpec, data_type: tff.Type, training: TrainingConfig, seed: int
) -> tff.learning.templates.ClientWorkProcess:
    """Builds the process that lets every sampled client train.

    Type signature of `next`: `(<state=float32[clients,size]@SERVER, received={<uint8[?],base>}@CLIENTS,
    data={<train,validation,context>}@CLIENTS> -> <state=float32[clients,size]@SERVER,
    result={<update=uint8[?],update_weight=float32>}@CLIENTS, measurements=<clients_failed=int32,
    clients_by_fault=int32[3]>@SERVER>)`.

    TFF's clients keep nothing between rounds. The state stands for their memories, one row per client, and travels
    within the simulation only: it is not counted, as the held broadcast is not.

    Args:
        spec: The model and its messages.
        data_type: Type of one client's data.
        training: Epochs, batch size, learning rate.
        seed: Seed of the run.
    """
    client_update = build_coded_client_update(spec, data_type, training, seed)
    width = spec.memory_shape[1]
    rows_type = tff.to_type((tff.TensorType(np.int32, (None,)), tff.TensorType(np.float32, (None, width))))

    @tff.tensorflow.computation()
    def forgotten():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return tf.zeros(spec.memory_shape)

    @tff.tensorflow.computation()
    def no_rows():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return tf.zeros([0], tf.int32), tf.zeros([0, width])

    @tff.tensorflow.computation(rows_type, (np.int32, tff.TensorType(np.float32, (width,))))
    def add_row(rows, row):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return tf.concat([rows[0], row[0][None]], axis=0), tf.concat([rows[1], row[1][None]], axis=0)

    @tff.tensorflow.computation(rows_type, rows_type)
    def merge(left, right):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return tf.concat([left[0], right[0]], axis=0), tf.concat([left[1], right[1]], axis=0)

    @tff.tensorflow.computation(rows_type)
    def report(rows):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return rows

    @tff.tensorflow.computation(spec.memory_type, rows_type)
    def remembered(memory, rows):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        if not spec.num_clients:
            return memory
        places = tf.clip_by_value(rows[0], 0, spec.num_clients - 1)
        return tf.tensor_scatter_nd_update(memory, places[:, None], rows[1])

    @tff.federated_computation()
    def initialize():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return tff.federated_eval(forgotten, tff.SERVER)

    @tff.federated_computation(
        initialize.type_signature.result,
        received_type(spec.model.reference_type),
        tff.FederatedType(data_type, tff.CLIENTS),
    )
    def next_(state, received, data):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        outcomes = tff.federated_map(client_update, (received[0], received[1], tff.federated_broadcast(state), data))
        rows = tff.federated_zip((outcomes.client, outcomes.lost))
        rows = tff.federated_aggregate(rows, no_rows(), add_row, merge, report)
        return tff.templates.MeasuredProcessOutput(
            tff.federated_map(remembered, (state, rows)), *results_and_measurements(outcomes)
        )

    return tff.learning.templates.ClientWorkProcess(initialize, next_)
