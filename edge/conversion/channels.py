"""Kernels by output channel. NumPy alone."""

from __future__ import annotations

import numpy as np


def channels_last(values: np.ndarray, channel_axis: int) -> np.ndarray:
    """Returns a kernel as (weights of a channel, channels).

    Args:
        values: A kernel in a .tflite file's shape.
        channel_axis: Axis of the output channels.
    """
    return np.moveaxis(values, channel_axis, -1).reshape(-1, values.shape[channel_axis])


def per_channel(values: np.ndarray, ndim: int, channel_axis: int) -> np.ndarray:
    """Returns one value per channel in a shape that broadcasts against a kernel.

    Args:
        values: Shape (channels,).
        ndim: Number of the kernel's dimensions.
        channel_axis: Axis of the output channels.
    """
    shape = [1] * ndim
    shape[channel_axis] = -1
    return values.reshape(shape)
