"""FedZip's codec against k-means in NumPy and the entropy of its symbols."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from update_codec_checks import Compiled, vector

from tfc.methods.fedzip import SparseClusters

SIZES = (40, 700, 1260)
CODECS = {
    "clusters": SparseClusters(SIZES, 0.25),
}


@pytest.fixture(scope="module")
def compiled():
    return {name: Compiled(codec) for name, codec in CODECS.items()}


def numpy_clusters(values, share):
    """Largest changes, then Lloyd's iterations from the same quantiles, one value at a time."""
    count = max(1, round(len(values) * share))
    chosen = np.argsort(-np.abs(values), kind="stable")[:count]
    survivors = values[chosen].astype(np.float64)
    centroids = np.sort(survivors)[[count * (2 * number + 1) // 6 for number in range(3)]]
    for _ in range(20):
        nearest = np.abs(survivors[:, None] - centroids).argmin(axis=1)
        centroids = np.array(
            [survivors[nearest == n].mean() if (nearest == n).any() else centroids[n] for n in range(3)]
        )
    nearest = np.abs(survivors[:, None] - centroids).argmin(axis=1)
    result = np.zeros(len(values))
    result[chosen] = centroids[nearest]
    return result, [count, *np.bincount(nearest, minlength=3)]


def test_clusters_are_k_means_of_each_tensors_largest_changes(compiled):
    values = np.concatenate([vector(size, size) * (1 + place) for place, size in enumerate(SIZES)])
    data, found = compiled["clusters"].round_trip(values)
    bits_needed = 0.0
    for part, expected in zip(
        np.split(found, np.cumsum(SIZES)[:-1]), np.split(values, np.cumsum(SIZES)[:-1]), strict=True
    ):
        reference, counts = numpy_clusters(expected, 0.25)
        np.testing.assert_allclose(part, reference, rtol=1e-4, atol=1e-7)
        shares = np.array([len(part) - counts[0], *counts[1:]]) / len(part)
        bits_needed -= len(part) * (shares[shares > 0] * np.log2(shares[shares > 0])).sum()
    head = len(SIZES) * 3 * 6 + 4 * CODECS["clusters"].lanes
    assert len(data) == pytest.approx(head + bits_needed / 8, rel=0.03)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(CODECS)), st.data())
def test_the_decoder_is_total(compiled, name, data):
    compiled[name].check_any_bytes(data)
