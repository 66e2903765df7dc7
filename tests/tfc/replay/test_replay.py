"""Recorded payloads, played again by NumPy clients that know nothing else; sweeps."""

import json
import shutil

import numpy as np
import pytest

from tfc import config
from tfc.base.errors import ConfigError, RunError
from tfc.cli import main
from tfc.replay.replay import replay
from tfc.simulation.folder import read_run
from tfc.simulation.loop import run
from tfc.simulation.sweep import parse_axis, plan, run_all


@pytest.fixture(
    scope="module",
    params=[
        "everyone-update",
        "sampled-update",
        pytest.param("sampled-weights", marks=pytest.mark.slow),
        "sampled-fedavg",
        "faulty-fedavg",
    ],
)
def recorded(request, worker, tiny_settings, tmp_path_factory):
    changes = {
        "everyone-update": [],
        "sampled-update": ["clients_per_round=1", "rounds=7", "training.learning_rate=1e-4"],
        "sampled-weights": [
            "clients_per_round=2",
            "communication.uplink=weights",
            "training.clustered_epochs=1",
            "rounds=4",
        ],
        "sampled-fedavg": ["method=fedavg", "clients_per_round=2", "rounds=3"],
        "faulty-fedavg": ["method=fedavg", "rounds=4", "faults.dropout=0.2", "faults.not_finite=0.3"],
    }[request.param]
    out = tmp_path_factory.mktemp("recorded") / request.param
    return run(config.load("demo", [*tiny_settings, *changes]), out, record_payloads=True, progress=False)


def test_numpy_clients_arrive_at_the_servers_models_bit_for_bit(recorded, capsys):
    rounds = replay(recorded.path, deflate=True)
    assert [row.round for row in rounds] == [row.round for row in recorded.rounds]
    assert all(row.broadcast_equal and row.mean_equal for row in rounds)
    for replayed, metrics in zip(rounds, recorded.rounds, strict=True):
        assert replayed.uplink_bytes == metrics.uplink_bytes
        assert replayed.downlink_bytes == metrics.downlink_bytes
    files = {way: list((recorded.path / "payloads").glob(f"round-*/{way}-*.fc")) for way in ("up", "down")}
    assert sum(path.stat().st_size for path in files["up"]) == recorded.summary["uplink_bytes"]
    assert sum(path.stat().st_size for path in files["down"]) == recorded.summary["downlink_bytes"]
    if recorded.path.name == "sampled-fedavg":
        assert recorded.summary["communication_ratio"] == 1
    fedavg = recorded.summary["fedavg_bytes"]
    deflated = sum(row.deflated_bytes for row in rounds)
    if recorded.summary["method"] == "fedavg":
        assert deflated > 0.8 * fedavg, "float32 weights hardly deflate"
    else:
        assert fedavg / recorded.summary["communication_ratio"] < deflated < fedavg
    assert main(["replay", str(recorded.path)]) == 0
    printed = capsys.readouterr().out
    assert f"{len(rounds)} rounds, all of config.toml" in printed
    assert "model.keras: the model that the payloads end with, bit for bit" in printed


def test_the_model_of_a_round_is_what_clients_were_sent(recorded, tmp_path, capsys):
    import tensorflow as tf

    from tfc.codec.palette import dequantize
    from tfc.replay.replay import broadcast_model

    out = tmp_path / "round-2.keras"
    assert main(["replay", str(recorded.path), "--round", "2", "--model", str(out)]) == 0
    model = tf.keras.models.load_model(out, compile=False)
    held = broadcast_model(recorded.path, 2)
    expected = [*(dequantize(palette) for palette in held.palettes), *held.others]
    total = sum(float(np.abs(weights).sum()) for weights in model.get_weights())
    assert total == pytest.approx(sum(float(np.abs(weights).sum()) for weights in expected), rel=1e-5)
    kernels = {weights.tobytes() for weights in model.get_weights()}
    assert all(np.asarray(weights, np.float32).tobytes() in kernels for weights in expected)
    assert main(["replay", str(recorded.path), "--round", "99", "--model", str(out)]) == 1
    assert "found 99" in capsys.readouterr().err
    assert main(["replay", str(recorded.path), "--round", "1"]) == 1
    assert "--round and --model must be given together" in capsys.readouterr().err


def test_with_everyone_there_is_no_key_frame_and_the_first_broadcast_is_a_seed(recorded):
    payloads = [path.read_bytes() for path in sorted((recorded.path / "payloads").glob("round-*/down-*.fc"))]
    kinds = [content[3] for content in payloads]
    if recorded.path.name == "everyone-update":
        assert kinds == [3] * 3 + [1] * 6
        assert recorded.rounds[0].downlink_bytes == 3 * 24
    if recorded.path.name == "sampled-weights":
        assert {row.key_frame_bytes > 0 for row in recorded.rounds} == {True}
    if recorded.path.name == "sampled-update":
        assert {0, 1, 3} > set(kinds) - {4} and 4 in kinds  # whoever missed rounds caught up from what it held
        sizes = {kind: sum(len(content) for content in payloads if content[3] == kind) for kind in (0, 4)}
        assert sum(row.downlink_catch_up_bytes for row in recorded.rounds) == sizes[4] > 0
        assert sum(row.downlink_key_frame_bytes for row in recorded.rounds) == sizes[0]


def test_what_was_changed_since_is_found(recorded, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(recorded.path, copy)
    place = copy / "payloads" / "round-002"
    digests = json.loads((place / "digests.json").read_text())
    (place / "digests.json").write_text(json.dumps({**digests, "mean": "0" * 64}))
    assert main(["replay", str(copy)]) == 1
    assert "differ in round 2" in capsys.readouterr().err
    damaged = next(iter(place.glob("up-*.fc")))
    damaged.write_bytes(damaged.read_bytes()[:-7] + bytes(7))
    assert main(["replay", str(copy)]) == 1
    assert f"{damaged.name} is not what was recorded" in capsys.readouterr().err
    (place / "digests.json").write_text(json.dumps({name: digests[name] for name in ("broadcast", "mean", "answers")}))
    assert main(["replay", str(copy)]) == 1  # as older versions recorded it
    error = capsys.readouterr().err
    assert "round-002" in error and "the checksum does not match" in error and "Traceback" not in error
    damaged.unlink()
    with pytest.raises(RunError, match="round-002"):
        replay(copy)
    shutil.rmtree(copy / "payloads")
    with pytest.raises(RunError, match="no recorded payloads; make them with: tfc run"):
        replay(copy)


def test_a_sweep_runs_every_combination_and_keeps_what_is_finished(worker, tiny_settings, tmp_path, capsys):
    out = tmp_path / "sweep"
    words = ["sweep", "demo", "--methods", "fedavg", "--seeds", "0", "1", "--out", str(out), "--quiet"]
    words += [word for text in [*tiny_settings, "rounds=1"] for word in ("--set", text)]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "| fedavg-seed0 |" in printed and "| fedavg-seed1 |" in printed and "| fedavg |     2 |" in printed
    runs = [read_run(out / f"fedavg-seed{seed}") for seed in (0, 1)]
    assert [finished.summary["seed"] for finished in runs] == [0, 1]
    stamps = [(finished.path / "summary.json").stat().st_mtime_ns for finished in runs]
    (out / "fedavg-seed1" / "summary.json").unlink()
    assert main(words) == 0
    assert (out / "fedavg-seed0" / "summary.json").stat().st_mtime_ns == stamps[0]
    assert (out / "fedavg-seed1" / "summary.json").stat().st_mtime_ns > stamps[1]
    assert main([*words, "--set", "training.batch_size=4"]) == 1
    assert "fedavg-seed0 is a finished run with other settings" in capsys.readouterr().err


def test_a_sweep_is_planned_before_it_runs():
    axes = [("method", ["fedcompress"]), parse_axis("clustering.max_clusters=16,24"), ("seed", ["0", "1"])]
    planned = plan("demo", ["rounds=2"], axes)
    assert [each.name for each in planned] == [
        f"fedcompress-max_clusters{clusters}-seed{seed}" for clusters in (16, 24) for seed in (0, 1)
    ]
    assert planned[3].config.clustering.max_clusters == 24 and planned[3].config.seed == 1
    for words in ("seed=1,2", "method=fedavg"):
        with pytest.raises(ConfigError, match="use --"):
            parse_axis(words)
    with pytest.raises(ConfigError, match="the sweep varies this key"):
        plan("demo", ["seed=3"], axes)
    with pytest.raises(ConfigError, match="key=value,value"):
        parse_axis("rounds")
    with pytest.raises(ConfigError, match=r"clustering\.max_clusters must be"):
        plan("demo", [], [parse_axis("clustering.max_clusters=0")])
    assert run_all([], "nowhere") == []


def test_another_model_file_than_the_payloads_end_with_is_found(recorded, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(recorded.path, copy)
    assert main(["replay", str(copy), "--round", "1", "--model", str(copy / "model.keras")]) == 0
    capsys.readouterr()
    assert main(["replay", str(copy)]) == 1
    assert "model.keras: not the model that the payloads end with" in capsys.readouterr().err
    (copy / "payloads" / "final.fc").unlink()
    assert main(["replay", str(copy)]) == 0  # as older versions recorded it
    assert "model.keras was not checked" in capsys.readouterr().out
