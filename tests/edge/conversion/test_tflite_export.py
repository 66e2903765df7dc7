"""A .tflite file of any framework becomes smaller ones: what it may hold survives, and palettes keep its answers."""

import json
from pathlib import Path

import ai_edge_litert.interpreter
import flatbuffers
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from pytorch_model import spots

from edge.cli import main
from edge.conversion import palette_sweep
from edge.conversion.converter import quiet_converter, to_float32
from edge.conversion.flatbuffer import FlatbufferModel
from edge.conversion.palette_budget import PaletteSettings
from edge.conversion.variants import export
from edge.formats.packing import unpack
from edge.formats.table_expansion import expand_tables
from edge.formats.tflite_reader import TfliteView
from edge.palettes.palettize import PaletteMethod
from edge.running.verification import verify
from tfc.base.errors import EdgeError, ModelFileError

RECORDED = Path(__file__).parent / "recorded" / "pytorch.tflite.packed"
"""Made by `pytorch_model.py`."""

PLAIN = PaletteMethod(weighted=False, compensated=False, bias_correction=False)
INTEGERS = ("int8", "lut", "packed")


def outputs(content, x):
    """What a bare interpreter makes of examples: float64 (examples, scores)."""
    interpreter = ai_edge_litert.interpreter.Interpreter(model_content=expand_tables(content))
    interpreter.allocate_tensors()
    (takes,), (gives,) = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for each in x:
        scale, zero = takes["quantization"]
        value = each if not scale else np.clip(np.round(each / scale) + zero, -128, 127)
        interpreter.set_tensor(takes["index"], value[None].astype(takes["dtype"]))
        interpreter.invoke()
        scale, zero = gives["quantization"]
        raw = interpreter.get_tensor(gives["index"])[0].astype(np.float64)
        found.append((raw - zero) * scale if scale else raw)
    return np.stack(found)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The recorded file, an int8 one made of it, and data."""
    made = tmp_path_factory.mktemp("any")
    (made / "vendor.tflite").write_bytes(unpack(RECORDED.read_bytes()))
    x, y = spots(160, 5)
    np.savez(made / "calibration.npz", x=x)
    x, y = spots(200, 6)
    np.savez(made / "test.npz", x=x, y=y)
    done = export(made / "vendor.tflite", made, ("int8",), name="given")
    done.paths["int8"].rename(made / "given.tflite")
    return made


@pytest.fixture(scope="module")
def test_set(folder):
    data = np.load(folder / "test.npz")
    return data["x"], data["y"]


def accuracy(path, test_set):
    x, y = test_set
    content = path.read_bytes()
    return (outputs(unpack(content) if path.suffix == ".packed" else content, x).argmax(axis=1) == y).mean()


def signature(path):
    content = path.read_bytes()
    view = TfliteView(unpack(content) if path.suffix == ".packed" else content)
    return [view.signature_names.get(number) for number in (*view.inputs, *view.outputs)]


def test_a_float_file_gives_every_variant(folder, test_set, tmp_path):
    done = export(folder / "vendor.tflite", tmp_path, ("f32", "wo8", *INTEGERS), palettes=PaletteSettings(clusters=16))
    sizes = {variant: path.stat().st_size for variant, path in done.paths.items()}
    assert sizes["lut.packed"] < sizes["lut"] < sizes["int8"] < sizes["f32"] and sizes["wo8.packed"] < sizes["wo8"]
    for variant, path in done.paths.items():
        if variant == "palettes":
            continue
        assert accuracy(path, test_set) >= 0.98, variant
        assert signature(path) == ["args_0", "output_0"], variant
    assert verify(done.paths["int8"], done.paths["lut"], folder / "test.npz")["passed"]
    assert all(row.values <= 16 and row.error < 0.05 for row in done.palettes)
    assert set(done.left_kernels.values()) == {"fewer than 256 weights"}
    report = json.loads(done.paths["palettes"].read_text())
    assert [row["name"] for row in report["kernels"]] == [row.name for row in done.palettes]


def test_without_palettes_a_float_file_is_converted_alone(folder, test_set, tmp_path):
    done = export(folder / "vendor.tflite", tmp_path, ("f32", "wo8", "int8"))
    assert done.paths["f32"].read_bytes() == (folder / "vendor.tflite").read_bytes()
    assert accuracy(done.paths["wo8"], test_set) >= 0.98 and accuracy(done.paths["int8"], test_set) >= 0.98
    assert not done.palettes and "palettes" not in done.paths


def test_an_integer_file_keeps_all_but_codes_and_biases(folder, tmp_path):
    done = export(folder / "given.tflite", tmp_path, INTEGERS, palettes=PaletteSettings(clusters=8))
    old, new = (FlatbufferModel(path.read_bytes()) for path in (folder / "given.tflite", done.paths["int8"]))
    changed = set()
    assert old.names == new.names
    for name in old.names:
        assert (old.scales(name) == new.scales(name)).all() and old.zero_point(name) == new.zero_point(name)
        a, b = old.constant(name), new.constant(name)
        if a is not None and not np.array_equal(a, b):
            changed.add(name)
    kernels = {row.name for row in done.palettes}
    biases = {use.bias for use in old.kernel_uses() if use.kernel in kernels}
    assert kernels and kernels <= changed <= kernels | biases
    assert all(len(np.unique(new.constant(name))) <= 8 for name in kernels)
    assert [old.operator_name(each) for *_, each in old.operators()] == [
        new.operator_name(each) for *_, each in new.operators()
    ]
    assert verify(done.paths["int8"], done.paths["lut"], folder / "test.npz")["passed"]


def test_every_step_brings_the_outputs_closer(folder, test_set, tmp_path):
    exact = outputs((folder / "given.tflite").read_bytes(), test_set[0])
    errors = []
    for number, method in enumerate((PLAIN, PaletteMethod(compensated=False), PaletteMethod())):
        settings = PaletteSettings(clusters=4, method=method)
        options = {"palettes": settings, "allow_disagreement": True, "name": str(number)}
        done = export(folder / "given.tflite", tmp_path, ("int8",), **options)
        errors.append(((outputs(done.paths["int8"].read_bytes(), test_set[0]) - exact) ** 2).mean())
    assert errors[1] < errors[0] and errors[2] < 0.9 * errors[1]


def test_a_result_is_the_same_each_time(folder, tmp_path):
    made = [
        export(folder / "given.tflite", tmp_path / name, ("lut",), palettes=PaletteSettings(bits=3.0)) for name in "ab"
    ]
    assert made[0].paths["lut"].read_bytes() == made[1].paths["lut"].read_bytes()


def converted(model, *, float16=False):
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if float16:
        converter.target_spec.supported_types = [tf.float16]
    with quiet_converter():
        return converter.convert()


def keras_model():
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Input((8, 8, 3), 1),
            tf.keras.layers.Conv2D(16, 3, activation="relu"),
            tf.keras.layers.Flatten(),
            tf.keras.layers.Dense(5),
        ]
    )
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.2, weights.shape) for weights in model.get_weights()])
    return model


@pytest.mark.parametrize("kind", ["float16", "dynamic range", "wo8"])
def test_weights_that_are_only_stored_in_few_bits(kind, tmp_path):
    model, rng = keras_model(), np.random.default_rng(0)
    x = rng.random((64, 8, 8, 3), np.float32)
    np.savez(tmp_path / "calibration.npz", x=x)
    path = tmp_path / "small.tflite"
    if kind == "wo8":
        model.save(tmp_path / "model.keras")
        path = export(tmp_path / "model.keras", tmp_path, ("wo8",)).paths["wo8"]
    else:
        path.write_bytes(converted(model, float16=kind == "float16"))
    exact = model.predict(x, verbose=0)
    done = export(path, tmp_path / "out", ("f32", "wo8", "int8", "lut"), palettes=PaletteSettings(clusters=32))
    for variant in ("f32", "wo8", "int8", "lut"):
        found = outputs(done.paths[variant].read_bytes(), x)
        assert np.sqrt(((found - exact) ** 2).mean()) < 0.1 * exact.std(), variant


def test_metadata_survive_and_names_inside_do_not_matter(folder, tmp_path):
    model = schema.ModelT.InitFromPackedBuf(bytearray((folder / "given.tflite").read_bytes()), 0)
    entry, buffer = schema.MetadataT(), schema.BufferT()
    buffer.data = np.frombuffer(b"labels: four quadrants", np.uint8)
    entry.name, entry.buffer = b"vendor", len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    for tensor in model.subgraphs[0].tensors:
        tensor.name = b"same"
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    path = tmp_path / "described.tflite"
    path.write_bytes(bytes(builder.Output()))
    done = export(path, tmp_path, INTEGERS, folder / "calibration.npz", palettes=PaletteSettings(clusters=16))
    for variant in ("int8", "lut"):
        content = done.paths[variant].read_bytes()
        read = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
        found = {bytes(each.name): bytes(read.buffers[each.buffer].data) for each in read.metadata}
        assert found[b"vendor"] == b"labels: four quadrants", variant
        assert signature(done.paths[variant]) == ["args_0", "output_0"], variant


def test_loops_keep_their_subgraphs(tmp_path):
    with quiet_converter():
        model = tf.keras.Sequential([tf.keras.layers.GRU(32, input_shape=(6, 8)), tf.keras.layers.Dense(3)])
        (tmp_path / "loop.tflite").write_bytes(to_float32(model))
    done = export(tmp_path / "loop.tflite", tmp_path, ("wo8", "packed"), palettes=PaletteSettings(clusters=16))
    view = TfliteView(done.paths["wo8"].read_bytes())
    assert len(view.subgraphs) == len(TfliteView((tmp_path / "loop.tflite").read_bytes()).subgraphs) > 1
    assert done.differences["wo8"] < 0.5


@pytest.mark.parametrize("bits", [pytest.param(1.5, marks=pytest.mark.slow), 3.0])
def test_bits_are_met_and_shared_out(folder, test_set, tmp_path, bits):
    done = export(
        folder / "given.tflite",
        tmp_path,
        ("int8", "packed"),
        palettes=PaletteSettings(bits=bits),
        allow_disagreement=True,
    )
    weights = sum(row.weights for row in done.palettes)
    mean = sum(row.bits * row.weights for row in done.palettes) / weights
    assert bits - 0.25 < mean <= bits
    assert max(row.bits for row in done.palettes) > mean + 0.3  # kernels differ
    if bits == 3.0:
        assert accuracy(done.paths["int8"], test_set) >= 0.98


@pytest.mark.parametrize(
    "variants,target",
    [
        (("lut",), 9500),
        pytest.param(("int8", "packed"), 5000, marks=pytest.mark.slow),
        pytest.param(("wo8", "packed"), 5000, marks=pytest.mark.slow),
    ],
)
def test_a_file_has_no_more_bytes_than_asked_for(folder, tmp_path, variants, target):
    source = folder / ("vendor.tflite" if "wo8" in variants else "given.tflite")
    done = export(source, tmp_path, variants, folder / "calibration.npz", palettes=PaletteSettings(target_bytes=target))
    name = f"{variants[0]}.packed" if "packed" in variants else "lut"
    assert 0.85 * target < done.paths[name].stat().st_size <= target


def test_a_loss_is_not_exceeded_and_bits_are_saved(folder, test_set, tmp_path):
    done = export(folder / "given.tflite", tmp_path, ("int8",), palettes=PaletteSettings(max_loss=0.05))
    assert done.agreements["int8"] >= 0.95
    assert sum(row.bits * row.weights for row in done.palettes) < 3 * sum(row.weights for row in done.palettes)


def test_a_sweep_is_a_table_and_a_figure(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(palette_sweep, "SIZES", (2, 4, 8, 32))
    done = export(folder / "given.tflite", tmp_path, ("int8",), sweep=True)
    sizes = [point.packed_bytes for point in done.sweep]
    assert sizes == sorted(sizes) and done.sweep[-1].difference < 0.2 * done.sweep[0].difference
    page = done.paths["sweep"].read_text()
    assert "<svg" in page and "The curve bends at" in page
    read = json.loads(done.paths["sweep.json"].read_text())
    assert read["knee"] in [point["clusters"] for point in read["points"]]


def test_palettes_without_data_are_made_of_the_weights_alone(folder, test_set, tmp_path):
    (tmp_path / "alone.tflite").write_bytes((folder / "given.tflite").read_bytes())
    done = export(tmp_path / "alone.tflite", tmp_path, ("lut",), palettes=PaletteSettings(clusters=16))
    assert all(row.error is None for row in done.palettes) and accuracy(done.paths["lut"], test_set) >= 0.95


def test_a_saved_model_is_loaded_where_it_is_trusted(tmp_path):
    model = keras_model()
    tf.saved_model.save(model, str(tmp_path / "saved"))
    with pytest.raises(ModelFileError, match="--trust loads it"):
        export(tmp_path / "saved", tmp_path, ("f32",))
    done = export(tmp_path / "saved", tmp_path, ("f32",), trust=True)
    x = np.random.default_rng(0).random((4, 8, 8, 3), np.float32)
    np.testing.assert_allclose(outputs(done.paths["f32"].read_bytes(), x), model.predict(x, verbose=0), atol=1e-5)


@pytest.mark.parametrize(
    "source,variants,settings,message",
    [
        ("given.tflite", ("f32",), None, "computes in integers already"),
        ("given.tflite", ("wo8",), {"clusters": 4}, "computes in integers already"),
        ("given.tflite", ("int8",), {"target_bytes": 4000}, "--target-bytes is about a packed file"),
        ("vendor.tflite", ("f32", "lut"), {"target_bytes": 9000}, "without packed is about lut"),
        pytest.param(
            "given.tflite", ("int8", "packed"), {"target_bytes": 100}, "can't be met: ", marks=pytest.mark.slow
        ),
        ("given.tflite", ("int8",), {"bits": 3.0, "max_loss": 0.1}, "exclude each other"),
        ("given.tflite", ("int8",), {"bits": 9.0}, "--bits must be between 0.25 and 7"),
        ("given.tflite", ("int8",), {"max_loss": 2.0}, "--max-loss must be between 0 and 1"),
        ("given.tflite", ("int8",), {"clusters": 1}, "--clusters must be between 2 and 128"),
        ("given.tflite", ("int8",), {"max_loss": 0.001, "clusters": 2}, "--max-loss 0.001 can't be met"),
        ("given.tflite", ("int8",), {}, "palettes need one of --clusters"),
        ("cut.tflite", ("f32",), None, "cut.tflite: "),
    ],
)
def test_what_is_refused_leaves_nothing_behind(folder, tmp_path, source, variants, settings, message):
    (folder / "cut.tflite").write_bytes((folder / "given.tflite").read_bytes()[:3000])
    palettes = None if settings is None else PaletteSettings(**settings)
    with pytest.raises(EdgeError) as caught:
        export(folder / source, tmp_path / "out", variants, folder / "calibration.npz", palettes=palettes)
    assert message in str(caught.value) and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arrays,message",
    [
        (
            {"x": np.zeros((5, 16, 16, 1), np.float32)},
            "x has shape (5, 16, 16, 1), the model takes (examples, 1, 16, 16)",
        ),
        ({"x_test": np.zeros((5, 1, 16, 16), np.float32)}, "lacks x"),
        ({"x": np.full((5, 1, 16, 16), np.nan, np.float32)}, "not finite"),
    ],
)
def test_calibration_that_does_not_fit(folder, tmp_path, arrays, message):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(EdgeError) as caught:
        export(folder / "given.tflite", tmp_path / "out", ("int8",), tmp_path / "bad.npz")
    assert message in str(caught.value) and not (tmp_path / "out").exists()


def test_the_file_itself_is_not_replaced(folder, tmp_path):
    path = tmp_path / "model-int8.tflite"
    path.write_bytes((folder / "given.tflite").read_bytes())
    with pytest.raises(EdgeError, match="would be replaced by its own variant"):
        export(path, tmp_path, ("int8",), name="model", palettes=PaletteSettings(clusters=4))
    assert path.read_bytes() == (folder / "given.tflite").read_bytes()


def test_a_packed_file_gives_its_name_without_suffixes(tmp_path):
    done = export(RECORDED, tmp_path, ("wo8",))
    assert done.paths["wo8"].name == "pytorch-wo8.tflite"


def test_the_command(folder, tmp_path, capsys):
    words = [
        "export",
        str(folder / "vendor.tflite"),
        "--out",
        str(tmp_path),
        "--variants",
        "lut,packed",
        "--clusters",
        "8",
    ]
    assert main(words) == 0
    found = capsys.readouterr()
    assert "largest output the same in" in found.out and "bits/weight" in found.out
    assert "has no palette: fewer than 256 weights" in found.err
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"vendor-lut.tflite", "vendor-lut.tflite.packed", "vendor-palettes.json"}
    assert main([*words, "--bits", "3", "--train", "x.npz"]) == 1
    assert "--bits works without training" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_damaged_files_get_one_line_and_leave_nothing(folder, tmp_path, capsys, seed):
    rng = np.random.default_rng(seed)
    content = bytearray((folder / "given.tflite").read_bytes())
    for place in rng.integers(0, len(content), rng.choice([1, 4, 30])):
        content[place] = rng.integers(256)
    (tmp_path / "hit.tflite").write_bytes(content[: rng.integers(len(content))] if seed % 5 == 4 else content)
    words = ["export", str(tmp_path / "hit.tflite"), "--out", str(tmp_path / "out"), "--variants", "int8,lut,packed"]
    code = main([*words, "--clusters", "8", "--calibration", str(folder / "calibration.npz"), "--quiet"])
    told = capsys.readouterr().err
    assert code in (0, 1) and "Traceback" not in told
    assert code == 0 or (told.count("error: ") == 1 and not (tmp_path / "out").exists())
