"""Packed files and patches: bit for bit, or refused."""

import contextlib
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.conversion.flatbuffer import FlatbufferModel
from edge.formats import code_stream
from edge.formats.container import NO_FILE, Container, FileName, from_planes, places_to_bytes, planes
from edge.formats.packing import pack, unpack
from edge.formats.patch import apply_patch, make_patch
from edge.running.loaded_model import TfliteModel
from edge.running.runtime import find_runtime
from tfc.base.errors import ModelFileError

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


@given(st.lists(st.tuples(st.integers(1, 256), st.integers(1, 3000)), max_size=4), st.integers(0, 2**32 - 1))
def test_any_codes_come_back(kernels, seed):
    rng = np.random.default_rng(seed)
    made = []
    for distinct, size in kernels:
        values = rng.permutation(256)[:distinct]
        made.append(values[np.minimum(rng.geometric(0.3, size) - 1, distinct - 1)].astype(np.uint8))
    coded = code_stream.encode(made)
    found, used = code_stream.decode(coded.side + b"more", coded.stream, [len(kernel) for kernel in made])
    assert used == len(coded.side)
    for ours, theirs in zip(found, made, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_codes_take_little_more_than_their_entropy():
    rng = np.random.default_rng(0)
    kernel = rng.choice(16, 100_000, p=np.arange(1, 17) / 136).astype(np.uint8)
    counts = np.bincount(kernel)
    entropy = -(counts * np.log2(counts / counts.sum())).sum() / 8
    coded = code_stream.encode([kernel])
    assert len(coded.side) + len(coded.stream) < 1.03 * entropy


@given(st.binary(max_size=41))
def test_planes_are_undone(words):
    assert from_planes(planes(words)) == words


def test_the_head_of_a_packed_file_says_what_comes_out(exported):
    content = (exported / "model-int8.tflite").read_bytes()
    head = pack(content)[:32]
    assert head[:8] == b"FCPK\x01\0\0\0"
    length, checksum, base, base_checksum, kernels, _ = struct.unpack("<6I", head[8:32])
    assert (length, checksum, base, base_checksum) == (len(content), zlib.crc32(content), 0, 0)
    assert kernels == 2  # the dense kernel is too small for a table of its own


def test_what_is_not_packed_is_refused():
    with pytest.raises(ModelFileError, match="bytes 0 to 3 are not FCPK"):
        unpack(b"hello")
    with pytest.raises(ModelFileError, match="cut off after 4 bytes"):
        unpack(b"FCPK")
    with pytest.raises(ModelFileError, match="has version 2; this program reads version 1"):
        unpack(b"FCPK\x02" + bytes(40))
    with pytest.raises(ModelFileError, match="not plausible"):
        unpack(b"FCPK\x01\0\0\0" + b"\xff" * 40)
    with pytest.raises(ModelFileError, match="not a TFLite model"):
        pack(b"hello, I am no model")


def test_a_small_file_can_not_ask_for_much_memory():
    places = np.tile([0, 200_000], (100_000, 1))
    rest = bytes(200_000) + places_to_bytes(places)
    hostile = Container(b"FCPK", FileName(200_000, 0), NO_FILE, len(places), rest, b"").to_bytes()
    assert len(hostile) < 10_000
    with pytest.raises(ModelFileError, match="kernels overlap"):
        unpack(hostile)


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
