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


def index_bits(num_clusters: int) -> int:
    """Returns the bits of one packed index: ceil(log2(num_clusters)), at least 1.

    Args:
        num_clusters: Number of clusters, 1 to `MAX_CLUSTERS`.

    Raises:
        ValueError: If the number is outside that range.
    """
    if not 1 <= num_clusters <= MAX_CLUSTERS:
        raise ValueError(f"num_clusters must be between 1 and {MAX_CLUSTERS}, found {num_clusters}")
    return max(1, (num_clusters - 1).bit_length())


def pack_indices(indices: np.ndarray, bits: int) -> bytes:
    """Packs indices at a fixed width, least significant bit first, the last byte filled up with zeros.

    Args:
        indices: uint8 array of any shape, each value below 2**bits.
        bits: Bits per index, 1 to 8.

    Returns:
        ceil(size * bits / 8) bytes.
    """
    planes = np.unpackbits(np.asarray(indices, np.uint8).reshape(-1, 1), axis=1, count=bits, bitorder="little")
    return np.packbits(planes.reshape(-1), bitorder="little").tobytes()


def unpack_indices(packed: bytes, count: int, bits: int) -> np.ndarray:
    """Inverse of `pack_indices`.

    Args:
        packed: At least ceil(count * bits / 8) bytes.
        count: Number of indices.
        bits: Bits per index, 1 to 8.

    Returns:
        uint8 array of shape (count,).
    """
    flat = np.unpackbits(np.frombuffer(packed, np.uint8), count=count * bits, bitorder="little")
    return np.packbits(flat.reshape(count, bits), axis=1, bitorder="little").reshape(count)
