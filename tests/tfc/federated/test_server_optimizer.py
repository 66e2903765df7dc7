"""The server's optimiser: its numbers against NumPy, and its effect in every method."""

import numpy as np
import pytest
import tensorflow as tf
from tiny_federation import DATA_TYPE, OOD, assert_equal, data_of, examples, model_fn, settings

import tfc
from tfc.config import ServerOptimizerConfig
from tfc.federated.client_data import ClientFlags
from tfc.federated.server_optimizer import ServerOptimizer

SHAPES = ((2,), (3, 1))
CLIENTS = [examples(1), examples(2, train=16)]


def rounds_of(optimizer, changes, counts=None):
    """The weights after each round in which the clients' mean is the server's model plus a change."""
    state, weights, found = optimizer.initial_state(), tuple(tf.zeros(shape) for shape in SHAPES), []
    statistic = tf.zeros([2])
    for number, change in enumerate(changes):
        means = (*(value + change for value in weights), statistic + 7.0)
        valid = tf.constant(counts is None or counts[number])
        state, values = optimizer.step(state, (*weights, statistic), means, valid)
        weights = values[: len(SHAPES)]
        statistic = values[-1]
        found.append([value.numpy() for value in values])
    return found


def test_the_mean_itself_is_the_new_model_by_default():
    found = rounds_of(ServerOptimizer(ServerOptimizerConfig(), 3, SHAPES), [1.0, 2.0])
    assert [float(values[0][0]) for values in found] == [1.0, 3.0]


def test_momentum_adds_up_changes_and_fades_to_nothing_in_the_last_round():
    config = ServerOptimizerConfig("momentum", learning_rate=0.5, momentum=0.8, fade_rounds=2)
    changes = [1.0, -2.0, 3.0, 1.0, 5.0]
    found = rounds_of(ServerOptimizer(config, 5, SHAPES), changes)
    weight = velocity = 0.0
    for change, momentum, values in zip(changes, [0.8, 0.8, 0.8, 0.4, 0.0], found, strict=True):
        velocity = momentum * velocity + change
        weight += 0.5 * velocity
        for value in values[:-1]:
            np.testing.assert_allclose(value, weight, rtol=1e-6)
    # What is no trained weight, such as BatchNorm's statistics, is the clients' mean.
    np.testing.assert_array_equal([values[-1][0] for values in found], [7, 14, 21, 28, 35])


def test_adam_follows_its_paper():
    config = ServerOptimizerConfig("adam", learning_rate=0.1, momentum=0.9, second_momentum=0.99, epsilon=1e-3)
    changes = [1.0, -2.0, 3.0]
    found = rounds_of(ServerOptimizer(config, 3, SHAPES), changes)
    weight = first = second = 0.0
    for number, (change, values) in enumerate(zip(changes, found, strict=True), 1):
        first, second = 0.9 * first + 0.1 * change, 0.99 * second + 0.01 * change**2
        rate = 0.1 * np.sqrt(1 - 0.99**number) / (1 - 0.9**number)
        weight += rate * first / (np.sqrt(second) + 1e-3)
        np.testing.assert_allclose(values[1], weight, rtol=1e-3)


@pytest.mark.parametrize("name", tfc.config.ServerOptimizerConfig.__dataclass_fields__["name"].metadata["allowed"])
def test_a_round_that_does_not_count_changes_neither_weights_nor_memory(name):
    optimizer = ServerOptimizer(ServerOptimizerConfig(name, momentum=0.5), 100, SHAPES)
    without = rounds_of(optimizer, [1.0, 2.0])
    between = rounds_of(optimizer, [1.0, 9.0, 2.0], [True, False, True])
    assert_equal(between[0], between[1])
    assert_equal(without[-1], between[-1])


def process_of(method, **optimizer):
    changed = settings(
        training={"clustered_epochs": 0}, server={"epochs": 0}, server_optimizer=optimizer, communication={}
    )
    return tfc.METHODS[method].build(model_fn, DATA_TYPE, changed, OOD)


def two_rounds(process):
    states = [process.initialize()]
    for number in (1, 2):
        states.append(process.next(states[-1], data_of(CLIENTS, number)).state)
    return states


@pytest.mark.parametrize("method", ["fedavg", "tff8bit", "stc", "fedcompress"])
def test_momentum_takes_a_share_of_the_first_rounds_change_into_the_second(worker, method):
    plain, process = process_of(method), process_of(method, name="momentum", momentum=0.5)
    usual, moved = two_rounds(plain), two_rounds(process)

    def trained(state, process):
        kept = getattr(state.finalizer, "master", ())
        if method in ("fedcompress", "stc"):
            return [np.asarray(part) for part in tf.nest.flatten(kept)]
        return [np.asarray(part) for part in process.get_model_weights(state).trainable]

    weights = [*(trained(state, plain) for state in usual), trained(moved[2], process)]
    assert weights[0], "there is something to compare"
    for start, first, by_mean, by_momentum in zip(*weights, strict=True):
        assert np.abs(first - start).max() > 1e-4
        # 8-bit quantisation draws its roundings anew in each run.
        tolerance = 0.02 if method == "tff8bit" else 1e-5
        np.testing.assert_allclose(by_momentum - by_mean, 0.5 * (first - start), atol=tolerance)
    statistics = [np.asarray(p.get_model_weights(s[1]).non_trainable[0]) for p, s in ((plain, usual), (process, moved))]
    np.testing.assert_allclose(*statistics, atol=1e-5)
    silent = process.next(moved[2], data_of(CLIENTS, 3, ClientFlags.DROPOUT)).state
    assert_equal(process.get_model_weights(silent), process.get_model_weights(moved[2]))
