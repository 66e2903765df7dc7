"""Packing, patching and exporting as a user types it."""

import json
import os

import numpy as np
import pytest
from palettized_models import CLUSTERS, SHAPE, plain

from edge.cli import main
from edge.conversion.palettization import SMALLEST
from edge.formats.inspection import inspect


def lines_of(capsys):
    captured = capsys.readouterr()
    return captured.out.splitlines(), [line for line in captured.err.splitlines() if line.startswith("error: ")]


def test_pack_and_unpack(exported, tmp_path, capsys):
    original = (exported / "model-int8.tflite").read_bytes()
    path = tmp_path / "m.tflite"
    path.write_bytes(original)
    assert main(["pack", str(path)]) == 0
    path.unlink()
    assert main(["unpack", str(tmp_path / "m.tflite.packed")]) == 0
    assert path.read_bytes() == original
    out, _ = lines_of(capsys)
    assert "x smaller" in out[0] and "restored bit for bit" in out[1]


def test_patch_make_and_apply_leaves_the_old_file_whole(exported, tmp_path, capsys):
    old, packed = exported / "model-int8.tflite", exported / "model-int8.tflite.packed"
    before = old.read_bytes()
    assert main(["patch", "make", str(packed), str(old), "--out", str(tmp_path / "p")]) == 0
    assert main(["patch", "apply", str(old), str(tmp_path / "p"), "--out", str(tmp_path / "new.tflite")]) == 0
    assert (tmp_path / "new.tflite").read_bytes() == before
    lines_of(capsys)
    wrong = exported / "model-wo8.tflite"
    kept = wrong.read_bytes()
    assert main(["patch", "apply", str(wrong), str(tmp_path / "p"), "--out", str(wrong)]) == 1
    _, errors = lines_of(capsys)
    assert len(errors) == 1 and "was made for another file" in errors[0] and str(tmp_path / "p") in errors[0]
    assert wrong.read_bytes() == kept


def test_export_clusters_a_model_first_and_finds_calibration_beside_it(tmp_path, capsys):
    model = plain()
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.1, 1, weights.shape) for weights in model.get_weights()])
    model.save(tmp_path / "own.keras")
    np.savez(tmp_path / "calibration.npz", x=rng.random((30, *SHAPE), np.float32))
    words = ["export", str(tmp_path / "own.keras"), "--out", str(tmp_path / "out"), "--clusters", str(CLUSTERS)]
    assert main([*words, "--variants", "int8,packed"]) == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["own-int8.tflite", "own-int8.tflite.packed", "own-palettes.json"]
    rows = inspect(tmp_path / "out" / "own-int8.tflite")["kernels"]
    large = [row for row in rows if np.prod(row["shape"]) >= SMALLEST]
    assert large and all(row["distinct"] <= CLUSTERS for row in large)
    assert main([*words, "--variants", "packed", "--name", "small"]) == 0
    assert (tmp_path / "out" / "small-int8.tflite.packed").is_file()
    assert not (tmp_path / "out" / "small-int8.tflite").exists()


@pytest.mark.parametrize(
    "words,message",
    [
        (["unpack", "{good}/model-int8.tflite", "--out", "x"], "bytes 0 to 3 are not FCPK"),
        (["unpack", "{good}/model-int8.tflite"], "name the result with --out FILE"),
        (["pack", "{good}/test.npz"], "test.npz: not a TFLite model"),
        (["pack", "{good}/none"], "none: cannot be read"),
        (["patch", "make", "{good}/model-int8.tflite", "{good}/model-f32.tflite", "--out", "x"], "different architect"),
        (["patch", "apply", "{good}/model-int8.tflite", "{good}/test.npz", "--out", "x"], "are not FCPP"),
        (["verify", "{good}/model-int8.tflite", "{good}/test.npz"], "test.npz: not a TFLite model"),
        (["export", "{good}/model.keras", "--out", "x", "--cqat"], "--cqat trains the model: it needs --train"),
        (["export", "{good}/model.keras", "--out", "x", "--clusters", "1"], "--clusters must be between 2 and 128"),
    ],
)
def test_bad_input_gets_one_line_and_leaves_nothing(words, message, exported, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([word.format(good=exported) for word in words]) == 1
    _, errors = lines_of(capsys)
    assert len(errors) == 1 and message in errors[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option,starts", [("--json", "{"), ("--csv", "name,"), ("--html", "<!doctype html>")])
def test_bench_writes_its_result_alone_to_standard_output(option, starts, exported, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    words = ["bench", str(exported / "model-int8.tflite"), "--min-runs", "2", "--min-seconds", "0", option, "-"]
    assert main(words) == 0
    out, err = capfd.readouterr()
    assert out.lower().startswith(starts) and "model-int8.tflite" in out and "model-int8.tflite" in err
    assert list(tmp_path.iterdir()) == []
    if option == "--json":
        assert json.loads(out)["files"][0]["runtime"] == "ai-edge-litert"


def test_several_machines_do_not_share_standard_output(exported, capsys):
    words = ["bench", str(exported / "model-int8.tflite"), "--host", "one", "--host", "two", "--json", "-"]
    assert main(words) == 1
    assert "-: there is one result for each --host; give the name of a file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["verify", "pipe", "int8"],
        ["verify", "int8", "pipe"],
        ["verify", "f32", "int8", "--data", "pipe"],
        ["bench", "pipe"],
        ["bench", "int8", "--data", "pipe"],
        ["inspect", "pipe"],
        ["pack", "pipe"],
        ["unpack", "pipe"],
        ["patch", "make", "int8", "pipe", "--out", "patch"],
    ],
    ids=" ".join,
)
def test_a_pipe_that_can_not_be_read_is_refused_at_once(words, exported, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    models = {form: str(exported / f"model-{form}.tflite") for form in ("f32", "int8")}
    assert main([models.get(word, word) for word in words]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "pipe" in error
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_sizes_that_are_not_fixed_are_refused(tmp_path, capsys):
    import tensorflow as tf

    model = tf.keras.Sequential([tf.keras.Input((None, None, 3)), tf.keras.layers.Conv2D(2, 3, padding="same")])
    run = tf.function(lambda x: model(x)).get_concrete_function(tf.TensorSpec((1, None, None, 3), name="image"))
    path = tmp_path / "dynamic.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([run], model).convert())
    capsys.readouterr()
    assert main(["bench", str(path)]) == 1
    _, errors = lines_of(capsys)
    assert (
        len(errors) == 1 and "has no fixed size, (1, ?, ?, 3); convert the model with a fixed input shape" in errors[0]
    )


def test_a_model_of_large_activations_and_few_weights_runs_in_tflm(tmp_path):
    import tensorflow as tf

    from edge.conversion.variants import export
    from edge.running.loaded_model import TfliteModel
    from edge.running.runtime import find_runtime

    layers = tf.keras.layers
    model = tf.keras.Sequential([tf.keras.Input((96, 96, 1)), layers.Conv2D(8, 1), layers.GlobalAveragePooling2D()])
    model.save(tmp_path / "model.keras")
    x = np.random.default_rng(0).random((4, 96, 96, 1), np.float32)
    np.savez(tmp_path / "calibration.npz", x=x)
    path = export(tmp_path / "model.keras", tmp_path, ("int8",)).paths["int8"]
    opened = TfliteModel(path, find_runtime("tflm"))
    assert opened.arena_bytes > 10 * path.stat().st_size
    np.testing.assert_allclose(opened.predict(x), model(x), atol=0.02)
