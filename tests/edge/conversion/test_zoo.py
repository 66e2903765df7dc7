"""Many kinds of models through every command: each variant keeps its promise, and no sabotaged copy passes."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
import zoo
from export_zoo import ALL, CLUSTERS, ZOO, build, data_for, labels_for, predictions

from edge.conversion.keras_kernels import layout_of
from edge.conversion.variants import Exported, export
from edge.formats.inspection import inspect
from edge.formats.packing import unpack
from edge.formats.patch import apply_patch, make_patch
from edge.formats.tflite_reader import TfliteView
from edge.measuring.bench import bench_files
from edge.measuring.interleaving import BenchSettings
from edge.running.runtime import RUNTIMES
from edge.running.verification import VerifySettings, verify
from tfc.base.errors import ModelFileError

FAST = ("bytes_in", "conv2d", "dictionary_out", "gru", "two_inputs")
"""Those of `make test`; the others are in `make test-system`."""

WITH_STATE = ("bidirectional", "lstm")

SETTINGS = {"pruned": VerifySettings(min_agreement=0.8)}
"""The classes of this untrained model are close to each other."""

QUICK = BenchSettings(min_runs=2, min_seconds=0.0, slices=1, warm_up_runs=1)


class Made(NamedTuple):
    """A model, its calibration data, its test data and labels, what `edge export` made of it, and where."""

    name: str
    model: tf.keras.Model
    data: dict[str, np.ndarray]
    test: dict[str, np.ndarray]
    y: np.ndarray
    done: Exported
    folder: Path

    @property
    def archive(self):
        """The test data as commands read them."""
        return self.folder / "test.npz"


@pytest.fixture(
    scope="module",
    params=[name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in sorted(ZOO)],
)
def made(request, tmp_path_factory):
    name = request.param
    folder = tmp_path_factory.mktemp(name)
    model = build(name)
    data, test = data_for(model), data_for(model, 100, seed=3)
    y = labels_for(name, model, test)
    model.save(folder / "model.keras")
    np.savez(folder / "calibration.npz", **data)
    np.savez(folder / "test.npz", **test, y=y)
    return Made(name, model, data, test, y, export(folder / "model.keras", folder, ZOO[name].variants), folder)


def test_outputs_are_those_of_the_keras_model(made):
    name, model, data, *_, done, _ = made
    expected = {output.shape[1:]: output for output in predictions(model, dict(data))}
    # Byte inputs have a scale of 1: they mean the same in every variant.
    for variant, allowed in (("f32", 1e-4), ("wo8", 0.1), ("int8", 0.3)):
        if variant not in done.paths:
            continue
        for output in zoo.bare(done.paths[variant], data, anew=name in WITH_STATE):
            exact = expected[output.shape[1:]]
            error = np.sqrt(np.mean((output - exact) ** 2)) / max(float(exact.std()), 1e-3)
            assert error < allowed, (name, variant, error)


def test_every_kernel_has_a_fate(made):
    model, done = made.model, made.done
    kernels = [
        getattr(layer, part).numpy()
        for layer in model.submodules
        if isinstance(layer, tf.keras.layers.Layer)
        for part in layout_of(layer)
    ]
    assert kernels and sum(each.weights for each in done.kernels) == sum(kernel.size for kernel in kernels)
    large = sum(w.numpy().size for w in model.weights if len(w.shape) > 1 and "bias" not in w.name)
    assert sum(kernel.size for kernel in kernels) >= 0.9 * large  # PReLU's slopes and the like are no kernels
    found = inspect(done.paths["f32"])["total"]
    assert found["not_understood"] == 0 and found["weights"] >= 0.99 * sum(kernel.size for kernel in kernels)
    assert done.lost_palettes == {}


def test_palettes_are_kept(made):
    name, done = made.name, made.done
    if not ZOO[name].palettized:
        pytest.skip("has no palettes")
    for variant in {"wo8", "int8", "lut"} & set(done.paths):
        for row in inspect(done.paths[variant])["kernels"]:
            # Depthwise kernels of a few weights may be better off with codes per channel.
            if row["operator"] != "MUL" and np.prod(row["shape"]) >= 128:
                assert row["distinct_per_channel"] <= CLUSTERS, (variant, row)


def test_integer_files_compute_in_integers(made):
    done = made.done
    for variant in {"int8", "lut"} & set(done.paths):
        for view in TfliteView(done.paths[variant].read_bytes()).subgraphs:
            assert not {tensor.type for tensor in view.tensors if tensor.num_bytes} & {"float32"}
            assert all(view.tensors[kernel.tensor].type == "int8" for kernel in view.kernels)
            assert not {view.tensors[number].type for each in view.operators for number in each.outputs} & {"float32"}


def test_tables_are_there_or_it_is_said_that_none_pays(made):
    name, done = made.name, made.done
    if "lut" not in ZOO[name].variants:
        return
    assert ("lut" in done.paths) != ("lut" in done.left_out)
    if "lut" in done.paths:
        assert "lut" in {row["type"] for row in inspect(done.paths["lut"])["kernels"]}
        assert done.paths["lut"].stat().st_size < done.paths["int8"].stat().st_size


def test_packed_files_are_restored(made):
    done = made.done
    for variant in {"f32", "wo8", "int8", "lut"} & set(done.paths):
        if f"{variant}.packed" in done.paths:
            assert unpack(done.paths[f"{variant}.packed"].read_bytes()) == done.paths[variant].read_bytes()


def test_patches_lead_from_one_version_to_the_next(made):
    for variant, path in made.done.paths.items():
        if variant.endswith("packed"):
            continue
        old, new = path.read_bytes(), bytearray(path.read_bytes())
        view = TfliteView(bytes(new))
        tensor = view.tensors[view.kernels[0].tensor]
        end = tensor.start + tensor.num_bytes  # not the start, where look-up tables say how they are laid out
        new[end - 8 : end] = reversed(new[end - 8 : end])
        patch = make_patch(old, bytes(new))
        assert apply_patch(old, patch) == new and len(patch) < len(old)


def test_every_file_passes_verify(made):
    reference = made.done.paths["f32"]
    for variant, path in made.done.paths.items():
        found = verify(reference, path, made.archive, SETTINGS.get(made.name))
        assert found["passed"], (variant, found["reason"])
        if variant in ("lut", "int8.packed"):
            found = verify(made.done.paths["int8"], path)
            assert found["passed"] and found["exact"], (variant, found["reason"])


def figure(name, outputs, y):
    """What a person would compute: the share of right classes or positions, or the mean absolute error."""
    if name == "regression_head":
        return np.abs(outputs[0] - y).mean()
    if name == "sigmoid_head":
        return ((outputs[0][:, 0] > 0.5) == y).mean()
    (scores,) = [each for each in outputs if each.shape[-1] == (3 if name == "unet" else 4)]
    return (scores.reshape(*y.shape, -1).argmax(axis=-1) == y).mean()


def expected_figure(made, variant, runtime):
    """What a bare interpreter of the same distribution gives for what a packed file or a table stands for."""
    plain = variant.removesuffix(".packed")
    if plain == "lut" and runtime != "tflite-micro":
        plain = "int8"
    outputs = zoo.bare(made.done.paths[plain], made.test, anew=made.name in WITH_STATE, runtime=runtime)
    return figure(made.name, outputs, made.y)


def test_bench_measures_what_a_bare_interpreter_does(made):
    variants = {path.name: variant for variant, path in made.done.paths.items()}
    result = bench_files(list(made.done.paths.values()), data=made.archive, runtime="all", settings=QUICK)
    seen = {(each["name"], each["runtime"]) for each in (*result["files"], *result["refused"])}
    assert seen == {(name, runtime.package) for name in variants for runtime in RUNTIMES.values()}
    assert {each["name"] for each in result["files"] if each["runtime"] != "tflite-micro"} == {*variants}
    for each in result["files"]:
        expected = expected_figure(made, variants[each["name"]], each["runtime"])
        within = 1 / len(made.y) if made.name != "regression_head" else 0.02 * expected
        assert abs(each["quality"]["value"] - expected) <= within + 1e-6, (each["name"], each["runtime"])


@pytest.mark.parametrize("how", ["turned", "permuted", "calibration"])
def test_a_sabotaged_copy_does_not_pass(how, made, tmp_path):
    bad = tmp_path / "bad.tflite"
    if how != "calibration":
        bad.write_bytes(zoo.converted(zoo.sabotaged(made.model, how)))
    elif "int8" not in ZOO[made.name].variants:
        return  # nothing is calibrated
    else:
        quiet = {np.dtype("float32"): 0.03, np.dtype("uint8"): 0.03, np.dtype("int32"): 0}  # one token, again and again
        wrong = {name: (each * quiet[each.dtype]).astype(each.dtype) for name, each in made.data.items()}
        np.savez(tmp_path / "wrong.npz", **wrong)
        words = made.folder / "model.keras", tmp_path, ("int8",), tmp_path / "wrong.npz"
        bad = export(*words, allow_disagreement=True).paths["int8"]
    assert verify(made.done.paths["f32"], bad, made.archive, SETTINGS.get(made.name))["verdict"] == "failed"


def test_some_models_have_tables(tmp_path):
    model = build("conv2d")
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "calibration.npz", **data_for(model))
    assert set(export(tmp_path / "model.keras", tmp_path, ("lut",)).paths) == {"lut"}


def test_the_state_after_one_calibration_example_does_not_reach_the_next(tmp_path):
    model = build("lstm")
    data = data_for(model)
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "calibration.npz", **data)
    done = export(tmp_path / "model.keras", tmp_path, ("int8",))
    (details,) = tf.lite.Interpreter(str(done.paths["int8"])).get_output_details()
    scale, zero = details["quantization"]
    (outputs,) = predictions(model, data)
    np.testing.assert_allclose(
        [(-128 - zero) * scale, (127 - zero) * scale], [outputs.min(), outputs.max()], atol=scale
    )
    assert done.differences["int8"] < 0.04


@pytest.mark.slow
def test_a_variant_that_the_converter_gets_wrong_is_not_written(tmp_path):
    model = build("bidirectional")
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "calibration.npz", **data_for(model))
    with pytest.raises(ModelFileError, match="int8 does not agree with the given model"):
        export(tmp_path / "model.keras", tmp_path / "out", ALL)
    assert not (tmp_path / "out").exists()
