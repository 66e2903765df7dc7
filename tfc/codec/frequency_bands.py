"""Updates in the frequencies of a kernel's window: what neighbouring weights have alike is told once. NumPy alone.

A convolution's change is smooth across its window: neighbouring weights move together. So an update tells the
coefficients of an orthonormal discrete cosine transform (DCT-II) over each spatial axis in place of the weights'
changes; most of the change lies in few of them. Coefficients of like frequency form a band, with its own frequency
table in the entropy coder and its own scale, which makes the part of the update that it tells unbiased; a band nothing
of which is worth its bits is not told.

Spatial axes are all but a kernel's last two (inputs and outputs), as far as they have 2 to 8 elements; axes of other
lengths stay as they are. A kernel without spatial axes (a dense layer's) is its own transform, with one band.

Sources: Ahmed, Natarajan, Rao, "Discrete Cosine Transform" (IEEE Trans. Computers C-23, 1974); Vargaftik et al., "EDEN"
(ICML 2022) for scales that make an estimate of a mean unbiased.
"""

from __future__ import annotations

import functools
import math

import numpy as np

LONGEST_AXIS = 8
"""Longer axes of a window are not transformed."""
BANDS_PER_AXIS = 3
"""Frequencies 0, 1, and all above."""
SCALE_UNIT = 64
"""A band's scale is a byte, in 64ths."""
LARGEST_SCALE = 255


def spatial_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the axes of a kernel that are transformed.

    Args:
        shape: Shape of the kernel; inputs and outputs are its last two axes.

    Examples:
        >>> spatial_axes((3, 3, 16, 32)), spatial_axes((1, 5, 16, 32)), spatial_axes((64, 10))
        ((0, 1), (1,), ())
    """
    return tuple(axis for axis, length in enumerate(shape[:-2]) if 2 <= length <= LONGEST_AXIS)


@functools.cache
def cosine_basis(length: int) -> np.ndarray:
    """Returns the orthonormal DCT-II, float32 (frequency, place).

    Args:
        length: Length of the axis.
    """
    places = np.arange(length)
    basis = np.cos(np.pi * (places + 0.5) * np.arange(length)[:, None] / length) * math.sqrt(2.0 / length)
    basis[0] /= math.sqrt(2.0)
    return np.asarray(basis, np.float32)


def num_bands(shape: tuple[int, ...]) -> int:
    """Returns the number of bands of a kernel.

    Args:
        shape: Its shape.

    Examples:
        >>> num_bands((3, 3, 16, 32)), num_bands((1, 5, 16, 32)), num_bands((64, 10))
        (9, 3, 1)
    """
    return int(math.prod(min(shape[axis], BANDS_PER_AXIS) for axis in spatial_axes(shape)))


@functools.cache
def band_numbers(shape: tuple[int, ...]) -> np.ndarray:
    """Returns the band of each coefficient of a kernel, int64 (weights,), in the order of its flattened weights.

    Args:
        shape: Shape of the kernel.
    """
    bands = np.zeros(shape, np.int64)
    for axis in spatial_axes(shape):
        per_axis = min(shape[axis], BANDS_PER_AXIS)
        frequency = np.minimum(np.arange(shape[axis]), per_axis - 1)
        bands = bands * per_axis + frequency.reshape([-1 if place == axis else 1 for place in range(len(shape))])
    return bands.reshape(-1)


def coefficients(change: np.ndarray) -> np.ndarray:
    """Returns the coefficients of a kernel's change, float32 of its shape.

    Args:
        change: float32, a kernel's shape.

    Examples:
        >>> import numpy as np
        >>> flat = coefficients(np.ones((3, 3, 1, 1), np.float32)).reshape(3, 3)
        >>> flat.round(4).tolist()
        [[3.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    return _along_axes(change, inverse=False)


def change_of(coefficients: np.ndarray) -> np.ndarray:
    """Returns the change of a kernel that coefficients stand for: the inverse of `coefficients`.

    Args:
        coefficients: float32, the kernel's shape.
    """
    return _along_axes(coefficients, inverse=True)


def _along_axes(values: np.ndarray, *, inverse: bool) -> np.ndarray:
    values = np.asarray(values, np.float32)
    for axis in spatial_axes(values.shape):
        basis = cosine_basis(values.shape[axis])
        first = np.moveaxis(values, axis, 0)
        products = (basis.T if inverse else basis)[:, :, None] * first.reshape(1, len(basis), -1)
        # A cumulative sum adds in order, here and in TensorFlow: both ends get the same bits.
        values = np.moveaxis(np.cumsum(products, axis=1)[:, -1].reshape(first.shape), 0, axis)
    return np.asarray(values, np.float32)


def scaled(values: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Multiplies each coefficient by its band's scale.

    Args:
        values: float32, a kernel's shape.
        scales: uint8 (bands,), in 64ths.

    Returns:
        float32, the kernel's shape.
    """
    factors = np.asarray(scales, np.float32) / np.float32(SCALE_UNIT)
    return np.asarray(values * factors[band_numbers(values.shape)].reshape(values.shape), np.float32)
