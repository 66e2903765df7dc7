"""The best palette of codes for a weighted squared error, found exactly: k-means in one dimension.

Source: Wang and Song, "Ckmeans.1d.dp: Optimal k-means Clustering in One Dimension by Dynamic Programming", The R
Journal 3/2 (2011). Codes are whole numbers of one byte, so that the 256 bins of a histogram hold everything.
"""

from __future__ import annotations

import itertools

import numpy as np

CODES = np.arange(-128, 128)
"""All codes of one signed byte."""


def best_palette(codes: np.ndarray, weights: np.ndarray, clusters: int) -> np.ndarray:
    """Returns the palette with the least weighted squared error to codes.

    Args:
        codes: int8, any shape.
        weights: float64, the codes' shape: how much a squared error of each counts.
        clusters: Largest number of values.

    Returns:
        float64 (values,), ascending and distinct; whole numbers. Fewer where fewer make no error.

    Examples:
        >>> import numpy as np
        >>> codes = np.array([-9, -8, 3, 5, 4, 90], np.int8)
        >>> best_palette(codes, np.ones(6), 3).tolist()
        [-8.0, 4.0, 90.0]
    """
    places = codes.reshape(-1).astype(np.int64) + 128
    mass = np.bincount(places, weights.reshape(-1), 256)
    if not mass.any():
        mass = np.bincount(places, minlength=256).astype(np.float64)
    sums = [np.concatenate([[0.0], np.cumsum(mass * CODES.astype(np.float64) ** power)]) for power in range(3)]
    total, first, second = (each[None, :] - each[:, None] for each in sums)  # [from, to)
    centre = np.divide(first, total, out=np.zeros_like(first), where=total > 0)
    # An empty interval costs nothing; one that ends before it begins is not possible.
    cost = np.where(np.tri(257, k=-1, dtype=bool), np.inf, np.maximum(second - first * centre, 0.0))
    least, cuts = cost[0], []
    for _ in range(clusters - 1):
        through = least[:, None] + cost
        cuts.append(through.argmin(axis=0))
        least = through.min(axis=0)
    ends = [256]
    for cut in reversed(cuts):
        ends.append(int(cut[ends[-1]]))
    bounds = [0, *reversed(ends)]
    found = [centre[low, high] for low, high in itertools.pairwise(bounds) if total[low, high] > 0]
    return np.unique(np.clip(np.round(found), -127, 127))
