"""What `edge inspect` says, against NumPy on the schema's own classes."""

import json

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from palettized_models import CLUSTERS

from edge.cli import main
from edge.conversion.flatbuffer import FlatbufferModel
from edge.formats.inspection import format_inspection, inspect
from edge.formats.tflite_reader import TfliteView


def test_rows_are_what_numpy_finds(exported):
    model = FlatbufferModel((exported / "model-int8.tflite").read_bytes())
    found = inspect(exported / "model-int8.tflite")
    assert [row["operator"] for row in found["kernels"]] == ["CONV_2D", "CONV_2D", "FULLY_CONNECTED"]
    for row, use in zip(found["kernels"], model.kernel_uses(), strict=True):
        codes = model.constant(use.kernel)
        assert row["name"] == use.kernel and row["shape"] == codes.shape and row["type"] == "int8"
        assert row["distinct"] == len(np.unique(codes)) <= CLUSTERS
        assert row["distinct_per_channel"] == max(len(np.unique(channel)) for channel in codes)
        assert row["num_bytes"] == codes.nbytes
        counts = np.unique(codes, return_counts=True)[1]
        entropy = -(counts * np.log2(counts / counts.sum())).sum() / 8
        assert entropy < row["coded_bytes"] < 1.05 * entropy + 3 * CLUSTERS + 20
    conv, logits = found["kernels"][1], found["kernels"][2]
    assert conv["table_bytes"] == 16 + 16 * conv["distinct_per_channel"] + conv["num_bytes"] * 3 // 8
    assert logits["table_bytes"] == 16 + logits["distinct"] + logits["num_bytes"] * 3 // 8
    assert found["total"]["weights"] == found["total"]["num_bytes"]
    assert found["packed_bytes"] == (exported / "model-int8.tflite.packed").stat().st_size


def test_look_up_tables_and_packed_files_are_looked_into(exported):
    tables, packed = (inspect(exported / f"model-{end}") for end in ("lut.tflite", "int8.tflite.packed"))
    assert tables["kernels"][1]["type"] == "lut"
    assert tables["kernels"][1]["num_bytes"] == tables["kernels"][1]["table_bytes"] < packed["kernels"][1]["num_bytes"]
    for ours, theirs in zip(tables["kernels"], packed["kernels"], strict=True):
        assert (ours["distinct"], ours["coded_bytes"]) == (theirs["distinct"], theirs["coded_bytes"])
    assert packed["model_bytes"] > packed["file_bytes"] == packed["packed_bytes"]


def test_floats_have_no_table(exported):
    found = inspect(exported / "model-f32.tflite")
    assert {row["type"] for row in found["kernels"]} == {"float32"}
    assert found["total"]["table_bytes"] is None and found["total"]["coded_bytes"] is None


def test_the_command_prints_a_table_and_json(exported, capsys):
    path = exported / "model-int8.tflite"
    assert main(["inspect", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:4] == ["kernel", "operator", "shape", "type"]
    assert lines[4].startswith("all kernels") and str(path) in lines[5]
    assert [line.partition(":")[0] for line in lines[6:9]] == ["input", "output", "operators"]
    assert " MACs, activations " in lines[9] and lines[10].startswith("constants in bytes: kernels ")
    assert main(["inspect", str(path), "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kernels"][0]["distinct"] <= CLUSTERS and found["file"] == str(path)


@pytest.mark.parametrize("name,message", [("none.tflite", "cannot be read"), ("text.tflite", "not a TFLite model")])
def test_what_can_not_be_looked_into_gets_one_line(tmp_path, capsys, name, message):
    (tmp_path / "text.tflite").write_text("hello, I am no model")
    assert main(["inspect", str(tmp_path / name)]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1 and name in errors[0] and message in errors[0]


def test_int4_is_read_and_unknown_types_are_counted(exported, tmp_path):
    """Two values per byte, the first one in the low bits; a type of the future has no values, but a size."""
    model = schema.ModelT.InitFromPackedBuf(bytearray((exported / "model-int8.tflite").read_bytes()), 0)
    graph = model.subgraphs[0]
    convs = [each for each in graph.operators if len(each.inputs) == 3]
    first, second = (graph.tensors[operator.inputs[1]] for operator in convs[:2])
    codes = np.arange(int(np.prod(first.shape))) % 16 - 8
    nibbles = (codes & 15).astype(np.uint8)
    model.buffers[first.buffer].data = nibbles[0::2] | nibbles[1::2] << 4
    first.type, second.type = schema.TensorType.INT4, 99
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path = tmp_path / "int4.tflite"
    path.write_bytes(bytes(builder.Output()))
    view = TfliteView(path.read_bytes())
    np.testing.assert_array_equal(view.values(view.kernels[0].tensor).reshape(-1), codes)
    found = inspect(path)
    rows = {row["type"]: row for row in found["kernels"]}
    assert rows["int4"]["distinct"] == 16 and rows["int4"]["num_bytes"] == codes.size // 2
    assert rows["type 99, not understood"]["distinct"] is None
    assert rows["type 99, not understood"]["num_bytes"] == np.prod(second.shape)
    assert found["total"]["not_understood"] == 1
    assert found["total"]["weights"] == inspect(exported / "model-int8.tflite")["total"]["weights"]
    assert "1 kernels are of a type that is not understood" in format_inspection(found)
