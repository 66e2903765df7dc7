"""Whole learning processes: FedAvg and FedCompress over several rounds on tiny data."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from tiny_federation import (
    CLASSES,
    DATA_TYPE,
    OOD,
    SHAPE,
    TRACES,
    assert_equal,
    data_of,
    examples,
    model_fn,
    settings,
    told_kernels,
    typed,
)

from tfc.codec import message as numpy_codec
from tfc.codec.message_spec import Kind, float32_message_bytes
from tfc.codec.palette import dequantize
from tfc.federated.client_data import ClientFlags
from tfc.federated.client_work import build_client_update
from tfc.federated.model_spec import CLIENT_SCALARS, clustered_spec
from tfc.methods.fedcompress import build_fedcompress
from tfc.registries import METHODS

CLIENTS = [examples(1, 24), examples(2, 16)]


def conv_settings(uplink, **changes):
    return settings(clustering={"layers": "conv"}, communication={"uplink": uplink}, **changes)


@pytest.fixture(scope="module")
def fedcompress(clustered):
    return build_fedcompress(model_fn, DATA_TYPE, conv_settings(clustered.uplink_mode), OOD)


@pytest.fixture(scope="module")
def fedavg(worker):
    return METHODS["fedavg"](model_fn, DATA_TYPE, settings())


def test_fedavg_is_the_weighted_mean_of_its_clients(fedavg, plain):
    state = fedavg.initialize()
    update = build_client_update(plain, DATA_TYPE, settings().training, "broadcast", 5)
    broadcast = state.global_model_weights
    answers = [
        numpy_codec.decode(bytes(update(broadcast.payload, broadcast.base, data)["update"]), plain.uplink).message
        for data in data_of(CLIENTS, 1)
    ]
    output = fedavg.next(state, data_of(CLIENTS, 1))
    for number, found in enumerate(output.state.global_model_weights.model.others):
        expected = 0.6 * answers[0].others[number] + 0.4 * answers[1].others[number]
        np.testing.assert_allclose(found, expected, atol=1e-5)
    weights = fedavg.get_model_weights(output.state)
    assert [w.shape for w in weights.trainable] == [tuple(v.shape) for v in model_fn().trainable_variables]
    parameters = model_fn().count_params()
    assert output.metrics["distributor"]["downlink_bytes"] == 2 * float32_message_bytes(parameters, 0)
    assert output.metrics["aggregator"]["uplink_bytes"] == 2 * float32_message_bytes(parameters, CLIENT_SCALARS)


def test_a_round_in_which_nobody_counts_changes_no_model(fedavg, fedcompress):
    for process in (fedavg, fedcompress):
        state = process.initialize()
        output = process.next(state, data_of(CLIENTS, 1, ClientFlags.DROPOUT))
        assert_equal(process.get_model_weights(output.state), process.get_model_weights(state))
        assert output.metrics["client_work"]["clients_failed"] == 2
        assert output.metrics["finalizer"]["clients_ok"] == 0


def run_rounds(process, rounds):
    state, history = process.initialize(), []
    for number in range(1, rounds + 1):
        output = process.next(state, data_of(CLIENTS, number))
        state = output.state
        history.append(tf.nest.map_structure(lambda value: np.asarray(value).tolist(), output.metrics))
    return state, history


@pytest.fixture(scope="module")
def three_rounds(fedcompress):
    before = TRACES["model_fn"]
    state, history = run_rounds(fedcompress, 3)
    # Tracing the client's or the server's computation builds the model; the number of clusters changes meanwhile.
    assert TRACES["model_fn"] == before > 0
    return state, history


def test_the_number_of_clusters_grows_within_one_trace(three_rounds):
    _, history = three_rounds
    assert [metrics["finalizer"]["num_clusters"] for metrics in history] == [4, 6, 8]


def test_the_first_broadcast_is_a_seed_and_later_ones_are_differences(three_rounds, fedcompress, clustered):
    state, history = three_rounds
    first = fedcompress.initialize().global_model_weights
    assert first.payload[3] == Kind.SEED and len(first.payload) == 24
    assert history[0]["distributor"]["downlink_bytes"] == 2 * 24
    assert_equal(numpy_codec.decode(bytes(first.payload), clustered.downlink).held, first.model)
    # Whoever held the broadcast before arrives at the server's model, bit for bit, with NumPy alone.
    last = state.global_model_weights
    assert last.payload[3] == Kind.DELTA and len(last.key_frame) == 0
    found = numpy_codec.decode(bytes(last.payload), clustered.downlink, typed(last.base))
    assert_equal(found.held, last.model)
    np.testing.assert_array_equal(found.message.scalars, last.control)


def test_methods_start_at_the_same_weights(fedcompress, fedavg, clustered):
    state = fedcompress.initialize()
    floats, others = clustered.layout.split(*fedavg.get_model_weights(fedavg.initialize()))
    for found, master in zip(floats, state.finalizer.master, strict=True):
        np.testing.assert_array_equal(found, master)
    assert_equal(others, state.global_model_weights.model.others)
    for palettized, master in zip(
        clustered.layout.split(*fedcompress.get_model_weights(state))[0], state.finalizer.master, strict=True
    ):
        assert np.abs(palettized - master).max() <= np.abs(master).max() / 4 * 1.1


def test_clients_that_may_have_missed_a_broadcast_can_get_key_frames_of_the_same_model(worker):
    changed = conv_settings("update", data={"num_clients": 5})
    changed = dataclasses.replace(changed, clients_per_round=2)
    process = build_fedcompress(model_fn, DATA_TYPE, changed, OOD)
    spec = clustered_spec(model_fn, changed)
    held = None
    state = process.initialize()
    for number in range(1, 4):
        broadcast = state.global_model_weights
        held = numpy_codec.decode(bytes(broadcast.payload), spec.downlink, held).held
        assert_equal(held, broadcast.model)
        assert_equal(numpy_codec.decode(bytes(broadcast.key_frame), spec.downlink).held, held)
        output = process.next(state, data_of(CLIENTS, number))
        assert output.metrics["distributor"]["key_frame_bytes"] == len(broadcast.key_frame)
        assert output.metrics["client_work"]["clients_failed"] == 0
        state = output.state


def test_the_models_own_first_weights_travel_as_a_key_frame(worker):
    changed = conv_settings("update", model={"initial": "own"})
    process = build_fedcompress(model_fn, DATA_TYPE, changed, OOD)
    state = process.initialize()
    assert state.global_model_weights.payload[3] == Kind.KEY_FRAME
    kernels, others = clustered_spec(model_fn, changed).layout.split(
        model_fn().trainable_variables, model_fn().non_trainable_variables
    )
    for master, kernel in zip(state.finalizer.master, kernels, strict=True):
        np.testing.assert_array_equal(master, kernel)
    assert_equal(state.global_model_weights.model.others, [other.numpy() for other in others])


def test_the_price_of_a_bit_follows_the_ratio_asked_for(worker):
    changed = settings(
        clustering={"layers": "conv"}, communication={"uplink": "update", "target_ratio": 400.0, "rate_weight": 0.2}
    )
    state, history = run_rounds(build_fedcompress(model_fn, DATA_TYPE, changed, OOD), 2)
    prices = [metrics["finalizer"]["rate_weight"] for metrics in history]
    assert prices == pytest.approx([0.25, 0.3125])  # it can't reach that, and raises its price each round
    assert state.global_model_weights.control == pytest.approx([0.3125])


def test_the_model_is_palettized_and_the_master_is_not(three_rounds, fedcompress, clustered):
    state, _ = three_rounds
    kernels, _ = clustered.layout.split(*fedcompress.get_model_weights(state))
    for kernel, palette, master in zip(
        kernels, state.global_model_weights.model.palettes, state.finalizer.master, strict=True
    ):
        np.testing.assert_array_equal(kernel, dequantize(palette))
        assert len(np.unique(kernel)) <= 8 < len(np.unique(master))
        assert np.abs(kernel - master).max() < 1


def test_equal_seeds_give_equal_metrics_and_weights(three_rounds, fedcompress):
    state, history = three_rounds
    again_state, again_history = run_rounds(fedcompress, 3)
    assert history == again_history
    assert_equal(state, again_state)


def test_the_students_batchnorm_statistics_are_the_aggregated_ones(fedcompress, clustered):
    state = fedcompress.initialize()
    update = build_client_update(clustered, DATA_TYPE, settings().training, "broadcast", 5)
    broadcast = state.global_model_weights
    held = typed(broadcast.model)
    before = held.others[-2:]
    payloads = [bytes(update(broadcast.payload, broadcast.base, data)["update"]) for data in data_of(CLIENTS, 1)]
    answers = [numpy_codec.decode(payload, clustered.uplink, held).message for payload in payloads]
    after = fedcompress.next(state, data_of(CLIENTS, 1)).state.global_model_weights.model.others
    statistics = list(zip(after, answers[0].others, answers[1].others, strict=True))[-2:]
    for old, (found, first, second) in zip(before, statistics, strict=True):
        mean = 0.6 * first + 0.4 * second
        # On the wire the largest change takes 5 bits: half a step is at most a 32nd of it.
        np.testing.assert_allclose(found, mean, atol=np.abs(mean - old).max() / 32 + 1e-6)


def test_model_weights_can_be_set_and_callers_models_still_work(fedcompress, fedavg):
    mine = model_fn()
    for process in (fedavg, fedcompress):
        state = process.initialize()
        weights = process.get_model_weights(state)
        changed = tf.nest.map_structure(lambda value: np.asarray(value) + np.float32(1), weights)
        found = process.get_model_weights(process.set_model_weights(state, changed))
        for left, right in zip(found.non_trainable, changed.non_trainable, strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-3)
        for left, right in zip(found.trainable, changed.trainable, strict=True):
            np.testing.assert_allclose(left, right, atol=0.6)
        found.assign_weights_to(mine)
    # Building processes traces Keras models into bare graphs, which must not break models of the caller.
    mine.compile(loss="mse")
    mine.evaluate(np.zeros((2, *SHAPE)), np.zeros((2, CLASSES)), verbose=0)


def one_round_by_hand(spec, state):
    """Decodes what two clients answer to a state's broadcast; returns the kernels sent and the answers' mean."""
    update = build_client_update(spec, DATA_TYPE, settings().training, "broadcast", 5)
    broadcast = state.global_model_weights
    held = typed(broadcast.model)
    first, second = (
        numpy_codec.decode(bytes(update(broadcast.payload, broadcast.base, data)["update"]), spec.uplink, held).message
        for data in data_of(CLIENTS, 1)
    )
    mean = [0.6 * a + 0.4 * b for a, b in zip(told_kernels(first), told_kernels(second), strict=True)]
    sent = [dequantize(palette) for palette in held.palettes]
    if spec.uplink_mode == "update":
        mean = [before + change for before, change in zip(sent, mean, strict=True)]
    return sent, mean


@pytest.mark.parametrize("master", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_the_finalizer_adds_the_mean_change_to_the_master_and_snaps(clustered, master):
    if clustered.uplink_mode == "update" and not master:
        pytest.skip("the configuration refuses it: updates need a master")
    changed = conv_settings(clustered.uplink_mode, server={"epochs": 0, "master": master})
    process = build_fedcompress(model_fn, DATA_TYPE, changed, OOD)
    state = process.initialize()
    sent, latent = one_round_by_hand(clustered, state)
    output = process.next(state, data_of(CLIENTS, 1))
    assert output.metrics["finalizer"]["distillation_loss"] == 0
    if master:
        initial = [np.asarray(kernel) for kernel in state.finalizer.master]
        latent = [old + (new - was) for old, new, was in zip(initial, latent, sent, strict=True)]
        for found, old, expected in zip(output.state.finalizer.master, initial, latent, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-5)
            assert np.abs(expected - old).max() > 1e-3
    clusters = output.metrics["finalizer"]["num_clusters"]
    for palette, weights in zip(output.state.global_model_weights.model.palettes, latent, strict=True):
        nearest = np.abs(weights[..., None] - palette.codebook[:clusters]).min(axis=-1)
        # Without distillation the student is its latent weights, each at its nearest centroid (rounded on the wire).
        np.testing.assert_allclose(np.abs(weights - dequantize(palette)), nearest, atol=1e-3)
        assert nearest.mean() < np.abs(weights - weights.mean()).mean() / 2


def test_distillation_changes_the_student_but_not_the_master(fedcompress, clustered):
    without = build_fedcompress(model_fn, DATA_TYPE, conv_settings(clustered.uplink_mode, server={"epochs": 0}), OOD)
    outputs = [process.next(process.initialize(), data_of(CLIENTS, 1)) for process in (fedcompress, without)]
    assert outputs[0].metrics["finalizer"]["distillation_loss"] > 0
    assert_equal(outputs[0].state.finalizer.master, outputs[1].state.finalizer.master)
    others = [output.state.global_model_weights.model.others for output in outputs]
    assert any((np.asarray(a) != np.asarray(b)).any() for a, b in zip(*others, strict=True))


def test_a_distillation_that_diverges_changes_no_model(worker):
    def too_bright():
        return OOD().map(lambda x: x * 3e38)

    process = build_fedcompress(model_fn, DATA_TYPE, conv_settings("update"), too_bright)
    state = process.initialize()
    output = process.next(state, data_of(CLIENTS, 1))
    assert output.metrics["finalizer"]["clients_ok"] == 2, "the clients did their part"
    assert output.metrics["finalizer"]["distillation_loss"] == 0
    assert_equal(process.get_model_weights(output.state), process.get_model_weights(state))
    assert_equal(output.state.finalizer.master, state.finalizer.master)
    assert output.state.finalizer.round == 1


def test_the_papers_settings_run_without_a_master(worker):
    changed = settings(
        clustering={"layers": "conv", "start": "kmeans++"},
        server={"master": False},
        communication={"uplink": "weights"},
    )
    process = build_fedcompress(model_fn, DATA_TYPE, changed, OOD)
    state, _ = run_rounds(process, 2)
    assert state.finalizer.master == ()
    assert all(len(np.unique(dequantize(palette))) <= 6 for palette in state.global_model_weights.model.palettes)


def test_without_server_side_compression_the_mean_of_palettes_goes_down_as_float32(worker):
    changed = settings(
        clustering={"layers": "conv", "start": "kmeans++"},
        server={"master": False, "compression": False},
        communication={"uplink": "weights"},
    )
    process, spec = build_fedcompress(model_fn, DATA_TYPE, changed, OOD), clustered_spec(model_fn, changed)
    state = process.initialize()
    assert len(state.global_model_weights.payload) == float32_message_bytes(model_fn().count_params(), 1)
    update = build_client_update(spec, DATA_TYPE, changed.training, "kmeans++", 5)
    broadcast = state.global_model_weights
    outcomes = [update(broadcast.payload, broadcast.base, data) for data in data_of(CLIENTS, 1)]
    first, second = (numpy_codec.decode(bytes(outcome["update"]), spec.uplink).message for outcome in outcomes)
    assert first.num_clusters == 4 and outcomes[0]["update"][3] == Kind.KEY_FRAME
    output = process.next(state, data_of(CLIENTS, 1))
    kernels, others = spec.layout.split(*process.get_model_weights(output.state))
    for found, a, b in zip(kernels, first.palettes, second.palettes, strict=True):
        np.testing.assert_allclose(found, 0.6 * dequantize(a) + 0.4 * dequantize(b), atol=1e-5)
        assert len(np.unique(dequantize(a))) <= 4 < len(np.unique(found)), "each client has centroids of its own"
    for found, a, b in zip(others, first.others, second.others, strict=True):
        np.testing.assert_allclose(found, 0.6 * a + 0.4 * b, atol=1e-5)
    # How many clusters the clients are to use travels with the broadcast.
    sent = numpy_codec.decode(bytes(output.state.global_model_weights.payload), spec.downlink).message
    assert sent.scalars == output.metrics["finalizer"]["num_clusters"] == 4
    state = process.next(output.state, data_of(CLIENTS, 2)).state
    assert state.global_model_weights.control == [6]
    silent = process.next(state, data_of(CLIENTS, 3, ClientFlags.DROPOUT)).state
    assert_equal(process.get_model_weights(silent), process.get_model_weights(state))


def test_builders_refuse_what_can_not_work(worker):
    with pytest.raises(ValueError, match="ood_fn must build a pipeline"):
        build_fedcompress(model_fn, DATA_TYPE, settings())
    with pytest.raises(ValueError, match="nothing to cluster"):
        build_fedcompress(model_fn, DATA_TYPE, settings(clustering={"max_clusters": 256}), OOD)
