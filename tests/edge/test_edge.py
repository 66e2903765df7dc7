"""Export and benchmark, in Python and as a user types them."""

import csv
import dataclasses
import hashlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import tensorflow as tf

from edge.cli import main
from edge.conversion.flatbuffer import FlatbufferModel
from edge.conversion.variants import export
from edge.measuring.bench import bench_files
from edge.measuring.bench_result import float_reference
from edge.measuring.interleaving import BenchSettings, interleaved_latencies, paired_speedup, speedup_interval
from edge.measuring.measured_process import MeasuredProcess
from edge.running.interpreters import InterpreterOptions
from edge.running.loaded_model import TfliteModel
from edge.running.runtime import RUNTIMES, find_runtime
from tfc.base.errors import DataFileError, EdgeError, ModelFileError, RuntimeMissingError

SHAPE = (8, 8, 1)
QUICK = BenchSettings(min_runs=20, min_seconds=0.0, slices=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small Keras model, its .tflite variants, calibration and test data."""
    path = tmp_path_factory.mktemp("edge")
    tf.keras.utils.set_random_seed(1)
    x = inputs = tf.keras.Input(SHAPE)
    x = tf.keras.layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
    x = tf.keras.layers.BatchNormalization()(x)
    x = tf.keras.layers.ReLU()(x)
    x = tf.keras.layers.GlobalAveragePooling2D(name="embedding")(x)
    model = tf.keras.Model(inputs, tf.keras.layers.Dense(4)(x))
    model.save(path / "model.keras")
    rng = np.random.default_rng(0)
    data = rng.random((50, *SHAPE), np.float32)
    np.savez(path / "calibration.npz", x=data)
    labels = model(data).numpy().argmax(1)
    np.savez(path / "test.npz", x=data, y=np.where(np.arange(50) < 40, labels, (labels + 1) % 4))
    export(path / "model.keras", path, ("f32", "int8"), path / "calibration.npz")
    return path


@pytest.mark.parametrize("runtime", sorted(RUNTIMES))
def test_float_export_equals_keras_and_int8_comes_close(folder, runtime):
    data = np.load(folder / "test.npz")["x"]
    expected = tf.keras.models.load_model(folder / "model.keras")(data).numpy()
    found = TfliteModel(folder / "model-f32.tflite", find_runtime(runtime)).predict(data)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    quantised = TfliteModel(folder / "model-int8.tflite", find_runtime(runtime)).predict(data)
    assert np.abs(quantised - expected).max() < 0.05 * np.ptp(expected)
    assert (quantised != expected).any()


def test_int8_has_integer_input_and_output(folder):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(folder / "model-int8.tflite"))
    assert interpreter.get_input_details()[0]["dtype"] == interpreter.get_output_details()[0]["dtype"] == np.int8


def test_bench_reports_accuracy_agreement_and_every_sample(folder):
    files = [folder / "model-f32.tflite", folder / "model-int8.tflite"]
    result = bench_files(files, data=folder / "test.npz", settings=QUICK)
    f32, int8 = result["files"]
    assert f32["accuracy"] == 0.8 and f32["agreement"] == 1.0 and f32["speedup"] == 1.0
    assert int8["agreement"] > 0.8
    for item, path in zip(result["files"], files, strict=True):
        raw = item["latency_ms"]["raw"]
        assert item["bytes"] == path.stat().st_size > item["bytes_deflated"]
        assert len(raw) == 5 and sum(map(len, raw)) >= 20
        flat = [value for values in raw for value in values]
        assert item["latency_ms"]["median"] == pytest.approx(np.median(flat), abs=1e-5)
        assert min(flat) > 0
    ratios = [
        np.median(a) / np.median(b) for a, b in zip(f32["latency_ms"]["raw"], int8["latency_ms"]["raw"], strict=True)
    ]
    assert int8["speedup"] == pytest.approx(np.median(ratios), abs=1e-3)
    assert {item["runtime"] for item in result["files"]} == {"ai-edge-litert"}
    assert result["threads"] == 1 and result["complete"] and result["refused"] == []
    for item, path in zip(result["files"], files, strict=True):
        assert item["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert item["load_ms"] > 0 and item["first_ms"] > 0 and item["peak_memory_mb"] > 5
        assert item["latency_ms"]["p10"] <= item["latency_ms"]["median"] <= item["latency_ms"]["p99"]
        assert item["speedup_interval"][0] <= item["speedup"] <= item["speedup_interval"][1]
    without = bench_files(files[:1], settings=dataclasses.replace(QUICK, kernels="reference"))
    assert without["settings"]["kernels"] == "reference"


def test_without_data_nothing_is_claimed(folder):
    result = bench_files([folder / "model-int8.tflite"], baseline=folder / "model-f32.tflite", settings=QUICK)
    assert [item["name"] for item in result["files"]] == ["model-f32.tflite", "model-int8.tflite"]
    assert all(item["accuracy"] is None and item["agreement"] is None for item in result["files"])


def test_agreement_is_with_the_models_own_float_file():
    files = [Path("a-f32.tflite"), Path("a-int8.tflite"), Path("b-f32.tflite"), Path("b-int8.tflite"), Path("c.tflite")]
    assert [float_reference(path, files) for path in files] == [0, 0, 2, 2, 0]
    assert float_reference(Path("x/b-int8.tflite"), files) == 0


def test_slices_alternate_between_the_files():
    calls = []

    class Recorder:
        def __init__(self, name):
            self.name = name

        def run(self, count):
            calls.extend([self.name] * count)
            return [1.0] * count

    settings = BenchSettings(warm_up_runs=1, min_runs=2, min_seconds=0, slices=2)
    samples, complete = interleaved_latencies([Recorder("a"), Recorder("b")], settings, lambda what, share: None)
    assert complete
    assert "".join(calls[2:]) == "aabb" + "bbaa"  # one uncounted and one counted run each, then backwards
    assert [[len(values) for values in slices] for slices in samples] == [[1, 1], [1, 1]]


def test_an_interruption_keeps_the_finished_slices():
    class Interrupted:
        left = 4

        def run(self, count):
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt
            return [1.0] * count

    settings = BenchSettings(warm_up_runs=1, min_runs=5, min_seconds=0, slices=5)
    samples, complete = interleaved_latencies([Interrupted()], settings, lambda what, share: None)
    assert not complete and samples == [[[1.0], [1.0]]]


def test_the_interval_of_a_speedup_is_that_of_its_slices():
    rng = np.random.default_rng(0)
    ratios = rng.lognormal(np.log(2), 0.1, 40)
    slices = [[ratio] for ratio in ratios], [[1.0]] * 40
    low, high = speedup_interval(*slices)
    assert low < paired_speedup(*slices) < high
    from scipy.stats import bootstrap

    theirs = bootstrap((ratios,), np.median, method="percentile", random_state=1).confidence_interval
    assert (low, high) == (pytest.approx(theirs.low, rel=0.01), pytest.approx(theirs.high, rel=0.01))
    assert speedup_interval([[3.0]] * 5, [[1.5]] * 5) == (2.0, 2.0)


def test_ctrl_c_writes_what_there_is_marked_incomplete(folder, tmp_path):
    """A real process at a terminal gets a real signal once its progress says that a slice is done."""
    words = [sys.executable, "-m", "edge", "bench", folder / "model-f32.tflite", folder / "model-int8.tflite"]
    words += ["--min-seconds", "20", "--json", tmp_path / "bench.json", "--data", folder / "test.npz"]
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        # Shells let what runs in the background ignore Ctrl-C, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        try:
            os.close(theirs)
            shown = b""
            while b"latency [" not in shown:
                shown += os.read(ours, 1000)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=60)
        finally:
            process.kill()
            os.close(ours)
    assert process.returncode == 130
    assert "incomplete: interrupted" in out
    result = json.loads((tmp_path / "bench.json").read_text())
    assert not result["complete"] and all(item["latency_ms"]["runs"] for item in result["files"])
    assert result["files"][0]["accuracy"] == 0.8


def test_a_process_that_dies_is_an_error_that_names_its_file(folder):
    before = set(psutil.Process().children())
    with MeasuredProcess(folder / "model-f32.tflite", "litert", InterpreterOptions()) as process:
        # Its own memory, not what this process, with TensorFlow in it, has handed down.
        assert process.load_ms > 0 and 5 < process.call("peak_memory_mb") < 200
        (child,) = set(psutil.Process().children()) - before
        child.kill()
        with pytest.raises(ModelFileError, match=r"model-f32.tflite: the interpreter's process ended \(killed"):
            process.run(1)


def test_speedup_is_the_median_of_ratios_within_a_slice():
    # A machine that becomes ten times slower in the third slice changes no ratio.
    assert paired_speedup([[2.0], [4.0], [20.0, 20.0, 90.0]], [[1.0], [2.0], [10.0]]) == 2.0


def run_edge(*words, **options):
    return subprocess.run([sys.executable, "-m", "edge", *map(str, words)], capture_output=True, text=True, **options)


def test_commands_export_and_bench(folder, tmp_path):
    done = run_edge(
        "export", folder / "model.keras", "--out", tmp_path, "--variants", "f32,int8",
        "--calibration", folder / "calibration.npz",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "model-int8.tflite" in done.stdout
    done = run_edge(
        "bench", tmp_path / "model-int8.tflite", "--baseline", tmp_path / "model-f32.tflite", "--data",
        folder / "test.npz", "--min-runs", 20, "--min-seconds", 0, "--json", tmp_path / "bench.json",
        "--runtime", "tflite", "--csv", tmp_path / "bench.csv",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with (tmp_path / "bench.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["model-f32.tflite", "model-int8.tflite"]
    assert rows[1]["runtime"] == "tflite-runtime" and float(rows[1]["median_ms"]) > 0
    assert float(rows[1]["speedup_low"]) <= float(rows[1]["speedup"]) <= float(rows[1]["speedup_high"])
    result = json.loads((tmp_path / "bench.json").read_text())
    assert result["baseline_runtime"] == "tflite-runtime"
    assert "tflite-runtime 2.14.0; 1 thread(s)" in done.stdout


def test_weight_only_is_refused_where_it_would_be_wrong(exported):
    with pytest.raises(ModelFileError, match=r"model-wo8\.tflite: int8 weights with a scale per channel"):
        TfliteModel(exported / "model-wo8.tflite", find_runtime("tflm"))


def test_doctor_lives_with_modules_of_other_distributions(monkeypatch, capsys):
    import importlib.metadata

    def nobody(package):
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "version", nobody)
    assert main(["doctor"]) == 0
    assert "tensorflow of another distribution" in capsys.readouterr().out


@pytest.fixture
def bad(tmp_path, folder):
    (tmp_path / "text.tflite").write_text("hello, I am no model")
    (tmp_path / "cut.tflite").write_bytes(b"\x1c\0\0\0TFL3" + b"\0" * 20)
    unknown = FlatbufferModel((folder / "model-int8.tflite").read_bytes())
    first = unknown.boundary[0]
    unknown.insert_operator(0, "NOBODY_KNOWS", [first], [unknown.add_tensor("what", (1,), np.int8)])
    (tmp_path / "unknown.tflite").write_bytes(unknown.to_bytes())
    shutil.copy(folder / "model.keras", tmp_path)  # without calibration.npz beside it
    (tmp_path / "text.keras").write_text("hello")
    np.savez(tmp_path / "wide.npz", x=np.zeros((3, 9, 9, 1), np.float32), y=np.zeros(3, int))
    np.savez(tmp_path / "bytes.npz", x=np.zeros((3, *SHAPE), np.uint8), y=np.zeros(3, int))
    np.savez(tmp_path / "unlabelled.npz", x=np.zeros((3, *SHAPE), np.float32))
    np.savez(tmp_path / "short.npz", x=np.zeros((3, *SHAPE), np.float32), y=np.zeros(2, int))
    return tmp_path


@pytest.mark.parametrize(
    "words,message",
    [
        (["bench", "{bad}/none.tflite"], "none.tflite: cannot be read"),
        (["bench", "{bad}/text.tflite"], "not a TFLite model"),
        (["bench", "{bad}/cut.tflite"], "cut.tflite: damaged"),
        (["bench", "{bad}/unknown.tflite"], "can't load it"),
        (["bench", "{good}/model-f32.tflite", "--data", "{bad}/wide.npz"], "the model takes (examples, 8, 8, 1)"),
        (["bench", "{good}/model-f32.tflite", "--data", "{bad}/bytes.npz"], "x must be float32"),
        (["bench", "{good}/model-f32.tflite", "--data", "{bad}/unlabelled.npz"], "lacks y"),
        (["bench", "{good}/model-f32.tflite", "--data", "{bad}/short.npz"], "y must be 3 integers"),
        (["bench", "{good}/model-f32.tflite", "--data", "{bad}/text.keras"], "not a readable NPZ file"),
        (["bench", "{good}/model-f32.tflite", "--threads", "0"], "--threads and --batch must be at least 1"),
        (["export", "{bad}/none.keras", "--out", "{bad}/out"], "no such file"),
        (["export", "{bad}/text.keras", "--out", "{bad}/out"], "not a Keras model that loads"),
        (["export", "{bad}/model.keras", "--out", "{bad}/out", "--variants", "int8"], "int8 needs a representative"),
        (["export", "{good}/model.keras", "--out", "{bad}/out", "--variants", "f32,int3"], "unknown variant int3"),
    ],
)
def test_bad_input_gets_one_line_and_leaves_nothing(words, message, bad, folder, capfd):
    assert main([word.format(bad=bad, good=folder) for word in words]) == 1
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and message in lines[0]
    assert not (bad / "out").exists()


def test_errors_have_one_base():
    assert all(issubclass(error, EdgeError) for error in (DataFileError, ModelFileError, RuntimeMissingError))


def test_an_old_interpreter_with_numpy_2_is_refused_before_it_crashes(monkeypatch):
    monkeypatch.setattr(np, "__version__", "2.1.0")
    with pytest.raises(RuntimeMissingError, match=r"crashes with NumPy 2\.1\.0"):
        find_runtime("tflite")


def test_no_interpreter_at_all(monkeypatch):
    monkeypatch.setattr("edge.running.runtime.Runtime.is_installed", lambda self: False)
    with pytest.raises(RuntimeMissingError, match=r"no TFLite interpreter is installed: pip install ai-edge-litert"):
        find_runtime()
    with pytest.raises(RuntimeMissingError, match="tflite-runtime is not installed"):
        find_runtime("tflite")


@pytest.mark.parametrize("command", ["export", "bench"])
def test_help_shows_an_example(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert f"example:\n  edge {command}" in capsys.readouterr().out
