"""TFF's templates of client work and finalizers, filled with what every method's have alike."""

from __future__ import annotations

import collections
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tfc.federated.client_faults import FAULT_KINDS
from tfc.federated.model_spec import PAYLOAD_TYPE


@tff.federated_computation()
def no_state():
    """`initialize` of processes that remember nothing: `( -> <>@SERVER)`."""
    return tff.federated_value((), tff.SERVER)


def received_type(reference_type: tff.Type) -> tff.Type:
    """Returns the type of what a round brings to clients, `{<payload=uint8[?],base>}@CLIENTS`.

    Args:
        reference_type: Type of the model that clients hold.
    """
    return tff.FederatedType(tff.StructType([PAYLOAD_TYPE, reference_type]), tff.CLIENTS)


def results_and_measurements(outcome: Any) -> tuple[Any, Any]:
    """Divides clients' outcomes, within a federated computation.

    Args:
        outcome: `{<update, weight=float32, by_fault=int32[3], ...>}@CLIENTS`.

    Returns:
        `{<update,update_weight=float32>}@CLIENTS` and `<clients_failed=int32,clients_by_fault=int32[3]>@SERVER`.
    """

    @tff.tensorflow.computation(outcome.type_signature.member)
    def to_client_result(outcome):
        return tff.learning.templates.ClientResult(update=outcome["update"], update_weight=outcome["weight"])

    @tff.tensorflow.computation(tff.TensorType(np.int32, (len(FAULT_KINDS),)))
    def measure(by_fault):
        return collections.OrderedDict(clients_failed=tf.reduce_sum(by_fault), clients_by_fault=by_fault)

    by_fault = tff.federated_sum(outcome.by_fault)
    return tff.federated_map(to_client_result, outcome), tff.federated_map(measure, by_fault)


def stateless_client_work(
    client_update: tff.Computation, reference_type: tff.Type, data_type: tff.Type
) -> tff.learning.templates.ClientWorkProcess:
    """Lets every sampled client compute its update; nothing is remembered.

    Type signature of `next`: `(<state=<>@SERVER, received={<uint8[?],base>}@CLIENTS,
    data={<train,validation,context>}@CLIENTS> -> <state=<>@SERVER, result={<update,update_weight=float32>}@CLIENTS,
    measurements=<clients_failed=int32,clients_by_fault=int32[3]>@SERVER>)`.

    Args:
        client_update: `(<payload=uint8[?], base, data> -> <update, weight=float32, by_fault=int32[3], ...>)`.
        reference_type: Type of the model that clients hold.
        data_type: Type of one client's data.
    """

    @tff.federated_computation(
        no_state.type_signature.result, received_type(reference_type), tff.FederatedType(data_type, tff.CLIENTS)
    )
    def next_(state, received, data):
        outcome = tff.federated_map(client_update, (received[0], received[1], data))
        return tff.templates.MeasuredProcessOutput(state, *results_and_measurements(outcome))

    return tff.learning.templates.ClientWorkProcess(no_state, next_)


def finalizer_process(initialize: tff.Computation, finish: tff.Computation) -> tff.learning.templates.FinalizerProcess:
    """Makes the next broadcast at the server.

    Type signature of `next`: `(<state@SERVER, broadcast@SERVER, update@SERVER> -> <state@SERVER,
    result=broadcast@SERVER, measurements@SERVER>)`.

    Args:
        initialize: `( -> state@SERVER)`.
        finish: `(<state, broadcast, update> -> <state, broadcast, measurements>)`.
    """
    _, broadcast_type, update_type = finish.type_signature.parameter

    @tff.federated_computation(
        initialize.type_signature.result,
        tff.FederatedType(broadcast_type, tff.SERVER),
        tff.FederatedType(update_type, tff.SERVER),
    )
    def next_(state, broadcast, update):
        return tff.templates.MeasuredProcessOutput(*tff.federated_map(finish, (state, broadcast, update)))

    return tff.learning.templates.FinalizerProcess(initialize, next_)


def collecting_process(
    zero: tff.Computation, accumulate: tff.Computation, merge: tff.Computation, measure: tff.Computation
) -> tff.templates.AggregationProcess:
    """Collects the clients' answers at the server; nothing is remembered.

    Type signature of `next`: `(<state=<>@SERVER, payload={uint8[?]}@CLIENTS, weight={float32}@CLIENTS> ->
    <state=<>@SERVER, result=C@SERVER, measurements@SERVER>)`, where C is the type of what is collected.

    Args:
        zero: `( -> C)`.
        accumulate: `(<C,<uint8[?],float32>> -> C)`.
        merge: `(<C,C> -> C)`.
        measure: `(C -> measurements)`.
    """

    @tff.tensorflow.computation(measure.type_signature.parameter)
    def report(collected):
        return collected

    @tff.federated_computation(
        no_state.type_signature.result,
        tff.FederatedType(PAYLOAD_TYPE, tff.CLIENTS),
        tff.FederatedType(np.float32, tff.CLIENTS),
    )
    def next_(state, payload, weight):
        answers = tff.federated_zip((payload, weight))
        collected = tff.federated_aggregate(answers, zero(), accumulate, merge, report)
        return tff.templates.MeasuredProcessOutput(state, collected, tff.federated_map(measure, collected))

    return tff.templates.AggregationProcess(no_state, next_)
