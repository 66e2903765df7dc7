"""TFLM's look-up tables, against TFLM's own packer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.conversion.lookup_table import tables_of
from edge.formats.lookup_table import LookUpTables, pack_indices, unpack_indices
from edge.formats.table_expansion import expand_tables
from edge.formats.tflite_reader import TfliteView
from edge.running.loaded_model import TfliteModel
from edge.running.runtime import find_runtime
from tfc.base.errors import ModelFileError


@given(st.integers(1, 7), st.integers(1, 70), st.integers(0, 2**32 - 1))
def test_indices_are_packed_as_tflm_packs_them(width, count, seed):
    from tflite_micro.tensorflow.lite.micro.compression import lut

    indices = np.random.default_rng(seed).integers(0, 1 << width, count).astype(np.uint8)
    packed = pack_indices(indices, width)
    assert packed.tobytes() == lut.pack_indices(indices, width)
    np.testing.assert_array_equal(unpack_indices(packed, width, count), indices)


@given(st.integers(1, 6), st.sampled_from([None, 0, 3]), st.integers(0, 2**32 - 1))
def test_a_kernel_comes_back_from_its_tables(distinct, axis, seed):
    rng = np.random.default_rng(seed)
    codes = rng.choice(rng.integers(-127, 128, distinct), (3, 2, 2, 5)).astype(np.int8)
    tables = tables_of(codes, axis)
    again = LookUpTables.read(tables.indices, tables.ancillary())
    np.testing.assert_array_equal(again.expand(codes.shape), codes)
    assert again.channel_axis == axis and len(again.tables) == (1 if axis is None else codes.shape[axis])


def test_the_ancillary_bytes_are_tflms():
    codes = np.array([[3, -2], [3, 7]], np.int8)
    tables = tables_of(codes, 0)
    # LUT type, version 1, zeros; table version, axis 0 and one bit, two values a table; the tables.
    assert tables.ancillary().tobytes() == bytes([0, 1, 0, 0, 1, 0x01, 2, *[0] * 9, 254, 3, 3, 7])
    assert tables.indices.tobytes() == bytes([0b10010000])
    one = tables_of(codes, None)
    assert one.ancillary()[5] == 0xF2 and one.indices.tobytes() == bytes([0b01000110])


def test_more_values_than_seven_bits_have_no_table():
    assert tables_of(np.arange(-127, 128, dtype=np.int8), None) is None


@pytest.mark.parametrize(
    "change,message",
    [
        (lambda head: head.__setitem__(0, 2), "not a look-up table of version 1"),
        (lambda head: head.__setitem__(4, 9), "has version 9; 1 is supported"),
        (lambda head: head.__setitem__(5, 0), "contradict its length"),
        (lambda head: head.__setitem__(6, 3), "contradict its length"),
        (lambda head: head.__setitem__(5, 0xF1), "does not fit its kernel"),
    ],
)
def test_tables_that_do_not_fit_are_refused(change, message):
    codes = np.array([[3, -2], [3, 7]], np.int8)
    tables = tables_of(codes, 0)
    ancillary = tables.ancillary()
    change(ancillary)
    with pytest.raises(ModelFileError, match=message):
        LookUpTables.read(tables.indices, ancillary).expand(codes.shape)


def test_expanding_gives_the_kernels_of_the_int8_model(exported):
    lut = (exported / "model-lut.tflite").read_bytes()
    integer = TfliteView((exported / "model-int8.tflite").read_bytes())
    assert any(each.name == "TFLM_DECODE" for each in TfliteView(lut).operators)
    expanded = TfliteView(expand_tables(lut))
    assert [each.name for each in expanded.operators] == [each.name for each in integer.operators]
    for ours, theirs in zip(expanded.kernels, integer.kernels, strict=True):
        np.testing.assert_array_equal(expanded.values(ours.tensor), integer.values(theirs.tensor))
    assert expand_tables(integer.content) is integer.content


def test_the_interpreter_of_linux_alone_refuses_tables(exported):
    from ai_edge_litert.interpreter import Interpreter

    with pytest.raises((ValueError, RuntimeError)):
        Interpreter(str(exported / "model-lut.tflite")).allocate_tensors()
    assert TfliteModel(exported / "model-lut.tflite", find_runtime("litert")).input_shape == (8, 8, 3)
