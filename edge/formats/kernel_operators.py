"""The operators of a .tflite file that have kernels, and the positions of these. Imports nothing."""

from __future__ import annotations

from typing import NamedTuple


class KernelOperator(NamedTuple):
    """Where an operator keeps its weights.

    Attributes:
        data_input: Position of the data among its inputs.
        kernel_input: Position of the kernel among its inputs.
        bias_input: Position of the bias among its inputs; it may be missing.
        channel_axis: Axis of the kernel that output channels are counted along.
    """

    data_input: int
    kernel_input: int
    bias_input: int
    channel_axis: int


KERNEL_OPERATORS: dict[str, KernelOperator] = {
    "CONV_2D": KernelOperator(0, 1, 2, 0),
    "DEPTHWISE_CONV_2D": KernelOperator(0, 1, 2, 3),
    "FULLY_CONNECTED": KernelOperator(0, 1, 2, 0),
    "TRANSPOSE_CONV": KernelOperator(2, 1, 3, 0),
}
"""By name of the operator, as TFLite's schema spells it."""
