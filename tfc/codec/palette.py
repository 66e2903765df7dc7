"""The palette: a kernel as a codebook of centroids and one cluster index per weight. NumPy alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

MAX_CLUSTERS = 256
"""Most clusters a palette can have: an index has to fit a byte."""

UNUSED_CENTROID = 1e9
"""Value of the codebook's slots from the number of clusters upwards: further from any weight than a used centroid."""


class Palette(NamedTuple):
    """A clustered kernel.

    The same structure is used with NumPy arrays, TensorFlow tensors and TFF types.

    Attributes:
        codebook: Centroids, float32, shape (max_clusters,); unused slots hold `UNUSED_CENTROID`.
        indices: Slot of each weight's centroid, uint8, shape of the kernel.

    Examples:
        >>> import numpy as np
        >>> import tfc
        >>> palette = tfc.Palette(np.array([-0.5, 0.5], np.float32), np.array([[0, 1], [1, 0]], np.uint8))
        >>> palette.codebook[palette.indices]
        array([[-0.5,  0.5],
               [ 0.5, -0.5]], dtype=float32)
    """

    codebook: Any
    indices: Any


def dequantize(palette: Palette) -> np.ndarray:
    """Returns the kernel that a palette stands for.

    Args:
        palette: Codebook (max_clusters,) and indices of any shape, as NumPy arrays.

    Returns:
        float32 array of the indices' shape.
    """
    return np.asarray(palette.codebook, np.float32)[palette.indices]
