"""The frequency bands of `tfc.codec.frequency_bands` in TensorFlow ops."""

from __future__ import annotations

import math

import tensorflow as tf

from tfc.codec import frequency_bands
from tfc.codec.frequency_bands import SCALE_UNIT, cosine_basis, spatial_axes


def bands_of_window(shape: tuple[int, ...]) -> tf.Tensor:
    """Returns the band of each place in a kernel's window, int32 (places,).

    Args:
        shape: The kernel's.
    """
    return tf.constant(frequency_bands.band_numbers((*shape[:-2], 1, 1)), tf.int32)


def band_numbers(shape: tuple[int, ...]) -> tf.Tensor:
    """Returns the band of each coefficient, int32 (weights,); see `tfc.codec.frequency_bands.band_numbers`.

    Repeated in the graph: as a constant it would be in the graph once for each use, with four bytes a weight.

    Args:
        shape: The kernel's.
    """
    return tf.repeat(bands_of_window(shape), math.prod(shape[-2:]))


@tf.autograph.experimental.do_not_convert
def coefficients(change: tf.Tensor) -> tf.Tensor:
    """Returns the coefficients of a kernel's change; see `tfc.codec.frequency_bands.coefficients`.

    Args:
        change: float32 of a static shape, a kernel's.
    """
    return _along_axes(change, inverse=False)


@tf.autograph.experimental.do_not_convert
def change_of(coefficients: tf.Tensor) -> tf.Tensor:
    """Returns the change of a kernel that coefficients stand for.

    Args:
        coefficients: float32 of a static shape, the kernel's.
    """
    return _along_axes(coefficients, inverse=True)


def _along_axes(values: tf.Tensor, *, inverse: bool) -> tf.Tensor:
    shape = tuple(values.shape)
    for axis in spatial_axes(shape):
        basis = cosine_basis(shape[axis])
        others = [place for place in range(len(shape)) if place != axis]
        first = tf.transpose(values, [axis, *others])
        products = tf.constant((basis.T if inverse else basis)[:, :, None]) * tf.reshape(first, [1, shape[axis], -1])
        # A matrix product's order of additions is nobody's promise; a cumulative sum's is.
        summed = tf.reshape(tf.cumsum(products, axis=1)[:, -1], [shape[axis], *(shape[place] for place in others)])
        values = tf.transpose(summed, [*range(1, axis + 1), 0, *range(axis + 1, len(shape))])
    return values


@tf.autograph.experimental.do_not_convert
def factors_of(scales: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    """Returns what each coefficient of a kernel is multiplied by, float32 of the kernel's shape.

    Args:
        scales: uint8 (bands,), in 64ths.
        shape: The kernel's.
    """
    factors = tf.cast(scales, tf.float32) / float(SCALE_UNIT)
    return tf.reshape(tf.gather(factors, band_numbers(shape)), shape)
