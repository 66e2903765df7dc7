"""Each kind of fault in a real learning process: it is counted, and what it must not touch stays as it is."""

import dataclasses

import numpy as np
import pytest
from tiny_federation import DATA_TYPE, assert_equal, examples, model_fn, settings

from tfc.base.errors import RunError
from tfc.federated.broadcast_tracker import BroadcastTracker
from tfc.federated.client_data import ClientFlags, client_data
from tfc.registries import METHODS
from tfc.simulation.round import play_round, sampled_clients

CLIENTS = [examples(seed, 16) for seed in range(4)]


def federation(method="fedavg", clients_per_round=0, **tables):
    tables = {"data": {"num_clients": 4}, "training": {"batch_size": 8, "learning_rate": 0.01}, **tables}
    return dataclasses.replace(settings(**tables), method=method, clients_per_round=clients_per_round)


@pytest.fixture(scope="module")
def fedavg(worker):
    return METHODS["fedavg"](model_fn, DATA_TYPE, federation())


def play(process, config, state=None, number=1, tracker=None):
    state = process.initialize() if state is None else state
    return play_round(config, process, state, CLIENTS, tracker or BroadcastTracker(), number)


def weights(process, state):
    found = process.get_model_weights(state)
    return [*found.trainable, *found.non_trainable]


@pytest.mark.parametrize("kind,column", [("dropout", "dropped"), ("not_finite", "not_finite"), ("corrupt", "corrupt")])
def test_every_kind_is_counted_in_its_own_column_and_leaves_the_model(fedavg, kind, column):
    before = weights(fedavg, fedavg.initialize())
    played = play(fedavg, federation(faults={kind: 1.0}))
    counts = {name: getattr(played, f"clients_{name}") for name in ("dropped", "not_finite", "corrupt", "late")}
    assert counts == {**dict.fromkeys(counts, 0), column: 4}
    assert (played.clients_ok, played.attempts) == (0, 1)
    assert_equal(weights(fedavg, played.state), before)
    # A damaged answer did arrive; the others' did not.
    assert (played.uplink_bytes > 0) == (kind == "corrupt")
    assert played.downlink_bytes > 0


def test_sound_clients_count_whatever_happens_to_the_others(fedavg):
    played = play(fedavg, federation(faults={"dropout": 0.3, "not_finite": 0.3, "corrupt": 0.3}))
    failed = played.clients_dropped + played.clients_not_finite + played.clients_corrupt
    assert played.clients_ok + failed == 4 and 0 < failed < 4
    assert all(np.isfinite(tensor).all() for tensor in weights(fedavg, played.state))


def test_a_deadline_parts_the_slow_from_the_fast(fedavg):
    alone = play(fedavg, federation())
    assert alone.clients_late == 0 and alone.simulated_seconds > 0
    played = play(fedavg, federation(faults={"deadline_seconds": alone.simulated_seconds * 0.99}))
    assert (played.clients_late, played.clients_ok) == (1, 3)
    assert played.simulated_seconds == pytest.approx(alone.simulated_seconds * 0.99)
    assert played.uplink_bytes == alone.uplink_bytes * 3 // 4
    just_in_time = play(fedavg, federation(faults={"deadline_seconds": alone.simulated_seconds * 1.01}))
    assert just_in_time.clients_late == 0
    assert_equal(weights(fedavg, just_in_time.state), weights(fedavg, alone.state))


def test_a_round_with_too_few_answers_is_repeated_with_others_and_counts_what_it_cost(fedavg):
    config = federation(clients_per_round=2, faults={"dropout": 0.5, "min_clients": 2, "max_attempts": 40})
    number = next(each for each in range(1, 30) if play(fedavg, config, number=each).attempts > 1)
    tracker = BroadcastTracker()
    played = play(fedavg, config, number=number, tracker=tracker)
    assert played.clients_ok == 2 and played.attempts > 1 and played.clients_dropped >= played.attempts - 1
    assert sampled_clients(config, number) != sampled_clients(config, number, 2) or played.attempts > 2
    # Only the attempt that counted is in the model: its clients alone give the same one.
    chosen = sampled_clients(config, number, played.attempts)
    state = fedavg.initialize()
    alone = fedavg.next(state, [client_data(CLIENTS[client], client, number) for client in chosen])
    assert_equal(weights(fedavg, played.state), weights(fedavg, alone.state))
    # Whoever holds the broadcast already is not sent it again.
    assert len(tracker.payload_bytes) == 1
    assert played.downlink_bytes == len(tracker.last_held) * tracker.payload_bytes[0]


def test_attempts_come_to_an_end(fedavg):
    config = federation(faults={"dropout": 1.0, "min_clients": 1, "max_attempts": 2})
    with pytest.raises(RunError, match=r"round 1: faults\.min_clients = 1 .* in faults\.max_attempts = 2 attempts"):
        play(fedavg, config)


def error_on_clients(weights_found):
    model = model_fn()
    for variable, value in zip(model.trainable_variables, weights_found.trainable, strict=True):
        variable.assign(value)
    for variable, value in zip(model.non_trainable_variables, weights_found.non_trainable, strict=True):
        variable.assign(value)
    x = np.concatenate([client.x_train for client in CLIENTS])
    y = np.concatenate([client.y_train for client in CLIENTS])
    return float(np.mean(np.argmax(model(x, training=False).numpy(), axis=1) != y))


def test_one_poisoned_client_ruins_a_plain_run_and_not_one_with_a_bound(fedavg):
    poison = {"poisoned_clients": 1, "poison_scale": -40.0}
    bounded_config = federation(faults=poison, server={"update_norm_bound": 0.5})
    bounded = METHODS["fedavg"](model_fn, DATA_TYPE, bounded_config)
    errors = {}
    for name, process, config in (
        ("honest", fedavg, federation()),
        ("poisoned", fedavg, federation(faults=poison)),
        ("bounded", bounded, bounded_config),
    ):
        state = process.initialize()
        for number in range(1, 9):
            played = play(process, config, state, number)
            state = played.state
            assert played.clients_ok == 4
        errors[name] = error_on_clients(process.get_model_weights(state))
    assert errors["poisoned"] > errors["honest"] + 0.2
    assert errors["bounded"] < errors["poisoned"] - 0.15


def test_a_client_whose_answer_was_damaged_remembers_what_it_did_before(worker):
    process = METHODS["stc"](model_fn, DATA_TYPE, federation("stc"))
    state = play(process, federation("stc")).state
    memory = np.asarray(state.client_work)
    assert np.abs(memory).sum(axis=1).all()
    for faults in ({"corrupt": 1.0}, {"dropout": 1.0}, {"deadline_seconds": 1e-6}):
        played = play(process, federation("stc", faults=faults), state, 2)
        np.testing.assert_array_equal(played.state.client_work, memory)
        assert played.clients_ok == 0
    flagged = [client_data(each, n, 2, ClientFlags.CORRUPT * (n == 1)) for n, each in enumerate(CLIENTS)]
    after = np.asarray(process.next(state, flagged).state.client_work)
    assert [bool(np.array_equal(*rows)) for rows in zip(after, memory, strict=True)] == [False, True, False, False]
