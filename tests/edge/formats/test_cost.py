"""What reading costs follows the file's length, whatever the file declares."""

import contextlib
import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from edge.formats.container import NO_FILE, Container, FileName, most_unpacked
from edge.formats.inspection import inspect
from edge.formats.packing import pack, unpack
from edge.formats.tflite_reader import TfliteView
from tfc.base.errors import ModelFileError, NpzError
from tfc.base.npz import read_arrays


class Builder:
    """Tables and vectors of a FlatBuffer, one after the other; offsets lead forwards."""

    def __init__(self):
        self.content = bytearray(b"\0\0\0\0TFL3")

    def table(self, *places):
        """Appends a table with 4-byte fields at these places; returns its position and theirs."""
        last = max(places)
        while (len(self.content) + 4 + 2 * (last + 1)) % 4:
            self.content.append(0)
        start = len(self.content)
        entries = [4 + 4 * places.index(place) if place in places else 0 for place in range(last + 1)]
        self.content += struct.pack(f"<{last + 3}H", 4 + 2 * (last + 1), 4 + 4 * len(places), *entries)
        position = len(self.content)
        self.content += struct.pack("<i", position - start) + bytes(4 * len(places))
        return position, [position + 4 + 4 * number for number in range(len(places))]

    def vector(self, field, count):
        """Appends a vector of 4-byte items and lets a field lead to it; returns the items' positions."""
        start = len(self.content)
        self.lead(field, start)
        self.content += struct.pack("<I", count) + bytes(4 * count)
        return [start + 4 + 4 * number for number in range(count)]

    def lead(self, field, target):
        struct.pack_into("<I", self.content, field, target - field)


def shared(operators, inputs, one_table):
    """A model whose operators are one table listed often, or tables of their own that share one list of inputs."""
    build = Builder()
    root, (codes, graphs, buffers) = build.table(1, 2, 4)
    build.lead(0, root)
    (buffer,), (code,), (graph,) = (build.vector(field, 1) for field in (buffers, codes, graphs))
    build.lead(buffer, build.table(1)[0])
    build.lead(code, build.table(4)[0])
    position, (tensors, listed) = build.table(0, 3)
    build.lead(graph, position)
    (tensor,) = build.vector(tensors, 1)
    build.lead(tensor, build.table(2)[0])
    items = build.vector(listed, operators)
    fields = []
    for number, item in enumerate(items):
        if number == 0 or not one_table:
            position, (field,) = build.table(1)
            fields.append(field)
        build.lead(item, position)
    build.vector(fields[-1], inputs)
    start = len(build.content) - 4 * (inputs + 1)
    for field in fields:
        build.lead(field, start)
    return bytes(build.content)


def test_a_sound_file_of_this_kind_is_read():
    view = TfliteView(shared(3, 5, one_table=False))
    assert [len(operator.inputs) for operator in view.operators] == [5, 5, 5]


@pytest.mark.parametrize("one_table", [True, False])
def test_operators_that_share_what_they_name_do_not_multiply_it(one_table, tmp_path):
    path = tmp_path / "shared.tflite"
    path.write_bytes(shared(8_000, 20_000, one_table))
    assert path.stat().st_size < 300_000
    with pytest.raises(ModelFileError, match=r"listed twice|name more than 8 times"):
        inspect(path)


@contextlib.contextmanager
def little_memory():
    """What is in it takes 2 MB at most: far less than the 30 and 100 MB that the files here stand for."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_a_packed_file_is_refused_before_it_is_unpacked():
    rest = bytes(30_000_000)
    hostile = Container(b"FCPK", FileName(len(rest), 0), NO_FILE, 0, rest, b"").to_bytes()
    assert len(hostile) < 100_000
    with little_memory(), pytest.raises(ModelFileError, match="may stand for"):
        unpack(hostile)
    assert most_unpacked(100_000) < 11_000_000


def test_what_is_packed_can_be_unpacked(exported):
    content = (exported / "model-int8.tflite").read_bytes()
    assert unpack(pack(content)) == content
    with pytest.raises(ModelFileError, match="so much smaller"):
        pack(shared(3, 5, one_table=False) + bytes(8_000_000))


def npy(shape, data):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + data


@pytest.mark.parametrize(
    "shape,data,message",
    [
        ("(1000000000000, 28)", b"", "its shape needs"),
        ("(9223372036854775807, 28)", b"", "its shape needs"),
        ("(-1, 28)", bytes(112), "impossible shape"),
        ("(25000000,)", bytes(100_000_000), "too many for a file of"),
    ],
)
def test_an_archive_is_checked_before_it_is_read(shape, data, message, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("x.npy", npy(shape, data))
    with little_memory(), pytest.raises(NpzError, match=message):
        read_arrays(tmp_path / "a.npz", ("x",))


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_only_numpys_own_packing_is_read(method, tmp_path):
    content = io.BytesIO()
    np.save(content, np.zeros(3, np.float32))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
        archive.writestr("x.npy", content.getvalue())
    with pytest.raises(NpzError, match="packed in another way"):
        read_arrays(tmp_path / "a.npz", ("x",))


@pytest.mark.parametrize("order", ["C", "F"])
def test_sound_arrays_come_back(order, tmp_path):
    arrays = {"x": np.asarray(np.arange(24, dtype=np.float32).reshape(2, 3, 4), order=order), "n": np.array(["a", "ü"])}
    np.savez_compressed(tmp_path / "a.npz", **arrays, zeros=np.zeros((0, 4)), scalar=np.int64(3))
    found = read_arrays(tmp_path / "a.npz", ("x", "n", "zeros", "scalar"))
    for name, array in arrays.items():
        assert np.array_equal(found[name], array) and found[name].dtype == array.dtype
    assert found["zeros"].shape == (0, 4) and found["scalar"] == 3
