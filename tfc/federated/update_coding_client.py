"""The client of update coding: decode the broadcast, train, code the update, remember what coding lost."""

from __future__ import annotations

import collections
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tfc.config import TrainingConfig
from tfc.federated.client_faults import arrival, outcome
from tfc.federated.local_training import LocalTraining
from tfc.federated.model_spec import PAYLOAD_TYPE, reference_model
from tfc.federated.model_weights import read_weights
from tfc.federated.released_gradients import released_gradients
from tfc.federated.templates import received_type, results_and_measurements
from tfc.federated.update_coding_spec import UpdateCodingSpec
from tfc.seeds import Purpose, hashed


def build_update_coding_client_update(
    spec: UpdateCodingSpec, data_type: tff.Type, training: TrainingConfig, seed: int, rounds: int = 1
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
        rounds: Number of rounds of the run, for learning rates that fall.
    """

    @tff.tensorflow.computation(PAYLOAD_TYPE, spec.model.reference_type, spec.memory_type, data_type)
    @released_gradients()
    def client_update(payload, base, memory, data):
        local_training = LocalTraining.of(spec.model, training, seed, rounds)

        @tf.function
        def work(payload: tf.Tensor, base: Any, memory: tf.Tensor, data: Any) -> Any:
            sent, _, understood = spec.downlink.decode(payload, base)
            local = local_training.run((), sent, data)
            test = local_training.finish(local, data)
            context = local.context

            _, values = read_weights(local_training.model, spec.model.layout)
            before, _ = spec.uplink.divide(sent)
            after, rest = spec.uplink.divide(values)
            row = tf.clip_by_value(context.client, 0, max(spec.num_clients - 1, 0))
            old = tf.gather(memory, row) if spec.num_clients else tf.zeros([0])
            changes = after - before + old if spec.num_clients else after - before
            reference = spec.holding(sent)
            key = hashed(seed, Purpose.ROTATION, context.round, context.client)
            answer = spec.uplink.encode_update(changes, rest, test.scalars, reference, key)
            found = arrival(context, local.examples.count, understood, test.finite, tf.size(answer))
            lost = old
            if spec.num_clients:
                told, _, _ = spec.uplink.decode(answer, reference)
                lost = tf.where(found.accepted, changes - (spec.uplink.divide(told)[0] - before), old)
            arrived = outcome(answer, found, test, context, seed)
            return collections.OrderedDict(**arrived, client=context.client, lost=lost)

        return work(payload, reference_model(base), memory, data)

    return client_update


def build_update_coding_client_work(
    spec: UpdateCodingSpec, data_type: tff.Type, training: TrainingConfig, seed: int, rounds: int = 1
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
        rounds: Number of rounds of the run, for learning rates that fall.
    """
    client_update = build_update_coding_client_update(spec, data_type, training, seed, rounds)
    width = spec.memory_shape[1]
    rows_type = tff.to_type((tff.TensorType(np.int32, (None,)), tff.TensorType(np.float32, (None, width))))

    @tff.tensorflow.computation()
    def forgotten():
        return tf.zeros(spec.memory_shape)

    @tff.tensorflow.computation()
    def no_rows():
        return tf.zeros([0], tf.int32), tf.zeros([0, width])

    @tff.tensorflow.computation(rows_type, (np.int32, tff.TensorType(np.float32, (width,))))
    def add_row(rows, row):
        return tf.concat([rows[0], row[0][None]], axis=0), tf.concat([rows[1], row[1][None]], axis=0)

    @tff.tensorflow.computation(rows_type, rows_type)
    def merge(left, right):
        return tf.concat([left[0], right[0]], axis=0), tf.concat([left[1], right[1]], axis=0)

    @tff.tensorflow.computation(rows_type)
    def report(rows):
        return rows

    @tff.tensorflow.computation(spec.memory_type, rows_type)
    def remembered(memory, rows):
        if not spec.num_clients:
            return memory
        places = tf.clip_by_value(rows[0], 0, spec.num_clients - 1)
        return tf.tensor_scatter_nd_update(memory, places[:, None], rows[1])

    @tff.federated_computation()
    def initialize():
        return tff.federated_eval(forgotten, tff.SERVER)

    @tff.federated_computation(
        initialize.type_signature.result,
        received_type(spec.model.reference_type),
        tff.FederatedType(data_type, tff.CLIENTS),
    )
    def next_(state, received, data):
        outcomes = tff.federated_map(client_update, (received[0], received[1], tff.federated_broadcast(state), data))
        rows = tff.federated_zip((outcomes.client, outcomes.lost))
        rows = tff.federated_aggregate(rows, no_rows(), add_row, merge, report)
        return tff.templates.MeasuredProcessOutput(
            tff.federated_map(remembered, (state, rows)), *results_and_measurements(outcomes)
        )

    return tff.learning.templates.ClientWorkProcess(initialize, next_)
