"""The inputs that a convolution's weights are multiplied by, as patches of its input."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Window(NamedTuple):
    """How a convolution moves over its input, as TFLite's options say.

    Attributes:
        size: Rows and columns of the kernel.
        strides: Rows and columns from one output to the next.
        dilations: Rows and columns from one weight to the next.
        same: Whether the input is padded (SAME) or not (VALID).
    """

    size: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    same: bool = True


def _padding(size: int, extent: int, stride: int) -> tuple[int, int]:
    """SAME's rows before and after, of an input of so many rows."""
    needed = max((-(-size // stride) - 1) * stride + extent - size, 0)
    return needed // 2, needed - needed // 2


def patches(inputs: np.ndarray, window: Window) -> np.ndarray:
    """Returns the patches of a convolution, as a view where nothing is padded.

    Args:
        inputs: (examples, height, width, channels), zero where padding is.
        window: How the kernel moves.

    Returns:
        (examples, output height, output width, channels, kernel height, kernel width).
    """
    extents = [(size - 1) * step + 1 for size, step in zip(window.size, window.dilations, strict=True)]
    if window.same:
        pads = [
            _padding(size, extent, stride)
            for size, extent, stride in zip(inputs.shape[1:3], extents, window.strides, strict=True)
        ]
        inputs = np.pad(inputs, ((0, 0), *pads, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(inputs, extents, axis=(1, 2))  # type: ignore[call-overload]  # its stub has one axis
    (down, across), (down_step, across_step) = window.strides, window.dilations
    found: np.ndarray = windows[:, ::down, ::across, :, ::down_step, ::across_step]
    return found


def transposed_patches(inputs: np.ndarray, size: tuple[int, int], strides: tuple[int, int]) -> np.ndarray:
    """Returns the patches of a transposed convolution: those of a convolution over the input with zeros between.

    Outputs at the borders count whether the operator keeps or crops them.

    Args:
        inputs: (examples, height, width, channels).
        size: Rows and columns of the kernel.
        strides: Rows and columns of the output from one input to the next.

    Returns:
        As `patches`.
    """
    examples, height, width, channels = inputs.shape
    spread = np.zeros((examples, (height - 1) * strides[0] + 1, (width - 1) * strides[1] + 1, channels), inputs.dtype)
    spread[:, :: strides[0], :: strides[1]] = inputs
    borders = [(rows - 1, rows - 1) for rows in size]
    found = patches(np.pad(spread, ((0, 0), *borders, (0, 0))), Window(size, same=False))
    return found[..., ::-1, ::-1]
