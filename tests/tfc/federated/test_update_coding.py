"""Methods with coded updates over several rounds on tiny data."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from tiny_federation import DATA_TYPE, assert_equal, data_of, examples, model_fn, settings

from tfc.base.errors import ConfigError
from tfc.codec.message_spec import ReferenceModel
from tfc.federated.client_data import ClientFlags
from tfc.federated.update_coding_client import build_update_coding_client_update
from tfc.methods.eden import eden_spec
from tfc.methods.fedzip import fedzip_spec
from tfc.methods.stc import stc_spec
from tfc.registries import METHODS
from tfc.update_codecs.message import Form

CLIENTS = [examples(1, 24), examples(2, 16)]
SPECS = {"stc": stc_spec, "fedzip": fedzip_spec, "eden": eden_spec}


class Federation:
    """A method's process and one client's computation; under STC clients are sampled."""

    def __init__(self, method):
        self.method = method
        config = settings(communication={"sparsity": 0.1}, data={"num_clients": 3})
        self.config = dataclasses.replace(config, clients_per_round=2 if method == "stc" else 0)
        self.spec = SPECS[method](model_fn, self.config)
        self.process = METHODS[method](model_fn, DATA_TYPE, self.config)
        self.update = build_update_coding_client_update(self.spec, DATA_TYPE, self.config.training, self.config.seed)


@pytest.fixture(scope="module")
def stc(worker):
    return Federation("stc")


@pytest.fixture(scope="module", params=sorted(SPECS))
def federation(request, worker):
    return request.getfixturevalue("stc") if request.param == "stc" else Federation(request.param)


@pytest.fixture(scope="module")
def first_weights(worker):
    fedavg = METHODS["fedavg"](model_fn, DATA_TYPE, settings())
    return fedavg.get_model_weights(fedavg.initialize())


def held(model):
    return ReferenceModel(tf.constant(0), (), (), tuple(tf.constant(value) for value in model.others))


def test_types(federation):
    process, spec = federation.process, federation.spec
    state = process.initialize.type_signature.result.member
    assert spec.model.broadcast_type.is_assignable_from(state.global_model_weights)
    size = sum(np.prod(shape) for shape in spec.model.layout.trainable_shapes if len(shape) > 1)
    assert str(state.client_work) == {"stc": f"float32[3,{size}]"}.get(federation.method, "float32[0,0]")
    result = federation.update.type_signature.result
    assert str(result.update) == "uint8[?]"


def test_all_methods_start_at_fedavgs_weights(federation, first_weights):
    process = federation.process
    state = process.initialize()
    assert_equal(process.get_model_weights(state), first_weights)
    form = Form.WEIGHTS if federation.method == "fedzip" else Form.SEED
    assert state.global_model_weights.payload[3] == form
    if form == Form.SEED:
        assert len(state.global_model_weights.payload) == 16


def test_a_round_by_hand(federation):
    """Clients' answers decoded, averaged and sent down again; what is lost stays where it should."""
    process, spec = federation.process, federation.spec
    state = process.initialize()
    for number in (1, 2):
        broadcast = state.global_model_weights
        memory = np.asarray(state.client_work)
        model = held(broadcast.model)
        outcomes = [
            federation.update(broadcast.payload, broadcast.base, memory, data) for data in data_of(CLIENTS, number)
        ]
        answers = [spec.uplink.decode(tf.constant(outcome["update"]), model) for outcome in outcomes]
        assert all(bool(sound) for _, _, sound in answers)
        assert [scalars[0] for _, scalars, _ in answers] == [24, 16]
        mean = [0.6 * a + 0.4 * b for a, b in zip(answers[0][0], answers[1][0], strict=True)]
        output = process.next(state, data_of(CLIENTS, number))
        new = output.state.global_model_weights
        assert output.metrics["aggregator"]["uplink_bytes"] == sum(len(outcome["update"]) for outcome in outcomes)
        assert output.metrics["distributor"]["downlink_bytes"] == 2 * len(broadcast.payload)
        values, _, sound = spec.downlink.decode(tf.constant(new.payload), model)
        assert sound
        assert_equal(values, new.model.others)
        if federation.method == "fedzip":
            for found, expected in zip(new.model.others, mean, strict=True):
                np.testing.assert_allclose(found, expected, atol=1e-5)
        else:
            sent, _ = spec.downlink.divide(model.others)
            reached, _ = spec.downlink.divide(tuple(mean))
            master = np.asarray(state.finalizer.master) + (reached - sent)
            np.testing.assert_allclose(output.state.finalizer.master, master, atol=1e-5)
            got, _ = spec.downlink.divide(tuple(new.model.others))
            left, change = np.linalg.norm(master - got), np.linalg.norm(master - sent)
            assert 0 < left < change, "the broadcast moves towards the server's weights"
        if federation.method == "stc":
            # What a client's codec lost is what it remembers, row by row.
            np.testing.assert_array_equal(
                output.state.client_work[:2], np.stack([np.asarray(outcome["lost"]) for outcome in outcomes])
            )
            told, _ = spec.uplink.divide(answers[0][0])
            change = np.unique(np.abs(told - spec.uplink.divide(model.others)[0]) > 1e-7, return_counts=True)[1]
            assert change[1] == spec.uplink.codec.count
        state = output.state


def test_a_client_adds_what_it_remembers(stc):
    state = stc.process.initialize()
    broadcast = state.global_model_weights
    memory = np.zeros(stc.spec.memory_shape, np.float32)
    memory[1, 3] = 50.0
    first, second = (stc.update(broadcast.payload, broadcast.base, memory, data) for data in data_of(CLIENTS, 1))
    told, _, _ = stc.spec.uplink.decode(tf.constant(second["update"]), held(broadcast.model))
    sent, _ = stc.spec.uplink.divide(held(broadcast.model).others)
    changes = stc.spec.uplink.divide(told)[0] - sent
    assert changes[3] > 0.5, "the remembered change is the largest now"
    assert np.abs(first["lost"]).max() < 1 < second["lost"][3]


def test_a_round_in_which_nobody_counts_changes_no_model_and_no_memory(federation):
    process = federation.process
    state = process.next(process.initialize(), data_of(CLIENTS, 1)).state
    output = process.next(state, data_of(CLIENTS, 2, ClientFlags.DROPOUT))
    assert_equal(process.get_model_weights(output.state), process.get_model_weights(state))
    assert_equal(output.state.client_work, state.client_work)
    assert output.metrics["client_work"]["clients_failed"] == 2
    assert output.metrics["finalizer"]["clients_ok"] == 0


def test_equal_seeds_give_equal_states_and_weights_can_be_set(federation):
    process = federation.process
    states = []
    for _ in range(2):
        state = process.initialize()
        for number in (1, 2):
            state = process.next(state, data_of(CLIENTS, number)).state
        states.append(state)
    assert_equal(*states)
    weights = tf.nest.map_structure(lambda value: np.asarray(value) + 1, process.get_model_weights(states[0]))
    changed = process.set_model_weights(states[0], weights)
    assert_equal(process.get_model_weights(changed), weights)
    output = process.next(changed, data_of(CLIENTS, 3))
    assert output.metrics["finalizer"]["clients_ok"] == 2


def test_clients_that_missed_a_broadcast_arrive_at_the_same_model_either_way(stc):
    spec, process = stc.spec, stc.process
    state = process.initialize()
    chain = held(state.global_model_weights.model)
    for number in (1, 2):
        state = process.next(state, data_of(CLIENTS, number)).state
        broadcast = state.global_model_weights
        chain = ReferenceModel(tf.constant(0), (), (), spec.downlink.decode(tf.constant(broadcast.payload), chain)[0])
        assert_equal(chain.others, broadcast.model.others)
        alone, _, sound = spec.downlink.decode(tf.constant(broadcast.key_frame), chain)
        assert sound
        assert_equal(alone, broadcast.model.others)
    memory = np.abs(np.asarray(state.client_work)).max(axis=1)
    assert (memory[:2] > 0).all() and (memory[2:] == 0).all()


def test_recording_payloads_is_refused_with_one_line(tiny_settings, tmp_path):
    from tfc import config
    from tfc.simulation.loop import run

    with pytest.raises(ConfigError, match="--record-payloads does not go with method stc: 'tfc replay' knows fedavg"):
        run(config.load("demo", [*tiny_settings, "method=stc"]), tmp_path / "run", record_payloads=True)
    assert not (tmp_path / "run").exists()
