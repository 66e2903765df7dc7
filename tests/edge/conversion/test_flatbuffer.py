"""The two doors to .tflite files: the one that writes (schema's classes), the one that devices read with (NumPy)."""

import struct

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.conversion.flatbuffer import FlatbufferModel
from edge.formats.inspection import inspect
from edge.formats.table_expansion import expand_tables
from edge.formats.tflite_reader import TfliteView
from edge.running.loaded_model import TfliteModel
from edge.running.runtime import find_runtime
from tfc.base.errors import ModelFileError

VARIANTS = ("f32", "wo8", "int8", "lut")


@pytest.mark.parametrize("variant", VARIANTS)
def test_both_doors_see_the_same_as_the_schemas_own_classes(exported, variant):
    content = (exported / f"model-{variant}.tflite").read_bytes()
    theirs = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    graph = theirs.subgraphs[0]
    view = TfliteView(content)
    assert len(view.tensors) == len(graph.tensors) and len(view.operators) == len(graph.operators)
    for number, (tensor, expected) in enumerate(zip(view.tensors, graph.tensors, strict=True)):
        data = theirs.buffers[expected.buffer].data
        assert tensor.shape == tuple([] if expected.shape is None else expected.shape)
        assert tensor.name == (expected.name or b"").decode()
        assert tensor.num_bytes == (0 if data is None else len(data))
        if tensor.num_bytes:
            assert content[tensor.start : tensor.start + tensor.num_bytes] == bytes(data)
            assert view.values(number).tobytes() == bytes(data)
        scales = None if expected.quantization is None else expected.quantization.scale
        np.testing.assert_array_equal(tensor.scales, [] if scales is None else scales)
    for operator, expected in zip(view.operators, graph.operators, strict=True):
        assert operator.inputs == tuple(expected.inputs) and operator.outputs == tuple(expected.outputs)
    assert len(view.kernels) == len({use.kernel for use in FlatbufferModel(content).kernel_uses()}) or variant in (
        "wo8",
        "lut",
    )
    assert len(view.kernels) == 3


@pytest.mark.parametrize("variant", ["f32", "int8"])
@pytest.mark.parametrize("runtime", ["litert", "tflite", "tflm"])
def test_what_is_written_again_computes_the_same(exported, tmp_path, variant, runtime):
    source = exported / f"model-{variant}.tflite"
    again = FlatbufferModel(source.read_bytes())
    again.drop_descriptions()
    path = tmp_path / "again.tflite"
    path.write_bytes(again.to_bytes())
    assert path.stat().st_size < source.stat().st_size
    x = np.load(exported / "test.npz")["x"][:5]
    outputs = [TfliteModel(file, find_runtime(runtime)).predict(x) for file in (source, path)]
    np.testing.assert_array_equal(*outputs)


@pytest.mark.parametrize("variant", VARIANTS[1:])
def test_constants_start_at_multiples_of_sixteen(exported, variant):
    view = TfliteView((exported / f"model-{variant}.tflite").read_bytes())
    starts = [tensor.start for tensor in view.tensors if tensor.num_bytes]
    assert starts and all(start % 16 == 0 for start in starts)


def test_equal_zero_points_are_stored_once(exported):
    model = FlatbufferModel((exported / "model-int8.tflite").read_bytes())
    before = len(model.to_bytes())
    model.add_tensor("one", (1,), np.int8, np.zeros(1, np.int8), np.ones(1000, np.float32))
    first = len(model.to_bytes())
    model.add_tensor("two", (1,), np.int8, np.zeros(1, np.int8), np.ones(1000, np.float32))
    assert first - before > 12_000 > len(model.to_bytes()) - first


def test_what_lies_where_depends_on_the_architecture_alone(exported):
    """Scales and constants that happen to be equal stay apart."""
    model = FlatbufferModel((exported / "model-int8.tflite").read_bytes())
    length = len(model.to_bytes())
    starts = [tensor.start for tensor in TfliteView(model.to_bytes()).tensors]
    for use in model.kernel_uses():
        model.set_constant(use.kernel, model.constant(use.kernel) * 0, model.scales(use.kernel) * 0 + 1)
        model.set_constant(use.bias, model.constant(use.bias) * 0)
        for name in (use.input, *model.boundary):
            model.tensor(name).quantization.zeroPoint = np.array([7], np.int64)
    assert len(model.to_bytes()) == length
    assert [tensor.start for tensor in TfliteView(model.to_bytes()).tensors] == starts


def test_tensors_are_found_by_unique_names(exported):
    content = (exported / "model-int8.tflite").read_bytes()
    plain = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    for tensor in plain.subgraphs[0].tensors:
        tensor.name = "same"
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(plain.Pack(builder), b"TFL3")
    model = FlatbufferModel(bytes(builder.Output()))
    assert len(set(model.names)) == len(model.names) == len(plain.subgraphs[0].tensors)


def test_what_is_no_model_is_refused_by_both_doors(exported):
    for door in (FlatbufferModel, TfliteView):
        with pytest.raises(ModelFileError, match="not a TFLite model"):
            door(b"hello, I am no model")


def test_all_subgraphs_are_read(exported):
    """A loop's kernels lie in a subgraph of its own."""
    double = schema.ModelT.InitFromPackedBuf(bytearray((exported / "model-f32.tflite").read_bytes()), 0)
    double.subgraphs = double.subgraphs * 2
    builder = flatbuffers.Builder(1024)
    builder.Finish(double.Pack(builder), b"TFL3")
    content = bytes(builder.Output())
    model = FlatbufferModel(content)
    assert len(model.kernel_uses()) == 6 and len(set(model.names)) == len(model.names)
    again = FlatbufferModel(model.to_bytes())
    assert [use.operator for use in again.kernel_uses()] == [use.operator for use in model.kernel_uses()]
    assert [len(graph.kernels) for graph in TfliteView(content).subgraphs] == [3, 3]


def _read_everything(path):
    content = path.read_bytes()
    view = TfliteView(content)
    assert len(view.tensors) >= 0 and len(view.operators) >= 0
    expand_tables(content)
    inspect(path)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_files_get_the_one_error(exported, data):
    content = bytearray((exported / "model-lut.tflite").read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(9, len(content) - 1))]
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(8, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(8, max(8, len(content) - 5)))
        if place + 4 <= len(content):
            struct.pack_into("<I", content, place, data.draw(st.integers(0, 2**32 - 1)))
    path = exported / "damaged.bin"
    path.write_bytes(content)
    try:
        _read_everything(path)
    except ModelFileError as error:
        assert str(error)
