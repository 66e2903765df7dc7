"""Data in NPZ archives: types, names, divisions, several inputs."""

import numpy as np
import pytest

from edge.formats.boundaries import Boundary
from edge.formats.example_data import read_examples
from tfc.base.errors import DataFileError

FLOATS = Boundary((1, 2), np.float32, 0.0, 0, "image")
SHARES = Boundary((1, 2), np.int8, 1 / 255, -128, "image")
PIXELS = Boundary((1, 2), np.int8, 1.0, -128, "image")
CODES = Boundary((1, 2), np.uint8, 0.0, 0, "image")
TOKENS = Boundary((1, 2), np.int32, 0.0, 0, "tokens", 50)
UINT8 = np.array([[0, 255], [3, 100]], np.uint8)
Y = np.array([0, 1])


def read(path, boundary, **arrays):
    np.savez(path / "data.npz", **arrays)
    inputs = boundary if isinstance(boundary, tuple) and not isinstance(boundary, Boundary) else (boundary,)
    return read_examples(path / "data.npz", inputs)


@pytest.mark.parametrize(
    "boundary,arrays,expected,notes",
    [
        (FLOATS, {"x": UINT8.astype(np.float64)}, UINT8.astype(np.float32), ()),
        (FLOATS, {"x_test": UINT8}, UINT8.astype(np.float32) / 255, ("x_test is uint8: divided by 255",)),
        (SHARES, {"x_test": UINT8}, UINT8.astype(np.float32) / 255, ("x_test is uint8: divided by 255",)),
        (PIXELS, {"x_test": UINT8}, UINT8.astype(np.float32), ()),
        (PIXELS, {"x": UINT8}, UINT8.astype(np.float32), ()),
        (SHARES, {"x": UINT8.astype(np.int8)}, UINT8.astype(np.int8), ()),
        (CODES, {"x_test": UINT8}, UINT8, ()),
        (CODES, {"x": UINT8}, UINT8, ()),
        (TOKENS, {"x": UINT8.astype(np.int64)}, UINT8.astype(np.int32), ()),
        (TOKENS, {"x": UINT8.astype(np.float32)}, UINT8.astype(np.int32), ()),
    ],
)
def test_types(boundary, arrays, expected, notes, tmp_path):
    name = "y_test" if "x_test" in arrays else "y"
    found = read(tmp_path, boundary, **arrays, **{name: Y})
    (x,) = found.inputs
    assert x.dtype == expected.dtype and found.notes == notes
    np.testing.assert_array_equal(x, expected)
    np.testing.assert_array_equal(found.labels, Y)
    low, high = boundary.range
    assert boundary.quantised(x).dtype == boundary.dtype and low < high


def test_several_inputs_by_name_or_number(tmp_path):
    image, tokens = UINT8.astype(np.float32), UINT8.astype(np.int32)
    for arrays in ({"image": image, "tokens": tokens}, {"x_0": image, "x_1": tokens}):
        found = read(tmp_path, (FLOATS, TOKENS), **arrays, y=Y)
        assert [each.dtype for each in found.inputs] == [np.float32, np.int32]
    with pytest.raises(DataFileError, match="lacks tokens or x_1, the model's input 1; it holds image, y"):
        read(tmp_path, (FLOATS, TOKENS), image=image, y=Y)
    with pytest.raises(DataFileError, match="different numbers of examples: image 2, tokens 1"):
        read(tmp_path, (FLOATS, TOKENS), image=image, tokens=tokens[:1], y=Y)


@pytest.mark.parametrize(
    "boundary,x,y,message",
    [
        (FLOATS, UINT8, Y, "x must be float32 as the model takes it, found uint8"),
        (SHARES, UINT8, Y, "x must be float32"),
        (TOKENS, UINT8 + 0.5, Y, "x must be integers from"),
        (CODES, UINT8.astype(np.int64) + 1, Y, "x must be integers from 0 to 255"),
        (FLOATS, UINT8.astype(str), Y, "x must be numbers"),
        (FLOATS, UINT8.astype(np.float32), Y[:1], "y must be 2 integers or targets"),
        (FLOATS, UINT8.astype(np.float32), Y.astype(str), "y must be numbers"),
        (FLOATS, UINT8.astype(np.float32), Y * np.nan, "y holds numbers that are not finite"),
    ],
)
def test_what_does_not_fit_gets_one_line(boundary, x, y, message, tmp_path):
    with pytest.raises(DataFileError, match=message):
        read(tmp_path, boundary, x=x, y=y)


def test_random_inputs_are_of_type_and_range():
    rng = np.random.default_rng(0)
    for boundary, dtype, low, high in (
        (FLOATS, np.float32, 0, 1), (PIXELS, np.float32, 0, 255), (CODES, np.uint8, 0, 255), (TOKENS, np.int32, 0, 49),
    ):  # fmt: skip
        x = boundary.random(500, rng)
        assert x.dtype == dtype and x.shape == (500, 2)
        assert low <= x.min() < low + 0.1 * high and 0.9 * high < x.max() <= high


def test_x_with_its_labels_goes_before_a_whole_data_set(tmp_path):
    found = read(tmp_path, FLOATS, x=UINT8[:1].astype(np.float32), y=Y[:1], x_test=UINT8, y_test=Y)
    assert len(found) == 1 and len(found.labels) == 1 and found.notes == ()
    with pytest.raises(DataFileError, match="lacks y; it holds x, y_test"):
        read(tmp_path, FLOATS, x=UINT8.astype(np.float32), y_test=Y)


def test_arrays_that_are_not_needed_may_be_of_any_kind(tmp_path):
    names = np.array([{"zero": 0}], object)
    assert len(read(tmp_path, FLOATS, x=UINT8.astype(np.float32), y=Y, names=names)) == 2


def test_an_inputs_own_name_goes_before_a_number(tmp_path):
    one, two = UINT8.astype(np.float32), UINT8.astype(np.float32) + 1
    inputs = FLOATS._replace(name="x_1"), FLOATS._replace(name="x_0")
    found = read(tmp_path, inputs, x_1=one, x_0=two, y=Y)
    np.testing.assert_array_equal(found.inputs[0], one)
    with pytest.raises(DataFileError, match="two of the model's inputs would take x_1"):
        read(tmp_path, (FLOATS._replace(name="x_1"), FLOATS._replace(name="q")), x_0=one, x_1=two, y=Y)


def test_an_input_called_y_is_not_taken_from_the_labels(tmp_path):
    named_y = FLOATS._replace(name="y")
    found = read(tmp_path, (FLOATS, named_y), image=UINT8.astype(np.float32), x_1=UINT8.astype(np.float32), y=Y)
    np.testing.assert_array_equal(found.inputs[1], UINT8.astype(np.float32))
    with pytest.raises(DataFileError, match="lacks x_1, the model's input 1"):
        read(tmp_path, (FLOATS, named_y), image=UINT8.astype(np.float32), y=Y)
    with pytest.raises(DataFileError, match="lacks x; it holds y"):
        read(tmp_path, named_y, y=Y)


def test_images_of_a_data_set_are_pixels_also_for_an_input_quantised_to_bytes(tmp_path):
    halves = Boundary((1, 2), np.uint8, 2 / 255, 0, "image")
    found = read(tmp_path, halves, x_test=UINT8, y_test=Y)
    np.testing.assert_array_equal(found.inputs[0], UINT8.astype(np.float32) / 255)
    assert found.notes == ("x_test is uint8: divided by 255",)
    assert read(tmp_path, halves, x=UINT8, y=Y).inputs[0].dtype == np.uint8  # its own codes


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_inputs_that_are_not_finite_are_refused(value, tmp_path):
    x = np.array([[0, 1], [2, value]], np.float32)
    with pytest.raises(DataFileError, match=r"x has values that are not finite .*, first in example 1"):
        read(tmp_path, FLOATS, x=x, y=Y)
