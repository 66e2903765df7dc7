"""Float32 updates through TFF's own aggregators."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff
from tiny_federation import DATA_TYPE, assert_equal, data_of, examples, model_fn, settings

from tfc.codec.message_spec import float32_message_bytes
from tfc.federated.client_data import ClientFlags
from tfc.federated.model_spec import CLIENT_SCALARS
from tfc.methods.tff_aggregators import build_aggregated, build_tff8bit, quantized_bytes
from tfc.registries import AGGREGATORS, METHODS
from tfc.simulation.summary import counted_by_formula

CLIENTS = [examples(1, 24), examples(2, 16)]


def weights_after(process, flags=ClientFlags.NONE):
    output = process.next(process.initialize(), data_of(CLIENTS, 1, flags))
    return process.get_model_weights(output.state), output.metrics


@pytest.fixture(scope="module")
def fedavg(worker):
    process = METHODS["fedavg"](model_fn, DATA_TYPE, settings())
    return process.get_model_weights(process.initialize()), weights_after(process)[0]


def differences(left, right):
    return [np.abs(a - b).max() for a, b in zip(tf.nest.flatten(left), tf.nest.flatten(right), strict=True)]


def test_the_plain_mean_is_fedavg_and_nobodys_answer_changes_nothing(fedavg):
    process = build_aggregated(model_fn, DATA_TYPE, settings(), tff.aggregators.MeanFactory())
    found, metrics = weights_after(process)
    assert max(differences(found, fedavg[1])) < 1e-5 < max(differences(found, fedavg[0]))
    parameters = model_fn().count_params()
    assert metrics["aggregator"]["uplink_bytes"] == 2 * float32_message_bytes(parameters, CLIENT_SCALARS)
    assert metrics["finalizer"]["clients_ok"] == 2
    found, metrics = weights_after(process, ClientFlags.DROPOUT)
    assert_equal(found, fedavg[0])
    assert metrics["finalizer"]["clients_ok"] == metrics["aggregator"]["uplink_bytes"] == 0


@pytest.mark.parametrize("name", sorted(AGGREGATORS))
def test_aggregations_by_name_bound_what_a_client_can_do(fedavg, name):
    tables = {"data": {"num_clients": 2}, "server": {"update_norm_bound": 0.5, "noise_multiplier": 1e-4}}
    config = dataclasses.replace(settings(**tables), method="fedavg", aggregation=name)
    found, metrics = weights_after(METHODS["fedavg"](model_fn, DATA_TYPE, config))
    assert counted_by_formula(config) and not counted_by_formula(settings())
    parameters = model_fn().count_params()
    assert metrics["aggregator"]["uplink_bytes"] == 2 * float32_message_bytes(parameters, CLIENT_SCALARS)
    pairs = zip(tf.nest.flatten(found), tf.nest.flatten(fedavg[0]), strict=True)
    moved = np.sqrt(sum(np.square(a - b).sum() for a, b in pairs))
    assert 0.05 < moved < 0.51


def test_tffs_quantisation_is_close_to_fedavg_and_counted_by_formula(fedavg):
    found, metrics = weights_after(build_tff8bit(model_fn, DATA_TYPE, settings()))
    # No tensor of the tiny model is large enough to be quantised.
    assert max(differences(found, fedavg[1])) < 1e-5
    assert metrics["aggregator"]["uplink_bytes"] == 2 * float32_message_bytes(model_fn().count_params(), CLIENT_SCALARS)
    assert quantized_bytes((20_001, 20_000, 7)) == 16 + 16 + 20_001 + 8 + 4 * 20_007
