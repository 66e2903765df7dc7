"""`edge verify`: what passes, what does not, and the exit code that says so."""

import numpy as np
import pytest
import tensorflow as tf

from edge.cli import main
from edge.conversion.flatbuffer import FlatbufferModel
from edge.conversion.variants import export
from edge.formats.packing import pack
from edge.running.runtime import RUNTIMES, Runtime
from edge.running.verification import VerifySettings, verify
from tfc.base.errors import EdgeError


@pytest.fixture(scope="module")
def other(exported, tmp_path_factory):
    """The int8 file with one code of the first kernel changed, its look-up tables, and it packed."""
    from edge.conversion.lookup_table import to_look_up_tables

    folder = tmp_path_factory.mktemp("other")
    model = FlatbufferModel((exported / "model-int8.tflite").read_bytes())
    kernel = model.kernel_uses()[1].kernel
    codes = model.constant(kernel).copy()
    codes.reshape(-1)[:] = codes.reshape(-1)[::-1]
    model.set_constant(kernel, codes)
    (folder / "int8.tflite").write_bytes(model.to_bytes())
    (folder / "lut.tflite").write_bytes(to_look_up_tables(model).to_bytes())
    (folder / "int8.tflite.packed").write_bytes(pack(model.to_bytes()))
    return folder


def test_look_up_tables_are_held_to_every_bit_in_tflm(exported, other):
    good = verify(exported / "model-int8.tflite", exported / "model-lut.tflite", exported / "test.npz")
    assert good["passed"] and good["exact"] and good["runtime"].startswith("tflite-micro")
    assert [each.equal for each in good["comparisons"]] == [1.0, 1.0]
    bad = verify(exported / "model-int8.tflite", other / "lut.tflite")
    assert not bad["passed"] and bad["exact"] and bad["comparisons"][0].equal < 1


def test_a_packed_file_is_held_to_its_original(exported, other):
    original = exported / "model-int8.tflite"
    good = verify(original, exported / "model-int8.tflite.packed")
    assert good["passed"] and good["identical"] and good["comparisons"] == []
    bad = verify(original, other / "int8.tflite.packed")
    assert not bad["passed"] and bad["reason"] == "the packed file restores another model"


def test_other_pairs_may_differ_within_reason(exported, other):
    found = verify(exported / "model-f32.tflite", exported / "model-int8.tflite", exported / "test.npz")
    noise, real = found["comparisons"]
    assert found["passed"] and not found["exact"] and noise.equal == 0.0
    assert real.accuracies[0] == 1.0 and real.accuracies[1] == real.agreement >= 0.9
    assert 0 < real.max_error < 1
    strict = verify(exported / "model-f32.tflite", exported / "model-int8.tflite", settings=VerifySettings(exact=True))
    assert not strict["passed"]
    wrong = verify(exported / "model-f32.tflite", other / "int8.tflite", exported / "test.npz")
    assert not wrong["passed"] and "is below 0.9 (60 examples of test.npz)" in wrong["reason"]


def test_the_numbers_are_those_of_the_outputs(exported):
    from edge.running.loaded_model import TfliteModel
    from edge.running.runtime import find_runtime

    data = np.load(exported / "test.npz")
    paths = [exported / f"model-{variant}.tflite" for variant in ("f32", "int8")]
    outputs = [TfliteModel(path, find_runtime("tflite")).predict(data["x"]) for path in paths]
    found = verify(*paths, exported / "test.npz", VerifySettings(runtime="tflite"))["comparisons"][1]
    assert found.max_error == pytest.approx(np.abs(outputs[0] - outputs[1]).max())
    assert found.agreement == pytest.approx((outputs[0].argmax(1) == outputs[1].argmax(1)).mean())
    assert found.accuracies == tuple(pytest.approx((each.argmax(1) == data["y"]).mean()) for each in outputs)


def test_floats_and_tables_may_differ(exported):
    for reference, candidate in (("f32", "lut"), ("wo8", "lut"), ("f32", "int8.packed")):
        names = [f"model-{form}.tflite".replace(".packed.tflite", ".tflite.packed") for form in (reference, candidate)]
        found = verify(*(exported / name for name in names), exported / "test.npz")
        assert found["passed"] and not found["exact"], (reference, candidate, found)


def test_exit_code_and_words(exported, other, capsys):
    assert main(["verify", str(exported / "model-int8.tflite"), str(exported / "model-lut.tflite")]) == 0
    assert "passed: all outputs are equal, bit for bit (tflite-micro" in capsys.readouterr().out
    assert main(["verify", str(exported / "model-int8.tflite"), str(other / "lut.tflite")]) == 2
    assert "FAILED: outputs must be equal bit for bit, and are not" in capsys.readouterr().out


def test_without_tflm_tables_say_what_to_install(exported, monkeypatch):
    paths = exported / "model-int8.tflite", exported / "model-lut.tflite"
    missing = Runtime("tflm", "no_such_module", "tflite-micro", "--pre tflite-micro")
    monkeypatch.setitem(RUNTIMES, "tflm", missing)
    with pytest.raises(EdgeError, match="pip install --pre tflite-micro; or choose another with --runtime"):
        verify(*paths)
    assert verify(*paths, settings=VerifySettings(runtime="litert"))["passed"]


def test_impossible_settings_are_refused(exported):
    path = exported / "model-f32.tflite"
    with pytest.raises(EdgeError, match="--min-agreement must be between 0 and 1"):
        verify(path, path, settings=VerifySettings(min_agreement=2))
    with pytest.raises(EdgeError, match="--seed not negative"):
        verify(path, path, settings=VerifySettings(seed=-1))


def test_a_crash_of_an_interpreter_is_one_line(exported, tmp_path, monkeypatch, capsys):
    package = tmp_path / "tflite_runtime"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "interpreter.py").write_text("import os\n\nos.abort()\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    names = [str(exported / f"model-{variant}.tflite") for variant in ("f32", "int8")]
    assert main(["verify", *names, "--runtime", "tflite"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"crashed while loading {names[0]} (Aborted)" in error
    assert "another interpreter may run them (--runtime)" in error


def dense(tmp_path, name, kernel, x):
    """A model of one dense layer without bias, in float32 and int8, calibrated on `x`, which stays elsewhere."""
    model = tf.keras.Sequential([tf.keras.Input((kernel.shape[0],)), tf.keras.layers.Dense(kernel.shape[1])])
    model.set_weights([kernel.astype(np.float32), np.zeros(kernel.shape[1], np.float32)])
    model.save(tmp_path / f"{name}.keras")
    np.savez(tmp_path / f"{name}.npz", x=x)
    return export(tmp_path / f"{name}.keras", tmp_path / name, ("f32", "int8"), tmp_path / f"{name}.npz").paths


def test_a_small_channel_between_floats_is_compared(tmp_path):
    """A score beside coordinates in pixels."""
    kernel = np.random.default_rng(1).normal(0, 1, (8, 5)) * [100, 100, 100, 100, 1]
    x = np.random.default_rng(0).random((50, 8), np.float32)
    good = dense(tmp_path, "good", kernel, x)
    bad = dense(tmp_path, "bad", kernel * [1, 1, 1, 1, -1], x)
    np.savez(tmp_path / "test.npz", x=x, y=(x @ kernel).astype(np.float32))
    found = verify(good["f32"], bad["f32"], tmp_path / "test.npz")
    assert found["verdict"] == "failed" and "correlation" in found["reason"]
    assert verify(good["f32"], good["int8"], tmp_path / "test.npz")["passed"]


def test_random_inputs_beyond_the_range_of_the_outputs_decide_nothing(tmp_path):
    """The sums of random inputs are larger than those that int8 was calibrated for."""
    x = np.random.default_rng(0).random((50, 8), np.float32)
    x = np.concatenate([x / x.sum(axis=1, keepdims=True) * np.linspace(0, 4, 50)[:, None], np.eye(8)]).astype(
        np.float32
    )
    paths = dense(tmp_path, "sum", np.ones((8, 1)), x)
    found = verify(paths["f32"], paths["int8"])
    assert found["verdict"] == "undecided" and "lie beyond the range of the candidate's" in found["reason"]
    np.savez(tmp_path / "test.npz", x=x, y=x.sum(axis=1))
    assert verify(paths["f32"], paths["int8"], tmp_path / "test.npz")["passed"]


def test_inputs_and_outputs_that_are_not_finite(exported, tmp_path, capsys):
    data = dict(np.load(exported / "test.npz"))
    data["x"][3, 0, 0] = np.nan
    np.savez(tmp_path / "nan.npz", **data)
    names = [str(exported / f"model-{variant}.tflite") for variant in ("f32", "int8")]
    assert main(["verify", *names, "--data", str(tmp_path / "nan.npz")]) == 1
    assert "x has values that are not finite (NaN or infinity), first in example 3" in capsys.readouterr().err
    model = FlatbufferModel((exported / "model-f32.tflite").read_bytes())
    kernel = model.kernel_uses()[0].kernel
    model.set_constant(kernel, np.full_like(model.constant(kernel), np.nan))
    (tmp_path / "nan.tflite").write_bytes(model.to_bytes())
    assert verify(names[0], tmp_path / "nan.tflite", exported / "test.npz")["verdict"] == "failed"
    found = verify(tmp_path / "nan.tflite", names[0], exported / "test.npz")
    assert found["verdict"] == "undecided" and found["comparisons"][-1].max_error == np.inf


def test_nothing_but_the_result_is_printed(exported, capfd):
    assert main(["verify", *[str(exported / f"model-{variant}.tflite") for variant in ("f32", "wo8")]]) in (0, 2)
    assert capfd.readouterr().err == ""


def test_random_inputs_of_one_class_do_not_show_that_classes_agree(tmp_path):
    """Two rare classes are swapped; noise gets neither of them, real inputs do."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(0, 1e-3, (8, 3)) + np.array([0.5, 0, 0])
    kernel[0, 1] = kernel[1, 2] = 0.5
    x = rng.random((60, 8), np.float32)
    good, bad = dense(tmp_path, "good", kernel, x), dense(tmp_path, "bad", kernel[:, [0, 2, 1]], x)
    for paths in (good, bad):
        (paths["f32"].parent / "calibration.npz").unlink(missing_ok=True)
    found = verify(good["f32"], bad["f32"])
    assert found["verdict"] != "passed"
    assert found["comparisons"][0].single_class and found["comparisons"][0].agreement == 1.0
    rare = np.concatenate([-x[:20], np.eye(8, dtype=np.float32)[:2], x[:20]])
    np.savez(tmp_path / "real.npz", x=rare, y=(rare @ kernel).argmax(axis=1))
    assert verify(good["f32"], bad["f32"], tmp_path / "real.npz")["verdict"] == "failed"
    assert verify(good["f32"], good["f32"])["passed"]  # the same bytes need no inputs
