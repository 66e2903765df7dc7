"""The best palette in one dimension, against every possible one."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.palettes.scalar_clusters import best_palette


def error(codes, weights, palette):
    """Weighted squared error to the nearest value."""
    return float((weights * ((codes[:, None] - np.asarray(palette, float)) ** 2).min(axis=1)).sum())


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(-127, 127), st.floats(0.01, 10)), min_size=1, max_size=7),
    st.integers(1, 4),
)
def test_no_division_into_intervals_is_better(pairs, clusters):
    codes, weights = np.array([code for code, _ in pairs], np.int8), np.array([weight for _, weight in pairs])
    found = best_palette(codes, weights, clusters)
    assert len(found) <= clusters and (np.diff(found) > 0).all()
    order = np.argsort(codes)
    values, mass = codes[order].astype(float), weights[order]
    least = np.inf
    for count in range(min(clusters, len(values))):
        for cuts in itertools.combinations(range(1, len(values)), count):
            parts = zip((0, *cuts), (*cuts, len(values)), strict=True)
            centres = [round(float(np.average(values[a:b], weights=mass[a:b]))) for a, b in parts]
            least = min(least, error(codes.astype(float), weights, centres))
    # Rounding the centres can make another division of the same codes a little better or worse.
    assert error(codes.astype(float), weights, found) <= least + 0.25 * weights.sum()


def test_few_values_are_kept_exactly():
    codes = np.random.default_rng(0).choice(np.array([-100, -3, 0, 55], np.int8), (4, 5, 6))
    assert best_palette(codes, np.ones(codes.shape), 16).tolist() == [-100, -3, 0, 55]


def test_weights_of_zero_leave_a_palette_of_the_codes():
    codes = np.array([5, 5, 9], np.int8)
    assert best_palette(codes, np.zeros(3), 4).tolist() == [5, 9]
