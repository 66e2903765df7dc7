"""Draws of faults, and configurations of them."""

import math

import pytest
from tiny_federation import settings

from tfc import config
from tfc.base.errors import ConfigError
from tfc.federated.client_data import ClientFlags
from tfc.replay.recorder import unrecordable
from tfc.simulation.faults import client_fault, poisoned_clients


def draws(**faults):
    experiment = settings(faults=faults)
    return [client_fault(experiment, number, client, 1) for number in range(1, 41) for client in range(10)]


def share(found, what):
    return sum(map(what, found)) / len(found)


def test_without_faults_every_client_is_honest():
    assert set(draws()) == {(ClientFlags.NONE, 1.0)}


def test_kinds_come_with_their_probabilities():
    found = draws(dropout=0.5, not_finite=0.5, corrupt=0.5)
    assert share(found, lambda fault: fault.flags == ClientFlags.DROPOUT) == pytest.approx(0.5, abs=0.08)
    assert share(found, lambda fault: math.isnan(fault.scale)) == pytest.approx(0.25, abs=0.08)
    assert share(found, lambda fault: fault.flags == ClientFlags.CORRUPT) == pytest.approx(0.125, abs=0.08)


def test_draws_depend_on_seed_round_client_and_attempt_and_on_nothing_else():
    keys = [(5, 1, 2, 1), (5, 2, 1, 1), (5, 1, 2, 2), (6, 1, 2, 1)]

    def drawn(seed, number, client, attempt):
        experiment = config.from_dict({"seed": seed, "faults": {"dropout": 0.5}})
        return [client_fault(experiment, number + 10 * each, client, attempt).flags for each in range(30)]

    found = [drawn(*key) for key in keys]
    assert found == [drawn(*key) for key in keys]
    assert len({tuple(each) for each in found}) == 4


def test_the_same_clients_are_poisoned_in_every_round():
    experiment = settings(faults={"poisoned_clients": 3, "poison_scale": -7.0})
    chosen = poisoned_clients(experiment)
    assert len(chosen) == 3 and chosen < set(range(10))
    for number in (1, 2):
        assert {client for client in range(10) if client_fault(experiment, number, client, 1).scale == -7.0} == chosen


@pytest.mark.parametrize(
    "tables,message",
    [
        ({"faults": {"min_clients": 11}}, "faults.min_clients must be at most the clients of a round = 10; found 11"),
        ({"faults": {"poisoned_clients": 11}}, "faults.poisoned_clients must be at most data.num_clients = 10"),
        ({"faults": {"dropout": 1.5}}, "faults.dropout must be at least 0 and at most 1; found 1.5"),
        ({"aggregation": "robust"}, "aggregation = 'robust' needs method = 'fedavg'"),
        ({"aggregation": "dp", "method": "fedavg"}, "aggregation = 'dp' needs server.update_norm_bound"),
    ],
)
def test_what_can_not_be_is_refused(tables, message):
    with pytest.raises(ConfigError, match=message):
        config.from_dict(tables)


@pytest.mark.parametrize(
    "tables,reason",
    [
        ({}, ""),
        ({"faults": {"dropout": 0.5, "deadline_seconds": 9.0}}, ""),
        ({"method": "stc"}, "method stc"),
        ({"method": "fedavg", "aggregation": "robust"}, "aggregation robust"),
        ({"faults": {"corrupt": 0.5}}, "faults.corrupt"),
        ({"faults": {"min_clients": 2}}, "faults.min_clients"),
        ({"server": {"update_norm_bound": 1.0}}, "server.update_norm_bound"),
    ],
)
def test_what_can_not_be_replayed_is_not_recorded(tables, reason):
    found = unrecordable(config.from_dict(tables))
    assert found.startswith(reason) and bool(found) == bool(reason)
