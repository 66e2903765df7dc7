"""Export of many kinds of models: every variant keeps what it promises, and no kernel is passed over in silence."""

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from export_zoo import CLUSTERS, ZOO, build, data_for

from edge.conversion.keras_kernels import layout_of
from edge.conversion.variants import export
from edge.formats.inspection import inspect
from edge.formats.packing import unpack
from edge.formats.tflite_reader import TfliteView

SLOW = ("bidirectional", "gru_unrolled")
"""Their conversion takes most of a minute each."""


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in sorted(ZOO)],
)
def made(request, tmp_path_factory):
    """Name, model, data and export of a model."""
    folder = tmp_path_factory.mktemp(request.param)
    model = build(request.param)
    data = data_for(model)
    model.save(folder / "model.keras")
    np.savez(folder / "calibration.npz", **data)
    return request.param, model, data, export(folder / "model.keras", folder, ZOO[request.param].variants)


def run(path, data):
    """Outputs of a file on a bare interpreter, each (examples, ...), as real numbers."""
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    found = [[] for _ in interpreter.get_output_details()]
    for example in zip(*data.values(), strict=True):
        interpreter.reset_all_variables()
        for detail, values in zip(interpreter.get_input_details(), example, strict=True):
            scale, zero = detail["quantization"]
            if scale and values.dtype.kind == "f":
                values = np.clip(np.round(values / scale) + zero, -128, 127)
            interpreter.set_tensor(detail["index"], values[None].astype(detail["dtype"]))
        interpreter.invoke()
        for detail, values in zip(interpreter.get_output_details(), found, strict=True):
            scale, zero = detail["quantization"]
            output = interpreter.get_tensor(detail["index"])[0].astype(np.float64)
            values.append((output - zero) * scale if scale else output)
    return [np.stack(values) for values in found]


def test_outputs_are_those_of_the_keras_model(made):
    name, model, data, done = made
    inputs = dict(zip(model.input_names, data.values(), strict=True))
    expected = {output.shape[1:]: output for output in map(np.asarray, tf.nest.flatten(model(inputs)))}
    # Byte inputs have a scale of 1: they mean the same in every variant.
    for variant, allowed in (("f32", 1e-4), ("wo8", 0.1), ("int8", 0.3)):
        if variant not in done.paths:
            continue
        for output in run(done.paths[variant], data):
            exact = expected[output.shape[1:]]
            error = np.sqrt(np.mean((output - exact) ** 2)) / max(float(exact.std()), 1e-3)
            assert error < allowed, (name, variant, error)


def test_every_kernel_has_a_fate(made):
    _, model, _, done = made
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
    name, _, _, done = made
    if not ZOO[name].palettized:
        pytest.skip("has no palettes")
    for variant in {"wo8", "int8", "lut"} & set(done.paths):
        for row in inspect(done.paths[variant])["kernels"]:
            # Depthwise kernels of a few weights may be better off with codes per channel.
            if row["operator"] != "MUL" and np.prod(row["shape"]) >= 128:
                assert row["distinct_per_channel"] <= CLUSTERS, (variant, row)


def test_integer_files_compute_in_integers(made):
    _, _, _, done = made
    for variant in {"int8", "lut"} & set(done.paths):
        for view in TfliteView(done.paths[variant].read_bytes()).subgraphs:
            assert not {tensor.type for tensor in view.tensors if tensor.num_bytes} & {"float32"}
            assert all(view.tensors[kernel.tensor].type == "int8" for kernel in view.kernels)
            assert not {view.tensors[number].type for each in view.operators for number in each.outputs} & {"float32"}


def test_tables_are_there_or_it_is_said_that_none_pays(made):
    name, _, _, done = made
    if "lut" not in ZOO[name].variants:
        return
    assert ("lut" in done.paths) != ("lut" in done.left_out)
    if "lut" in done.paths:
        assert "lut" in {row["type"] for row in inspect(done.paths["lut"])["kernels"]}
        assert done.paths["lut"].stat().st_size < done.paths["int8"].stat().st_size


def test_packed_files_are_restored(made):
    _, _, _, done = made
    for variant in {"f32", "wo8", "int8", "lut"} & set(done.paths):
        if f"{variant}.packed" in done.paths:
            assert unpack(done.paths[f"{variant}.packed"].read_bytes()) == done.paths[variant].read_bytes()


def test_some_models_have_tables(tmp_path):
    model = build("conv2d")
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "calibration.npz", **data_for(model))
    assert set(export(tmp_path / "model.keras", tmp_path, ("lut",)).paths) == {"lut"}
