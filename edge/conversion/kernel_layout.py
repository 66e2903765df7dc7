"""Kernels as rows of weights, one per output channel, and the inputs that a row is multiplied by.

Output channels that see the same inputs are a group: all of a convolution or dense layer, those of a group of a grouped
convolution, those of one input channel in a depthwise one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.conversion.flatbuffer import FlatbufferModel, KernelUse
from edge.palettes.patches import Window, patches, transposed_patches

_SAME = 0
"""The schema's number of SAME padding."""

_Shape = tuple[int, ...]


@dataclass(frozen=True)
class KernelLayout:
    """How a kernel is taken apart.

    Attributes:
        shape: Of the kernel in the file.
        groups: Groups of output channels.
        rows: Output channels of a group.
        columns: Weights of an output channel.
        depthwise: Whether the output channels are the kernel's last axis; else they are its first.
        inputs: Takes an input of the operator, float64, apart: (examples, output height, output width, groups,
            columns).
    """

    shape: _Shape
    groups: int
    rows: int
    columns: int
    depthwise: bool
    inputs: Callable[[np.ndarray], np.ndarray]

    def rows_of(self, kernel: np.ndarray) -> np.ndarray:
        """Returns a kernel as (groups, rows, columns).

        Args:
            kernel: In its own shape.
        """
        if self.depthwise:
            return kernel.reshape(self.columns, self.groups, self.rows).transpose(1, 2, 0)
        return kernel.reshape(self.groups, self.rows, self.columns)

    def kernel_of(self, rows: np.ndarray) -> np.ndarray:
        """Returns what `rows_of` took apart, in its own shape.

        Args:
            rows: (groups, rows, columns).
        """
        return np.ascontiguousarray(rows.transpose(2, 0, 1) if self.depthwise else rows).reshape(self.shape)

    def by_channel(self, values: np.ndarray) -> np.ndarray:
        """Returns values of the output channels, (channels,) or (1,) for all, as (groups, rows).

        Args:
            values: Per channel.
        """
        return np.broadcast_to(values, (self.groups * self.rows,)).reshape(self.groups, self.rows)


def _dense(shape: _Shape, options: Any, input_shape: _Shape) -> KernelLayout | None:
    if len(shape) != 2 or getattr(options, "weightsFormat", False):
        return None
    return KernelLayout(shape, 1, shape[0], shape[1], False, lambda x: x.reshape(-1, 1, 1, 1, shape[1]))


def _window(shape: _Shape, options: Any) -> Window:
    return Window(
        (shape[1], shape[2]),
        (options.strideH, options.strideW),
        (max(1, options.dilationHFactor), max(1, options.dilationWFactor)),
        options.padding == _SAME,
    )


def _convolution(shape: _Shape, options: Any, input_shape: _Shape) -> KernelLayout | None:
    if len(shape) != 4 or len(input_shape) != 4 or options is None or input_shape[3] % shape[3]:
        return None
    groups, window = input_shape[3] // shape[3], _window(shape, options)
    if shape[0] % groups:
        return None

    def inputs(x: np.ndarray) -> np.ndarray:
        found = patches(x, window)
        examples, down, across = found.shape[:3]
        split = found.reshape(examples, down, across, groups, shape[3], *window.size)
        return split.transpose(0, 1, 2, 3, 5, 6, 4).reshape(examples, down, across, groups, -1)

    return KernelLayout(shape, groups, shape[0] // groups, int(np.prod(shape[1:])), False, inputs)


def _depthwise(shape: _Shape, options: Any, input_shape: _Shape) -> KernelLayout | None:
    if len(shape) != 4 or len(input_shape) != 4 or options is None or shape[0] != 1 or shape[3] % input_shape[3]:
        return None
    channels, window = input_shape[3], _window(shape, options)

    def inputs(x: np.ndarray) -> np.ndarray:
        found = patches(x, window)
        return found.reshape(*found.shape[:4], -1)

    return KernelLayout(shape, channels, shape[3] // channels, shape[1] * shape[2], True, inputs)


def _transposed(shape: _Shape, options: Any, input_shape: _Shape) -> KernelLayout | None:
    if len(shape) != 4 or len(input_shape) != 4 or options is None or input_shape[3] != shape[3]:
        return None

    def inputs(x: np.ndarray) -> np.ndarray:
        found = transposed_patches(x, (shape[1], shape[2]), (options.strideH, options.strideW))
        return found.transpose(0, 1, 2, 4, 5, 3).reshape(*found.shape[:3], 1, -1)

    return KernelLayout(shape, 1, shape[0], int(np.prod(shape[1:])), False, inputs)


_LAYOUTS: dict[str, Callable[[_Shape, Any, _Shape], KernelLayout | None]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _dense,
    "TRANSPOSE_CONV": _transposed,
}


def layout_of(model: FlatbufferModel, use: KernelUse) -> KernelLayout | None:
    """Returns how an operator's kernel is taken apart; None where it is of a form that is not known.

    Args:
        model: The model.
        use: The operator.
    """
    known = _LAYOUTS.get(use.operator)
    shape = tuple(map(int, model.tensor(use.kernel).shape))
    input_shape = model.tensor(use.input).shape
    if known is None or input_shape is None:
        return None
    return known(shape, model.options(use), tuple(map(int, input_shape)))
