"""Checkpoints: bit-exact for every method, checksummed, the newest sound one is used."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from codec_examples import assert_equal, random_held, spec_of
from tiny_federation import DATA_TYPE, OOD, data_of, examples, model_fn, settings

from tfc.federated.broadcast_tracker import BroadcastTracker
from tfc.registries import METHODS
from tfc.simulation.checkpoints import Checkpoint, latest_checkpoint, write_checkpoint
from tfc.simulation.folder import RoundMetrics

KEPT = random_held(0, spec_of([(2, 3), (4, 1)], [(5,), (2, 2)], 16), 7)
CLIENTS = [examples(1, 16), examples(2, 16)]
ROW = RoundMetrics(1, 0.1 + 0.2, 1e-9, 4, 0.5, 10, 20, 0, 0.8, 2, 0, 0.25)
STATE = {"model": (np.float32(0.1), np.array([np.nan, -0.0, 1e-45], np.float32)), "round": np.int32(3), "none": ()}


def checkpoint(number, state=None):
    rows = tuple(dataclasses.replace(ROW, round=each + 1) for each in range(number))
    tracker = BroadcastTracker([5, 7], {0: 2, 3: 1})
    return Checkpoint(number, STATE if state is None else state, tracker, rows, 1.5, {2: b"\0\1"}, {2: KEPT, 11: KEPT})


def bits(state):
    return [(np.asarray(leaf).dtype, np.asarray(leaf).tobytes()) for leaf in tf.nest.flatten(state)]


def read(folder, like=STATE):
    warnings = []
    return latest_checkpoint(folder, like, warnings.append), warnings


def test_everything_comes_back_bit_for_bit_and_two_files_stay(tmp_path):
    assert read(tmp_path / "none") == (None, [])
    for number in (1, 2, 9, 10):
        write_checkpoint(tmp_path, checkpoint(number))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["round-10", "round-9"]
    found, warnings = read(tmp_path)
    assert warnings == [] and bits(found.state) == bits(STATE)
    tf.nest.assert_same_structure(found.state, STATE)
    expected = checkpoint(10)
    for number, model in found.kept.items():
        assert_equal(model, expected.kept[number])
    assert sorted(found.kept) == [2, 11]
    changes = {"state": None, "kept": {}}
    assert dataclasses.replace(found, **changes) == dataclasses.replace(expected, **changes)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other"])
def test_a_damaged_checkpoint_is_skipped_with_one_line(tmp_path, damage):
    write_checkpoint(tmp_path, checkpoint(1))
    write_checkpoint(tmp_path, checkpoint(2, {"another": np.zeros(3)} if damage == "other" else None))
    newest = tmp_path / "round-2"
    content = bytearray(newest.read_bytes())
    content[-100] ^= 1
    damaged = {"cut": content[:200], "flipped": content, "empty": b"", "other": newest.read_bytes()}
    newest.write_bytes(damaged[damage])
    found, (warning,) = read(tmp_path)
    assert found.round == 1
    assert warning.startswith(f"warning: {newest}: skipped: ") and "\n" not in warning


@pytest.mark.parametrize(
    # FedCompress' is what tests/faults kills; STC's state is the largest: clients' memories.
    "method",
    [name if name == "stc" else pytest.param(name, marks=pytest.mark.slow) for name in sorted(METHODS)],
)
def test_a_process_goes_on_from_its_checkpoint_as_if_nothing_had_happened(worker, tmp_path, method):
    # Sampled clients: broadcasts have key frames, and one client's memory lags behind.
    config = settings(data={"num_clients": 2})
    process = METHODS[method](model_fn, DATA_TYPE, dataclasses.replace(config, method=method, clients_per_round=1), OOD)
    state = process.next(process.initialize(), data_of(CLIENTS, 1)).state
    write_checkpoint(tmp_path, checkpoint(1, state))
    found, warnings = read(tmp_path, process.initialize())
    assert warnings == [] and bits(found.state) == bits(state)
    for number in (2, 3):
        state, again = (process.next(each, data_of(CLIENTS, number)).state for each in (state, found.state))
        assert bits(again) == bits(state)
        found = dataclasses.replace(found, state=again)
