"""Models with several inputs and outputs: files have them in Keras' order and under its names, whatever these are."""

import numpy as np
import pytest
import tensorflow as tf

from edge.conversion.variants import export
from edge.measuring.bench import bench_files
from edge.measuring.bench_table import format_bench
from edge.measuring.interleaving import BenchSettings
from edge.running.loaded_model import TfliteModel
from edge.running.runtime import RUNTIMES, find_runtime

keras, layers = tf.keras, tf.keras.layers
QUICK = BenchSettings(min_runs=2, min_seconds=0.0, slices=1, warm_up_runs=1)
NAMES = [("alpha", "zeta"), ("zeta", "alpha"), ("b", "a"), ("img/in", "meta data"), ("x_1", "x_0")]


def two_inputs(names, widths=(3, 3)):
    """Two inputs of quite different ranges; the outputs are of one shape."""
    keras.utils.set_random_seed(1)
    inputs = [keras.Input((width,), name=name) for name, width in zip(names, widths, strict=True)]
    x = layers.Concatenate()([inputs[0], layers.Rescaling(1 / 50)(inputs[1])])
    x = layers.Dense(16, activation="relu")(x)
    return keras.Model(inputs, [layers.Dense(4, name="zz")(x), layers.Dense(4, name="aa")(x)])


def examples(names, widths=(3, 3), count=60):
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (count, widths[0])), rng.normal(0, 50, (count, widths[1]))
    return {name: each.astype(np.float32) for name, each in zip(names, values, strict=True)}


@pytest.mark.parametrize("widths", [(3, 3), (3, 5)])
@pytest.mark.parametrize("names", NAMES, ids=" ".join)
def test_every_variant_takes_and_gives_what_the_model_does(names, widths, tmp_path):
    model, data = two_inputs(names, widths), examples(names, widths)
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "calibration.npz", **data)
    done = export(tmp_path / "model.keras", tmp_path, ("f32", "wo8", "int8"))
    expected = [each.numpy() for each in model(data)]
    for variant, path in done.paths.items():
        for runtime in RUNTIMES:
            if (variant, runtime) == ("wo8", "tflm"):
                continue  # scales per channel are refused there
            opened = TfliteModel(path, find_runtime(runtime))
            assert [each.name for each in opened.inputs] == [*names]
            assert [each.name for each in opened.outputs] == ["zz", "aa"]
            for ours, theirs in zip(opened.predict_all(list(data.values())), expected, strict=True):
                assert np.abs(ours - theirs).max() < (0.2 if variant == "int8" else 0.05), (variant, runtime)


def test_the_first_of_equal_outputs_is_judged_and_numbered_inputs_are_keras_inputs(tmp_path):
    names = ("alpha", "zeta")
    model, data = two_inputs(names), examples(names)
    model.save(tmp_path / "model.keras")
    path = export(tmp_path / "model.keras", tmp_path).paths["f32"]
    y = model(data)[0].numpy().argmax(axis=1)
    for number, arrays in enumerate((data, {"x_0": data["alpha"], "x_1": data["zeta"]})):
        np.savez(tmp_path / f"{number}.npz", **arrays, y=y)
        result = bench_files([path], data=tmp_path / f"{number}.npz", settings=QUICK)
        assert "accuracy is that of the output zz; aa would fit the labels as well" in format_bench(result)
        (measured,) = result["files"]
        assert measured["quality"]["value"] == 1.0 and measured["quality"]["output"] == "zz"
        assert measured["quality"]["also"] == ["aa"]


def test_bytes_and_tokens_keep_their_types_side_by_side(tmp_path):
    image, token = keras.Input((4, 4, 1), dtype="uint8", name="pixels"), keras.Input((1,), dtype="int32", name="mode")
    x = layers.Flatten()(layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(image)))
    x = layers.Concatenate()([x, layers.Flatten()(layers.Embedding(3, 4)(token))])
    model = keras.Model([image, token], layers.Dense(3)(x))
    model.save(tmp_path / "model.keras")
    rng = np.random.default_rng(0)
    data = {
        "pixels": rng.integers(0, 256, (50, 4, 4, 1)).astype(np.uint8),
        "mode": rng.integers(0, 3, (50, 1)).astype(np.int32),
    }
    np.savez(tmp_path / "calibration.npz", **data)
    path = export(tmp_path / "model.keras", tmp_path, ("int8",)).paths["int8"]
    opened = TfliteModel(path, find_runtime("litert"))
    assert [np.dtype(each.dtype).name for each in opened.inputs] == ["uint8", "int32"]
    expected = model([data["pixels"], data["mode"]]).numpy()
    assert np.abs(opened.predict(list(data.values())) - expected).max() < 0.15 * np.abs(expected).max()
