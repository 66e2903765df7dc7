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


_NO_BIAS = 99
_LSTM = tuple(KernelOperator(0, place, _NO_BIAS, 0) for place in range(1, 9))
"""Four kernels for the inputs, four for the state, one per gate; biases are not used here."""

KERNEL_OPERATORS: dict[str, tuple[KernelOperator, ...]] = {
    "CONV_2D": (KernelOperator(0, 1, 2, 0),),
    "DEPTHWISE_CONV_2D": (KernelOperator(0, 1, 2, 3),),
    "FULLY_CONNECTED": (KernelOperator(0, 1, 2, 0),),
    "TRANSPOSE_CONV": (KernelOperator(2, 1, 3, 0),),
    "CONV_3D": (KernelOperator(0, 1, 2, 4),),
    "CONV_3D_TRANSPOSE": (KernelOperator(2, 1, 3, 3),),
    "GATHER": (KernelOperator(1, 0, _NO_BIAS, 0),),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _LSTM,
}
"""The kernels of each operator, by its name as TFLite's schema spells it."""

LAYERS_WITH_TABLES = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
"""Operators whose kernels may be look-up tables, and whose int8 kernels may have scales of their own choice."""
