"""What export refuses: one line on standard error, and the file system as it was; crashes of native code among it."""

import os

import numpy as np
import pytest
import tensorflow as tf
from export_zoo import build, data_for

from edge.cli import main
from edge.conversion import keras_conversion, variants
from edge.conversion.keras_conversion import KerasConversion
from edge.conversion.variants import export
from tfc.base.errors import DataFileError, EdgeError, ModelFileError

layers, keras = tf.keras.layers, tf.keras


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a model, and with data and files that something is wrong with."""
    made = tmp_path_factory.mktemp("refused")
    model = build("dense")
    model.save(made / "model.keras")
    x = data_for(model)["x"]
    np.savez(made / "good.npz", x=x)
    for name, value in (("nan", np.nan), ("infinity", -np.inf), ("huge", 1e30)):
        broken = x.copy()
        broken[3, 2] = value
        np.savez(made / f"{name}.npz", x=broken)
    np.savez(made / "all-nan.npz", x=np.full_like(x, np.nan))
    np.savez(made / "constant.npz", x=np.ones_like(x))
    np.savez(made / "bytes.npz", x=(x * 255).astype(np.uint8))
    np.savez(made / "shape.npz", x=x[:, :3])
    np.savez(made / "empty.npz", x=x[:0])
    (made / "text.npz").write_text("no archive")
    build("embedding").save(made / "tokens.keras")
    tokens = data_for(build("embedding"))["x"]
    np.savez(made / "float-tokens.npz", x=tokens.astype(np.float32))
    np.savez(made / "large-tokens.npz", x=tokens.astype(np.int64) + 2**40)
    (made / "model.tflite").write_bytes(b"\x1c\0\0\0TFL3")
    (made / "folder").mkdir()
    tf.saved_model.save(tf.Module(), str(made / "bare"))
    model.save_weights(made / "weights.h5")
    broken = build("dense")
    broken.layers[0].kernel.assign(np.full(broken.layers[0].kernel.shape, np.nan))
    broken.save(made / "nan.keras")
    os.mkfifo(made / "pipe.keras")
    return made


DATA = [
    ("nan", "not finite (NaN or infinity) in 1 of 40 examples, first in example 3"),
    ("infinity", "not finite (NaN or infinity) in 1 of 40 examples"),
    ("huge", "as large as 1e+30"),
    ("all-nan", "in 40 of 40 examples"),
    ("constant", "every value of x is 1"),
    ("bytes", "must be float32 as the model takes it, found uint8; nothing is scaled"),
    ("shape", "x has shape (40, 3), the model takes (examples, 24)"),
    ("empty", "x has shape (0, 24)"),
    ("text", "not a readable NPZ file"),
]


def everything(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def refused(folder, model, variants_="int8", **options):
    before = everything(folder)
    with pytest.raises(EdgeError) as error:
        export(folder / model, folder / "out", tuple(variants_.split(",")), **options)
    assert everything(folder) == before
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name,message", DATA)
def test_data_that_can_not_be_used(folder, name, message):
    found = refused(folder, "model.keras", calibration=folder / f"{name}.npz")
    assert f"{name}.npz" in found and message in found


@pytest.mark.parametrize(
    "name,message", [("float-tokens", "must be integers"), ("large-tokens", "outside the range of int32")]
)
def test_tokens_are_integers_of_the_models_range(folder, name, message):
    assert message in refused(folder, "tokens.keras", calibration=folder / f"{name}.npz")


@pytest.mark.parametrize(
    "name,message",
    [
        ("model.tflite", "damaged"),
        ("folder", "a folder; export takes a model's file"),
        ("bare", "a SavedModel, whose graph runs when it is loaded"),
        ("weights.h5", "not a Keras model that loads"),
        ("nan.keras", "has weights that are not finite"),
        ("pipe.keras", "a pipe or a device"),
        ("missing.keras", "no such file"),
    ],
)
def test_what_is_no_keras_model(folder, name, message):
    found = refused(folder, name, "f32")
    assert name in found and message in found


def test_operators_that_stay_in_floating_point(folder):
    model = build("conv3d")
    conversion = KerasConversion(model, data_for(model)["x"])
    with pytest.raises(ModelFileError, match=r"cannot be converted to int8: the converter left .*CONV_3D"):
        variants.convert(conversion, ("int8",), folder)


def test_a_disagreement_is_an_error_unless_asked_for(folder, monkeypatch):
    """The converter's result has its last kernel negated."""
    from edge.conversion.flatbuffer import FlatbufferModel

    honest = keras_conversion.to_int8

    def sabotaged(*arguments):
        model = FlatbufferModel(honest(*arguments))
        for use in model.kernel_uses():
            codes = model.constant(use.kernel)
            model.set_constant(use.kernel, -np.maximum(codes, -127))
        return model.to_bytes()

    monkeypatch.setattr(keras_conversion, "to_int8", sabotaged)
    monkeypatch.setattr(keras_conversion, "match", lambda *_: ([], []))
    options = {"calibration": folder / "good.npz"}
    found = refused(folder, "model.keras", "f32,int8", **options)
    assert "int8 does not agree with the given model" in found and "--allow-disagreement" in found
    done = export(folder / "model.keras", folder / "asked", ("int8",), allow_disagreement=True, **options)
    assert done.differences["int8"] > 0.5 and done.paths["int8"].is_file()


def test_tables_alone_that_do_not_pay_are_refused(folder):
    build("regression_head").save(folder / "small.keras")
    found = refused(folder, "small.keras", "lut", calibration=folder / "good.npz")
    assert "nothing to write as lut: no kernel is smaller as a look-up table" in found


def test_a_saved_model_is_refused_since_loading_it_runs_its_graph(folder, tmp_path):
    build("dense").save(tmp_path / "saved", save_format="tf")
    assert "a SavedModel, whose graph runs when it is loaded" in refused(tmp_path, "saved", "f32")


@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_pruned_models_lose_their_wrappers(folder, tmp_path, suffix):
    import tensorflow_model_optimization as tfmot

    path = tmp_path / f"pruned.{suffix}"
    wrapped = tfmot.sparsity.keras.prune_low_magnitude(build("dense"))
    with pytest.warns(UserWarning) if suffix == "h5" else _nothing():
        wrapped.save(path)
    if suffix == "h5":
        assert export(path, tmp_path).kernels
    else:
        assert "save it after tfmot.clustering.keras.strip_clustering (or strip_pruning), or as .h5" in refused(
            tmp_path, path.name, "f32"
        )


def _nothing():
    import contextlib

    return contextlib.nullcontext()


def test_quantised_models_are_refused(tmp_path):
    import tensorflow_model_optimization as tfmot

    with pytest.warns(UserWarning):
        tfmot.quantization.keras.quantize_model(build("dense")).save(tmp_path / "quantised.h5")
    assert "give it the model before quantize_apply" in refused(tmp_path, "quantised.h5", "f32")


def test_training_data_are_never_the_test_data(tmp_path):
    from edge.conversion.calibration import read_training

    model, rng = build("dense"), np.random.default_rng(0)
    arrays = {f"x_{part}": rng.random((n, 24), np.float32) for part, n in (("train", 7), ("test", 3))}
    np.savez(tmp_path / "set.npz", **arrays, y_train=np.arange(7) % 4, y_test=np.arange(3))
    (x,), y = read_training(tmp_path / "set.npz", model)
    np.testing.assert_array_equal(x, arrays["x_train"])
    assert y.tolist() == [0, 1, 2, 3, 0, 1, 2]
    np.savez(tmp_path / "test.npz", x_test=arrays["x_test"], y_test=np.arange(3))
    with pytest.raises(DataFileError, match="lacks x, y"):
        read_training(tmp_path / "test.npz", model)


def test_a_crash_of_the_converter_is_one_line(tmp_path, capfd):
    """TF 2.14's converter dies of a segmentation fault in a GRU's loop."""
    model = build("gru")
    model.save(tmp_path / "gru.keras")
    np.savez(tmp_path / "calibration.npz", **data_for(model))
    before = everything(tmp_path)
    words = ["export", str(tmp_path / "gru.keras"), "--out", str(tmp_path / "out"), "--variants", "f32,int8"]
    assert main(words) == 1
    out, err = capfd.readouterr()
    assert out == "" and len(err.splitlines()) == 1
    assert "gru.keras" in err and "crashed while converting to int8 a model with a loop" in err
    assert everything(tmp_path) == before


def test_the_command_prints_what_happens_to_each_kernel(folder, tmp_path, capfd):
    words = ["--out", str(tmp_path), "--variants", "f32,int8,lut", "--calibration", str(folder / "good.npz")]
    assert main(["export", str(folder / "model.keras"), *words]) == 0
    out, err = capfd.readouterr()
    assert "palette kept" in out and "of their spread" in out
    assert {path.name for path in tmp_path.iterdir()} >= {"model-f32.tflite", "model-int8.tflite"}
    assert main(["export", str(folder / "model.keras"), *words[:-1], str(folder / "nan.npz")]) == 1
    out, err = capfd.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and "not finite" in err


def test_training_without_clusters_is_refused(folder, tmp_path, capsys):
    words = ["export", str(folder / "model.keras"), "--out", str(tmp_path / "out"), "--train", str(folder / "good.npz")]
    assert main(words) == 1
    assert "--train fine-tunes a model while it is clustered: give --clusters K" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_operator_without_integers_is_one_line_where_int8_alone_is_asked_for(tmp_path):
    model = keras.Sequential([keras.Input((4,)), layers.Lambda(tf.math.erf), layers.Dense(2)])
    conversion = KerasConversion(model, np.random.default_rng(0).random((8, 4), np.float32))
    with pytest.raises(ModelFileError, match=r"model\.keras: cannot be converted to int8"):
        variants.convert(conversion, ("int8",), tmp_path / "model.keras")


def test_an_input_called_y_can_not_be_trained_on(tmp_path):
    from edge.conversion.calibration import read_training

    inputs = [keras.Input((2,), name=name) for name in ("a", "y")]
    model = keras.Model(inputs, layers.Dense(2)(layers.Concatenate()(inputs)))
    np.savez(tmp_path / "train.npz", a=np.zeros((3, 2), np.float32), y=np.zeros((3, 2), np.float32))
    with pytest.raises(DataFileError, match="an input of the model is called y, as labels are"):
        read_training(tmp_path / "train.npz", model)


def test_all_variants_are_written_or_none(folder, tmp_path):
    (tmp_path / "model-int8.tflite").mkdir()
    with pytest.raises(OSError, match=r"model-int8\.tflite"):
        export(folder / "model.keras", tmp_path, ("f32", "int8"), folder / "good.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["model-int8.tflite"]
