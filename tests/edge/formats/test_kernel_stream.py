"""The stream of kernels: what goes in comes out, in not much more than its entropy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.formats import frequency_tables, kernel_stream
from edge.formats.frequency_tables import ALPHABET, ESCAPE, KNOTS, Palette, Smooth, cost, palette, smooth
from edge.formats.neighbour_prediction import Prediction, fit, residuals, restore
from tfc.base.errors import ModelFileError
from tfc.codec.rans import FREQUENCY_TOTAL


@given(st.lists(st.tuples(st.integers(1, 256), st.integers(1, 3000)), max_size=4), st.integers(0, 2**32 - 1))
def test_any_codes_come_back(kernels, seed):
    rng = np.random.default_rng(seed)
    made = []
    for distinct, size in kernels:
        values = rng.permutation(256)[:distinct]
        made.append(values[np.minimum(rng.geometric(0.3, size) - 1, distinct - 1)].astype(np.uint8))
    coded = kernel_stream.encode(made)
    found = kernel_stream.decode(coded.side, coded.stream, [len(kernel) for kernel in made])
    for ours, theirs in zip(found, made, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_palette_takes_little_more_than_its_entropy():
    kernel = np.random.default_rng(0).choice(16, 100_000, p=np.arange(1, 17) / 136).astype(np.uint8)
    counts = np.bincount(kernel)
    entropy = -(counts * np.log2(counts / counts.sum())).sum() / 8
    coded = kernel_stream.encode([kernel])
    assert len(coded.side) + len(coded.stream) < 1.03 * entropy


def gaussian(size, deviation, seed=0):
    return np.clip(np.round(np.random.default_rng(seed).normal(0, deviation, size)), -127, 127).astype(np.int8)


@pytest.mark.parametrize("deviation", [3, 12, 40])
def test_a_kernel_of_many_values_takes_little_more_than_its_entropy(deviation):
    kernel = gaussian(4000, deviation)
    places = np.arange(-127, 128)
    share = np.exp(-(places**2) / (2 * deviation**2))
    share /= share.sum()
    entropy = -(share * np.log2(np.maximum(share, 1e-300))).sum() * kernel.size / 8
    coded = kernel_stream.encode([kernel.view(np.uint8)])
    assert len(coded.side) + len(coded.stream) < 1.04 * entropy + 20
    assert len(coded.side) < 80  # a list of all codes would take hundreds of bytes


def test_similar_neighbours_are_predicted():
    """An autoregressive kernel takes the bytes of what is new in it, along the axis where that is least."""
    rng = np.random.default_rng(0)
    new = rng.normal(0, 6, (64, 200))
    kernel = np.zeros((64, 200))
    for step in range(200):
        kernel[:, step] = new[:, step] + (0.9 * kernel[:, step - 1] if step else 0)
    kernel = np.clip(np.round(kernel), -127, 127).astype(np.int8)
    found = fit(kernel)
    assert (found.outer, found.steps, found.inner) == (64, 200, 1) and 1 in found.lags
    innovation = 0.5 * np.log2(2 * np.pi * np.e * 36) * kernel.size / 8
    coded = kernel_stream.encode([kernel.view(np.uint8)])
    assert len(coded.side) + len(coded.stream) < 1.03 * innovation
    turned = fit(np.ascontiguousarray(kernel.T))
    assert (turned.outer, turned.steps, turned.inner) == (1, 200, 64)


def test_noise_is_not_predicted():
    assert fit(gaussian((32, 3, 3, 16), 30)).lags == ()
    assert fit(np.zeros((4, 4), np.int8)).lags == ()


@given(
    st.tuples(st.integers(1, 5), st.integers(2, 30), st.integers(1, 5)),
    st.lists(st.tuples(st.integers(1, 29), st.integers(-128, 127)), min_size=1, max_size=8),
    st.integers(0, 2**32 - 1),
)
def test_predictions_are_undone(sizes, lags, seed):
    lags = [(lag % (sizes[1] - 1) + 1, weight) for lag, weight in lags]
    prediction = Prediction(*sizes, tuple(lag for lag, _ in lags), tuple(weight for _, weight in lags))
    kernel = np.random.default_rng(seed).integers(-128, 128, np.prod(sizes)).astype(np.int8)
    np.testing.assert_array_equal(restore(residuals(kernel, prediction), prediction).view(np.int8), kernel)


def test_a_prediction_by_hand():
    prediction = Prediction(1, 4, 1, (1, 2), (64, -32))
    kernel = np.array([10, 12, -100, 127], np.int8)
    # Predicted: 0, 10, 12 - 5, -100 - 6; what is left is taken modulo 256.
    assert residuals(kernel, prediction).tolist() == [10, 2, 256 - 107, (127 + 106) % 256]


@given(st.binary(min_size=len(KNOTS), max_size=len(KNOTS)), st.integers(1, 256))
def test_every_smooth_table_adds_up(levels, escape):
    row = Smooth(np.frombuffer(levels, np.uint8), escape).row()
    assert row.shape == (ALPHABET,) and row.sum() == 4096 and row.min() >= 0 and row[ESCAPE] == escape


def test_a_smooth_table_by_hand():
    levels = np.zeros(len(KNOTS), np.uint8)
    levels[KNOTS.index(0)] = 80  # ten octaves above the others; its neighbours are knots themselves
    row = Smooth(levels, 1).row()
    expected = 4095 * 1024 / (1024 + 255)
    assert row[0] == pytest.approx(expected, abs=130) and row[1] == round(4095 / (1024 + 255))
    assert row[128] == row[127] == row[1]


def test_rare_codes_escape():
    kernel = np.concatenate([gaussian(5000, 2), np.array([-128, 77, -99], np.int8)])
    table = smooth(kernel.view(np.uint8))
    assert table is not None
    assert (table.row()[np.array([128, 77, 157])] == 0).any()
    coded = kernel_stream.encode([kernel.view(np.uint8)])
    (found,) = kernel_stream.decode(coded.side, coded.stream, [kernel.size])
    np.testing.assert_array_equal(found.view(np.int8), kernel)


def test_the_cost_is_what_the_coder_needs():
    for kernel in (gaussian(20_000, 20).view(np.uint8), np.tile(np.arange(7, dtype=np.uint8), 3000)):
        needed = min(cost(kernel, table(kernel)) for table in (palette, smooth))
        coded = kernel_stream.encode([kernel])
        lanes = 4 * kernel_stream.lanes_for(len(kernel))
        assert len(coded.side) + len(coded.stream) == pytest.approx(needed + lanes, rel=0.005, abs=4)


def encoded():
    kernel = np.cumsum(np.random.default_rng(0).integers(-3, 4, (8, 64)), axis=1).astype(np.int8)
    return kernel_stream.encode([kernel.view(np.uint8)]), [kernel.size]


def test_damaged_descriptions_are_refused():
    coded, sizes = encoded()
    assert coded.side[0] >> 1  # it is predicted
    for place, value, message in (
        (0, 0xFF, "the description of a kernel is invalid"),
        (0, 9 << 1, "a prediction is cut off"),
        (1, 0, "does not fit its kernel"),
        (1, 7, "does not fit its kernel"),
        (9, 200, "does not fit its kernel"),
    ):
        side = bytearray(coded.side)
        side[place] = value
        with pytest.raises(ModelFileError, match=message):
            kernel_stream.decode(bytes(side), coded.stream, sizes)
    with pytest.raises(ModelFileError, match=r"tables of .* are cut off"):
        kernel_stream.decode(coded.side[:20], coded.stream, sizes)
    with pytest.raises(ModelFileError, match="does not end where it should"):
        kernel_stream.decode(coded.side + b"1", coded.stream, sizes)
    with pytest.raises(ModelFileError, match="a stream without kernels"):
        kernel_stream.decode(b"", coded.stream, [])
    with pytest.raises(ModelFileError, match="a table of codes is invalid"):
        Palette.read(bytes([0, 5, 1, 0]), 0)


def test_predictions_can_not_keep_a_device_busy(monkeypatch):
    kernel = np.cumsum(np.random.default_rng(0).integers(-3, 4, (8, 64)), axis=1).astype(np.int8).view(np.uint8)
    coded = kernel_stream.encode([kernel] * 3)
    monkeypatch.setattr(kernel_stream, "_MOST_STEPS_IN_ALL", 150)
    with pytest.raises(ModelFileError, match="take too many steps"):
        kernel_stream.decode(coded.side, coded.stream, [kernel.size] * 3)
    fewer = kernel_stream.encode([kernel] * 3)
    assert len(kernel_stream.decode(fewer.side, fewer.stream, [kernel.size] * 3)) == 3


BOWL = (
    "ppjnoighksjllmukmhkdmkhlonlllmhhigonlgpnjlieekjnlikrskmgklmmkkjn"
    "jrhiolhknooikfioljlhklnglmjkikgdeehhfdgcieddbicgfedddbfedecabaaf"
    "alabbbdbbbcedabdddfgfeibdfggihfeoieipgmmmkhpkngjrmqqigkmkgkkjiom"
    "npqkjjmlljlhkmohojjotiljnmqlfglmlrkqkknjijkmpnnqhnpnllnisnrmnoil"
)
"""How often each code is there, from a for 0, in a kernel of a trained ResNet-8 that uses all of its range."""


def test_a_flat_distribution_whose_frequencies_are_all_rounded_up():
    counts = [ord(letter) - ord("a") for letter in BOWL]
    codes = np.random.default_rng(0).permutation(np.repeat(np.arange(256), counts).astype(np.uint8))
    table = smooth(codes)
    assert table is not None and table.row().sum() == FREQUENCY_TOTAL
    with pytest.raises(ModelFileError, match="frequencies is invalid"):
        assert Smooth(table.levels, 1).row() is not None
    coded = kernel_stream.encode([codes])
    (found,) = kernel_stream.decode(coded.side, coded.stream, [len(codes)])
    assert (found == codes).all()


def test_levels_that_leave_no_table_are_passed_over(monkeypatch):
    def refused(table):
        raise ModelFileError("damaged: a table of frequencies is invalid")

    monkeypatch.setattr(frequency_tables.Smooth, "row", refused)
    codes = np.arange(256, dtype=np.uint8)
    assert smooth(codes) is None
    coded = kernel_stream.encode([codes])
    assert (kernel_stream.decode(coded.side, coded.stream, [256])[0] == codes).all()
