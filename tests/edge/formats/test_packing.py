"""Packed files and patches: bit for bit, or refused."""

import contextlib
import lzma
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.conversion.flatbuffer import FlatbufferModel
from edge.formats import packing
from edge.formats.container import NO_FILE, Container, FileName, from_planes, places_to_bytes, planes
from edge.formats.packed_parts import Parts, find_parts
from edge.formats.packing import pack, unpack
from edge.formats.patch import apply_patch, make_patch
from edge.formats.tflite_reader import TfliteView
from edge.running.loaded_model import TfliteModel
from edge.running.runtime import find_runtime
from tfc.base.errors import ModelFileError

GOLDEN = Path(__file__).parent / "golden"
VARIANTS = ("f32", "wo8", "int8", "lut")


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_packed_file_is_restored_bit_for_bit(exported, variant):
    content = (exported / f"model-{variant}.tflite").read_bytes()
    packed = pack(content)
    assert len(packed) < len(content) and unpack(packed) == content
    assert (exported / f"model-{variant}.tflite.packed").read_bytes() == packed


@pytest.mark.parametrize("variant", VARIANTS)
def test_packed_files_open_as_they_are(exported, variant):
    x = np.load(exported / "test.npz")["x"][:5]
    paths = [exported / f"model-{variant}.tflite", exported / f"model-{variant}.tflite.packed"]
    outputs = [TfliteModel(path, find_runtime("litert")).predict(x) for path in paths]
    np.testing.assert_array_equal(*outputs)


@given(st.binary(max_size=41), st.sampled_from([2, 4]))
def test_planes_are_undone(words, size):
    assert from_planes(planes(words, size), size) == words


def test_the_head_of_a_packed_file_says_what_comes_out(exported):
    content = (exported / "model-int8.tflite").read_bytes()
    packed = pack(content)
    assert packed[:8] == b"FCPK\x02\x01\0\0"
    assert struct.unpack("<2I", packed[8:16]) == (len(content), zlib.crc32(content))
    sections = np.frombuffer(packed, "<u4", 8, 16).reshape(4, 2)
    assert sections[1, 1] == len(content) and 48 + sections[:, 0].sum() < len(packed)


@pytest.mark.parametrize("version", [1, 2])
def test_packed_files_of_every_version_are_read(version):
    content = (GOLDEN / f"version-{version}.tflite").read_bytes()
    packed = (GOLDEN / f"version-{version}.tflite.packed").read_bytes()
    assert packed[4] == version and unpack(packed) == content


def similar(model):
    """A file whose kernels have similar neighbours: each code is near the one before it."""
    rng = np.random.default_rng(0)
    for use in model.kernel_uses():
        shape = model.constant(use.kernel).shape
        walk = np.cumsum(rng.integers(-4, 5, shape), axis=-1)
        model.set_constant(use.kernel, np.clip(walk, -127, 127).astype(np.int8))
    return model.to_bytes()


def test_packed_files_are_smaller_than_by_general_compressors(exported):
    plain = (exported / "model-int8.tflite").read_bytes()
    for content in (plain, similar(FlatbufferModel(plain)), (exported / "model-f32.tflite").read_bytes(), bytes(plain)):
        assert len(pack(content)) < len(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))


@pytest.mark.parametrize("in_parts", [True, False])
def test_a_file_that_repeats_itself_is_smaller_than_by_a_dictionary(exported, in_parts, monkeypatch):
    if not in_parts:
        monkeypatch.setattr(packing, "_REPETITIVE", 0.0)
    model = FlatbufferModel((exported / "model-int8.tflite").read_bytes())
    pattern = np.random.default_rng(0).integers(-127, 128, 37).astype(np.int8)
    for use in model.kernel_uses():
        model.set_constant(use.kernel, np.resize(pattern, model.constant(use.kernel).shape))
    content = model.to_bytes()
    packed = pack(content)
    assert packed[5] == in_parts and unpack(packed) == content
    assert len(packed) < len(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))


def test_scales_that_follow_from_others_are_left_out(exported):
    content = (exported / "model-int8.tflite").read_bytes()
    parts = find_parts(TfliteView(content))
    assert len(parts.derived) >= 1
    start, count, *_ = parts.derived[0]
    changed = bytearray(content)
    changed[start + 2] ^= 1  # a scale that does not follow
    assert unpack(pack(bytes(changed))) == changed
    assert len(pack(bytes(changed))) > len(pack(content))
    assert len(find_parts(TfliteView(bytes(changed))).derived) == len(parts.derived) - 1 and count >= 8


def test_what_is_not_packed_is_refused():
    with pytest.raises(ModelFileError, match="bytes 0 to 3 are not FCPK"):
        unpack(b"hello")
    with pytest.raises(ModelFileError, match="cut off after 4 bytes"):
        unpack(b"FCPK")
    with pytest.raises(ModelFileError, match=r"has version 3\.0; this program reads versions 1 and 2"):
        unpack(b"FCPK\x03" + bytes(40))
    for version in (b"\x01", b"\x02"):
        with pytest.raises(ModelFileError, match="not plausible"):
            unpack(b"FCPK" + version + bytes(3) + b"\xff" * 40)
    with pytest.raises(ModelFileError, match="not a TFLite model"):
        pack(b"hello, I am no model")


def test_a_small_file_can_not_ask_for_much_memory():
    places = np.tile([0, 200_000], (100_000, 1))
    rest = bytes(200_000) + places_to_bytes(places)
    hostile = Container(b"FCPK", FileName(200_000, 0), NO_FILE, len(places), rest, b"").to_bytes()
    assert len(hostile) < 10_000
    with pytest.raises(ModelFileError, match="kernels overlap"):
        unpack(hostile)
    with pytest.raises(ModelFileError, match="constants overlap"):
        Parts.read(Parts(places, *[np.zeros((0, width), int) for width in (2, 2, 4)]).to_bytes(), 200_000)


@pytest.mark.parametrize(
    "table,row,message",
    [
        ("codes", [90, 20], "overlap, or lie outside"),
        ("codes", [0, 20], "a kernel is too small"),
        ("words", [10, 6], "a fraction of a value"),
        ("halves", [10, 5], "a fraction of a value"),
        ("derived", [0, 8, 80, 0], "overlap, or lie outside"),
        ("derived", [0, 8, 40, 97], "overlap, or lie outside"),
    ],
)
def test_places_that_can_not_be_are_refused(table, row, message):
    empty = {name: np.zeros((0, 4 if name == "derived" else 2), int) for name in Parts._fields}
    with pytest.raises(ModelFileError, match=message):
        Parts.read(Parts(**empty | {table: np.array([row])}).to_bytes(), 100)
    with pytest.raises(ModelFileError, match="cut off"):
        Parts.read(Parts(**empty | {table: np.array([row])}).to_bytes()[:-4], 100)


def mutated(data, content):
    damaged = bytearray(content)
    kind = data.draw(st.sampled_from(["cut", "flip", "zero", "grow"]))
    place = data.draw(st.integers(0, len(damaged) - 1))
    if kind == "cut":
        return bytes(damaged[:place])
    if kind == "grow":
        return bytes(damaged + data.draw(st.binary(min_size=1, max_size=8)))
    if kind == "zero":
        damaged[place : place + 16] = bytes(len(damaged[place : place + 16]))
    else:
        damaged[place] ^= data.draw(st.integers(1, 255))
    return bytes(damaged)


@given(st.data())
def test_damaged_packed_files_are_refused_or_whole(exported, data):
    packed = (exported / "model-int8.tflite.packed").read_bytes()
    damaged = mutated(data, packed)
    try:
        restored = unpack(damaged)
    except ModelFileError:
        return
    assert restored == unpack(packed)  # zeros written over zeros, for one


@pytest.fixture(scope="module")
def versions(exported):
    """An int8 file and what it became: some codes moved to a neighbour, a bias changed."""
    old = (exported / "model-int8.tflite").read_bytes()
    model = FlatbufferModel(old)
    rng = np.random.default_rng(0)
    for use in model.kernel_uses():
        codes = model.constant(use.kernel)
        values, places = np.unique(codes, return_inverse=True)
        moves = rng.choice([-1, 0, 1], places.size, p=[0.03, 0.94, 0.03])
        moved = values[np.clip(places.reshape(-1) + moves, 0, len(values) - 1)]
        model.set_constant(use.kernel, np.where(moved > 0, moved - 1, moved).reshape(codes.shape).astype(np.int8))
        model.set_constant(use.bias, model.constant(use.bias) + 3)
    return FlatbufferModel(old).to_bytes(), model.to_bytes()


def test_a_patch_makes_the_new_file_of_the_old_one(versions):
    old, new = versions
    patch = make_patch(old, new)
    assert apply_patch(old, patch) == new != old
    assert len(patch) < 0.6 * len(pack(new))
    assert patch[:4] == b"FCPP" and struct.unpack("<4I", patch[8:24]) == (
        len(new), zlib.crc32(new), len(old), zlib.crc32(old),
    )  # fmt: skip


def test_a_patch_of_nothing_is_small(versions):
    old, _ = versions
    patch = make_patch(old, old)
    assert apply_patch(old, patch) == old and len(patch) < 400


def test_a_patch_fits_the_file_it_was_made_for_alone(versions, exported):
    old, new = versions
    patch = make_patch(old, new)
    with pytest.raises(ModelFileError, match="made for another file"):
        apply_patch(new, patch)
    with pytest.raises(ModelFileError, match="different architectures or variants"):
        make_patch(old, (exported / "model-wo8.tflite").read_bytes())


@given(st.data())
def test_damaged_patches_are_refused_or_whole(versions, data):
    old, new = versions
    damaged = mutated(data, make_patch(old, new))
    with contextlib.suppress(ModelFileError):
        assert apply_patch(old, damaged) == new
