"""Accuracies and errors of every model of the zoo, against a bare interpreter; sabotaged copies fail `edge verify`."""

import shutil
import warnings

import numpy as np
import pytest
import tensorflow as tf
import zoo

from edge.cli import main
from edge.measuring.bench import bench_files
from edge.measuring.interleaving import BenchSettings
from edge.running.loaded_model import TfliteModel
from edge.running.runtime import RUNTIMES, find_runtime
from edge.running.verification import VerifySettings, verify

QUICK = BenchSettings(min_runs=2, min_seconds=0.0, slices=1, warm_up_runs=1)
STATEFUL = ("lstm", "stream")
VARIANTS = {"gru": ("f32",)}
"""Where it is not both; TensorFlow's converter crashes on an int8 GRU."""

FAST = ("binary_logit", "regression", "segmentation", "two_outputs", "tokens", "stream")
"""Those of `make test`; the others are in `make test-system`."""

EVERY = [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in zoo.BUILDERS]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Returns (path of the .tflite file, path of its test data), converted once."""
    folder = tmp_path_factory.mktemp("zoo")

    def made(name, variant):
        path, data = folder / f"{name}-{variant}.tflite", folder / f"{name}.npz"
        built = zoo.built(name)
        if not path.exists():
            path.write_bytes(zoo.converted(built.model, built.train if variant == "int8" else None))
            np.savez(data, **built.test)
        return path, data

    return made


def truth(name, outputs, y):
    """The figure that a person would compute."""
    if name in ("regression", "landmarks"):
        return np.abs(outputs[0].reshape(y.shape) - y).mean()
    if name in ("binary", "several_labels"):
        return ((outputs[0] > 0.5) == y.reshape(outputs[0].shape)).mean()
    if name == "binary_logit":
        return ((outputs[0] > 0) == y).mean()
    if name == "one_hot":
        return (outputs[0].argmax(1) == y.argmax(1)).mean()
    if name == "fully_convolutional":
        return (outputs[0][:, 0, 0].argmax(1) == y).mean()
    (scores,) = [each for each in outputs if each.shape[-1] == {"segmentation": 3, "tokens": 2}.get(name, zoo.CLASSES)]
    return (scores.argmax(-1) == y).mean()


@pytest.mark.parametrize("name", EVERY)
def test_bench_measures_what_a_bare_interpreter_does(name, files):
    for variant in VARIANTS.get(name, ("f32", "int8")):
        path, data = files(name, variant)
        arrays = dict(np.load(data))
        y = arrays.pop("y")
        result = bench_files([path], data=data, runtime="all", settings=QUICK)
        measured = {item["runtime"]: item for item in result["files"]}
        refused = {each["runtime"]: each["reason"] for each in result["refused"]}
        assert {*measured, *refused} == {runtime.package for runtime in RUNTIMES.values()}
        assert {"ai-edge-litert", "tflite-runtime"} & {*measured}
        for item in measured.values():
            outputs = zoo.bare(path, arrays, anew=name in STATEFUL, runtime=item["runtime"])
            expected = truth(name, outputs, y)
            within = 1 / len(y) if item["accuracy"] is not None else 0.02 * expected + 1e-3
            assert abs(item["quality"]["value"] - expected) <= within + 1e-6, (variant, item["runtime"])


@pytest.mark.parametrize("name", ["lstm", "stream", "gru"])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_answer_does_not_depend_on_those_before(name, runtime, files):
    path, data = files(name, "f32")
    x = np.load(data)["x"][:20]
    model = TfliteModel(path, find_runtime(runtime))
    np.testing.assert_array_equal(model.predict(x), model.predict(x[::-1])[::-1])
    assert model.has_state == (name != "gru")


def test_the_parts_of_a_stream_keep_its_state(files):
    from edge.running.interpreters import InterpreterOptions

    path, data = files("stream", "f32")
    x = np.load(data)["x"][:5]
    for runtime in RUNTIMES:
        model = TfliteModel(path, find_runtime(runtime), InterpreterOptions(keep_state=True))
        first, again = model.predict(x), model.predict(x)
        np.testing.assert_array_equal(first, again)  # a stream starts anew
        reset = TfliteModel(path, find_runtime(runtime)).predict(x)
        np.testing.assert_array_equal(first[0], reset[0])
        assert np.abs(first[1:] - reset[1:]).max() > 1e-3
        layer = zoo.built("stream").model.layers[1]
        layer.state.assign(tf.zeros_like(layer.state))
        expected = np.concatenate([zoo.built("stream").model(each[None]).numpy() for each in x])
        np.testing.assert_allclose(first, expected, atol=1e-5)


@pytest.mark.parametrize("how", ["negated", "permuted"])
@pytest.mark.parametrize("name", EVERY)
def test_a_sabotaged_copy_does_not_pass(name, how, files, tmp_path):
    path, data = files(name, "f32")
    bad = tmp_path / "bad.tflite"
    bad.write_bytes(zoo.converted(zoo.sabotaged(zoo.built(name).model, how)))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        assert verify(path, bad, data)["verdict"] == "failed"
        assert not verify(path, bad)["passed"]


@pytest.mark.parametrize("name", EVERY)
def test_an_honest_int8_file_passes(name, files):
    if "int8" not in VARIANTS.get(name, "int8"):
        return  # none can be made
    (path, data), (int8, _) = files(name, "f32"), files(name, "int8")
    found = verify(path, int8, data)
    assert found["passed"], found["reason"]
    assert found["comparisons"][-1].relative_error < 0.15 and found["comparisons"][-1].correlation > 0.95


def test_constant_outputs_prove_nothing(files, tmp_path, capsys):
    path, data = files("scores", "f32")
    inputs = tf.keras.Input(zoo.SHAPE)
    scores = tf.keras.layers.Dense(4, kernel_initializer="zeros", bias_initializer="ones")(
        tf.keras.layers.Flatten()(inputs)
    )
    dead = tmp_path / "dead.tflite"
    dead.write_bytes(zoo.converted(tf.keras.Model(inputs, scores)))
    other = tmp_path / "other.tflite"
    other.write_bytes(zoo.converted(tf.keras.Model(inputs, 2 * scores)))
    assert verify(dead, other, data)["verdict"] == "undecided"
    assert verify(dead, other, settings=VerifySettings(exact=True))["verdict"] == "failed"
    assert verify(path, dead, data)["verdict"] == "failed"
    capsys.readouterr()
    assert main(["verify", str(dead), str(other)]) == 2
    told = capsys.readouterr().out
    assert "UNDECIDED: the reference's outputs are equal for all inputs" in told and "No real data" in told


def test_calibration_data_beside_a_model_are_its_inputs(files, tmp_path):
    path, _ = files("scores", "f32")
    int8, _ = files("scores", "int8")
    for each in (path, int8):
        (tmp_path / each.name).write_bytes(each.read_bytes())
    np.savez(tmp_path / "calibration.npz", x=zoo.built("scores").train["x"])
    found = verify(tmp_path / path.name, tmp_path / int8.name)
    (only,) = found["comparisons"]
    assert found["passed"] and only.real and only.inputs == f"100 inputs of {tmp_path / 'calibration.npz'}"
    assert found["notes"] == []
    np.savez(tmp_path / "calibration.npz", x=np.zeros((4, 3), np.float32))
    found = verify(tmp_path / path.name, tmp_path / int8.name)
    assert "Calibration data beside the model are not used" in found["notes"][0] and not found["comparisons"][0].real


def test_a_wrong_calibration_fails_on_real_inputs(files, tmp_path):
    path, data = files("pixels", "f32")
    built = zoo.built("pixels")
    wrong = tmp_path / "wrong.tflite"
    wrong.write_bytes(zoo.converted(built.model, {"x": built.train["x"] / 255}))
    assert verify(path, wrong, data)["verdict"] == "failed"
    found = verify(path, wrong)
    assert "do not show errors such as a wrong calibration" in found["notes"][-1]


def test_subgraphs_are_read_and_packed(files, tmp_path):
    from edge.formats.inspection import inspect
    from edge.formats.packing import pack, unpack
    from edge.formats.tflite_reader import TfliteView

    path, data = files("gru", "f32")
    content = path.read_bytes()
    view = TfliteView(content)
    assert len(view.subgraphs) == 3 and view.subgraphs[0] is view
    assert all(each.operators and each.inputs and each.outputs for each in view.subgraphs)
    assert unpack(pack(content)) == content and inspect(path)["model_bytes"] == len(content)
    packed = tmp_path / "gru.packed"
    packed.write_bytes(pack(content))
    assert verify(path, packed)["identical"]
    shutil.copy(path, tmp_path / "other.tflite")
    assert verify(path, tmp_path / "other.tflite", data)["passed"]
