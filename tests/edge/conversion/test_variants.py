"""Palettes survive the way into TFLite, and the variants compute what the Keras model computes."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from palettized_models import CLUSTERS, MODELS, dense_batchnorm, plain, two_inputs

from edge.conversion.channels import channels_last
from edge.conversion.keras_conversion import KerasConversion
from edge.conversion.palette_codes import palette_step
from edge.conversion.variants import convert, export
from edge.formats.inspection import inspect
from edge.formats.tflite_reader import TfliteView
from edge.running.loaded_model import TfliteModel
from edge.running.runtime import find_runtime
from tfc.base.errors import DataFileError, EdgeError


@pytest.fixture(scope="module", params=sorted(MODELS))
def made(request, tmp_path_factory):
    """One of the models, its inputs, and the paths of its variants."""
    model = MODELS[request.param]()
    folder = tmp_path_factory.mktemp(request.param)
    model.save(folder / "model.keras")
    x = np.random.default_rng(1).random((80, *model.input_shape[1:]), np.float32)
    np.savez(folder / "calibration.npz", x=x)
    done = export(folder / "model.keras", folder, ("f32", "wo8", "int8", "lut"))
    assert done.lost_palettes == {}
    return request.param, model, x, done.paths


def test_no_kernel_has_more_codes_than_its_palette(made):
    name, _, _, paths = made
    for variant in ("wo8", "int8", "lut"):
        if variant not in paths:
            continue
        for row in inspect(paths[variant])["kernels"]:
            # Channels with a negative factor mirror the codes.
            assert row["distinct"] <= CLUSTERS * (2 if name == "negative_gamma" else 1), (variant, row)
            assert row["distinct_per_channel"] <= CLUSTERS


def test_folding_by_itself_loses_the_palette(made):
    name, _, _, paths = made
    if name in ("plain", "negative_gamma", "depthwise"):
        assert max(row["distinct"] for row in inspect(paths["f32"])["kernels"]) > CLUSTERS


def test_outputs_are_those_of_the_keras_model(made):
    _, model, x, paths = made
    expected = model(x).numpy()
    span = np.ptp(expected)
    outputs = {
        variant: TfliteModel(paths[variant], find_runtime("litert")).predict(x) for variant in ("f32", "wo8", "int8")
    }
    np.testing.assert_allclose(outputs["f32"], expected, atol=1e-4 * span)
    assert np.abs(outputs["wo8"] - expected).max() < 0.03 * span
    assert np.abs(outputs["int8"] - expected).max() < 0.06 * span


def test_the_codes_are_as_exact_as_the_converters_own(made):
    """Giving up each channel's own range must not cost much: the outputs' error stays close to plain int8's."""
    _, model, x, paths = made
    from edge.conversion.converter import quiet_converter, to_int8

    path = paths["int8"].with_name("plain-int8.tflite")
    with quiet_converter():
        path.write_bytes(to_int8(model, x))
    expected = model(x).numpy()
    errors = [
        np.sqrt(np.mean((TfliteModel(file, find_runtime("litert")).predict(x) - expected) ** 2))
        for file in (paths["int8"], path)
    ]
    assert errors[0] < 2.5 * errors[1] + 0.002 * np.ptp(expected)


def test_weight_only_runs_on_both_interpreters(made):
    _, _, x, paths = made
    first, second = (TfliteModel(paths["wo8"], find_runtime(name)).predict(x[:10]) for name in ("litert", "tflite"))
    np.testing.assert_allclose(first, second, atol=1e-4 * np.ptp(first))


def test_look_up_tables_equal_int8_bit_for_bit(made):
    name, _, x, paths = made
    assert "lut" in paths or name not in ("plain", "negative_gamma")
    if "lut" not in paths:
        pytest.skip("too small for tables")
    for runtime in ("tflm", "litert", "tflite"):  # the last two expand the tables in memory
        models = [TfliteModel(paths[variant], find_runtime(runtime)) for variant in ("int8", "lut")]
        for example in x[:10]:
            outputs = []
            for model in models:
                model.set_input(example[None])
                model.invoke()
                outputs.append(model.raw_output().copy())
            np.testing.assert_array_equal(*outputs)


def test_codes_and_scales_stand_for_the_folded_kernel(exported):
    model = tf.keras.models.load_model(exported / "model.keras")
    conversion = KerasConversion(model, np.load(exported / "calibration.npz")["x"])
    for each in conversion.folded:
        folded = conversion.reference.constant(each.use.kernel)
        found = conversion.integer.constant(each.use.kernel)
        scales = conversion.integer.scales(each.use.kernel)
        values = channels_last(found, each.use.channel_axis) * scales
        step = np.abs(each.kernel.palette).max() / 80 * np.abs(each.factors)
        difference = np.abs(values - channels_last(folded, each.use.channel_axis))
        assert (difference <= 0.5001 * step).all()


@given(st.integers(2, 40), st.integers(0, 2**32 - 1))
def test_the_step_is_no_worse_than_the_full_range(clusters, seed):
    rng = np.random.default_rng(seed)
    kernel = rng.choice(rng.normal(size=clusters), 500).astype(np.float32)

    def error(step):
        codes = np.round(kernel / step)
        assert np.abs(codes).max() <= 127
        return np.mean((codes * step - kernel) ** 2)

    assert error(palette_step(kernel)) <= error(np.abs(kernel).max() / 127)
    assert palette_step(np.zeros(3, np.float32)) == 1.0


def test_biases_are_requantised_with_their_kernels(exported):
    view = TfliteView((exported / "model-int8.tflite").read_bytes())
    reference = TfliteView((exported / "model-f32.tflite").read_bytes())
    convs = [each for each in view.operators if each.name == "CONV_2D"]
    for operator, before in zip(convs, (each for each in reference.operators if each.name == "CONV_2D"), strict=True):
        source, kernel, bias = (view.tensors[number] for number in operator.inputs)
        np.testing.assert_allclose(bias.scales, source.scales * kernel.scales, rtol=1e-6)
        exact = reference.values(before.inputs[2])
        np.testing.assert_allclose(view.values(operator.inputs[2]) * bias.scales, exact, atol=bias.scales.max())


def test_a_dense_kernel_with_batchnorm_says_that_it_loses_its_palette(tmp_path):
    model = dense_batchnorm()
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "calibration.npz", x=np.random.default_rng(0).normal(size=(50, 12)).astype(np.float32))
    done = export(tmp_path / "model.keras", tmp_path, ("wo8", "int8"))
    rows = {row["shape"]: row for row in inspect(done.paths["wo8"])["kernels"]}
    assert rows[(16, 12)]["distinct"] <= CLUSTERS  # per channel, floats follow: nothing is lost
    if done.lost_palettes:
        assert set(done.lost_palettes) == {"hidden"} and "one scale" in done.lost_palettes["hidden"]
    else:
        assert all(row["distinct"] <= CLUSTERS for row in inspect(done.paths["int8"])["kernels"])


def test_a_dense_unit_without_weights_keeps_the_palette(tmp_path):
    model = plain()
    kernel = model.get_layer("logits").kernel
    palette = np.unique(kernel.numpy())
    kernel.assign(np.where(np.abs(kernel) == np.abs(palette).min(), 0, kernel).astype(np.float32))
    kernel.assign(np.where(np.arange(4) == 2, 0, kernel))
    conversion = KerasConversion(model, np.random.default_rng(0).random((20, *model.input_shape[1:]), np.float32))
    assert len(convert(conversion, ("int8",), tmp_path)) == 1
    assert conversion.lost_palettes == {}


def test_data_is_read_where_it_is_needed_alone(tmp_path):
    plain().save(tmp_path / "model.keras")
    np.savez(tmp_path / "calibration.npz", x=np.zeros((3, 2, 2, 1), np.float32))  # another model's
    assert export(tmp_path / "model.keras", tmp_path, ("f32", "wo8")).paths
    (tmp_path / "calibration.npz").unlink()

    def late(model):
        raise AssertionError("what is missing is to be said before anything is trained")

    with pytest.raises(EdgeError, match="needs a representative data set"):
        export(tmp_path / "model.keras", tmp_path, ("packed",), prepare=late)


def test_several_inputs_have_an_array_each(tmp_path):
    model = two_inputs()
    model.save(tmp_path / "model.keras")
    rng = np.random.default_rng(0)
    arrays = {name: rng.random((40, 4), np.float32) for name in model.input_names}
    np.savez(tmp_path / "calibration.npz", **arrays)
    done = export(tmp_path / "model.keras", tmp_path, ("f32", "wo8", "int8"))
    assert set(done.differences) == {"wo8", "int8"} and max(done.differences.values()) < 0.1
    np.savez(tmp_path / "calibration.npz", x=arrays[model.input_names[0]])
    with pytest.raises(DataFileError, match=f"lacks {', '.join(model.input_names)}; it holds x"):
        export(tmp_path / "model.keras", tmp_path, ("int8",))


def test_a_model_without_palettes_is_exported_as_it_is(tmp_path):
    model = plain()
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.1, 1, weights.shape) for weights in model.get_weights()])
    conversion = KerasConversion(model, rng.random((20, *model.input_shape[1:]), np.float32))
    assert conversion.folded == [] and conversion.lost_palettes == {}
    contents = convert(conversion, ("wo8", "int8"), tmp_path)
    for content in contents.values():
        view = TfliteView(content)
        assert max(len(np.unique(view.values(kernel.tensor))) for kernel in view.kernels) > 64


def test_sizes_fall_from_variant_to_variant(exported):
    sizes = {path.name: path.stat().st_size for path in exported.glob("*.tflite*")}
    assert sizes["model-lut.tflite"] < sizes["model-int8.tflite"] < sizes["model-f32.tflite"]
    for variant in ("wo8", "int8", "lut", "f32"):
        assert sizes[f"model-{variant}.tflite.packed"] < sizes[f"model-{variant}.tflite"]
