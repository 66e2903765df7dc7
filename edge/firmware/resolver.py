"""The operators that TensorFlow Lite for Microcontrollers knows, and how its resolver is told of them.

Source: `tensorflow/lite/micro/micro_mutable_op_resolver.h` of tflite-micro, August 2026: the methods of
`MicroMutableOpResolver`, by the operator that each adds.
"""

from __future__ import annotations

from collections.abc import Iterable

from edge.formats.tflite_reader import TfliteView
from tfc.base.errors import ModelFileError

_SAME_NAME = (
    "ABS", "ADD", "ADD_N", "ARG_MAX", "ARG_MIN", "ASSIGN_VARIABLE", "BATCH_TO_SPACE_ND", "BROADCAST_ARGS",
    "BROADCAST_TO", "CALL_ONCE", "CAST", "CEIL", "CONCATENATION", "CONV_2D", "COS", "DEPTH_TO_SPACE",
    "DEPTHWISE_CONV_2D", "DEQUANTIZE", "DIV", "DYNAMIC_UPDATE_SLICE", "EMBEDDING_LOOKUP", "ELU", "EQUAL", "EXP",
    "EXPAND_DIMS", "FILL", "FLOOR", "FLOOR_DIV", "FLOOR_MOD", "FULLY_CONNECTED", "GATHER", "GATHER_ND", "GREATER",
    "GREATER_EQUAL", "HARD_SWISH", "IF", "L2_NORMALIZATION", "L2_POOL_2D", "LEAKY_RELU", "LESS", "LESS_EQUAL",
    "LOG", "LOGICAL_AND", "LOGICAL_NOT", "LOGICAL_OR", "LOGISTIC", "LOG_SOFTMAX", "MAXIMUM", "MAX_POOL_2D",
    "MIRROR_PAD", "MEAN", "MINIMUM", "MUL", "NEG", "NOT_EQUAL", "PACK", "PAD", "PRELU", "QUANTIZE", "READ_VARIABLE",
    "REDUCE_ALL", "REDUCE_MAX", "REDUCE_MIN", "RELU", "RELU6", "RESHAPE", "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR", "ROUND", "RSQRT", "SELECT_V2", "SHAPE", "SIN", "SLICE", "SOFTMAX",
    "SPACE_TO_BATCH_ND", "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V", "SQUEEZE", "SQRT", "SQUARE", "SQUARED_DIFFERENCE",
    "STRIDED_SLICE", "SUB", "SUM", "SVDF", "TANH", "TRANSPOSE_CONV", "TRANSPOSE", "UNPACK", "VAR_HANDLE", "WHILE",
    "ZEROS_LIKE", "AVERAGE_POOL_2D",
)  # fmt: skip
_UPPER_ENDS = {"2d": "2D"}
_OWN_NAMES = {
    "BATCH_MATMUL": "AddBatchMatMul",
    "CUMSUM": "AddCumSum",
    "PADV2": "AddPadV2",
    "REVERSE_V2": "AddReverseV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "AddUnidirectionalSequenceLSTM",
    "TFLM_DECODE": "AddDecode",
    "CIRCULAR_BUFFER": "AddCircularBuffer",
    "TFLite_Detection_PostProcess": "AddDetectionPostprocess",
}


def _method(name: str) -> str:
    """CONV_2D is AddConv2D, SPLIT_V AddSplitV."""
    parts = [_UPPER_ENDS.get(part.lower(), part.capitalize()) for part in name.split("_")]
    return f"Add{''.join(parts)}"


METHODS: dict[str, str] = {name: _method(name) for name in _SAME_NAME} | _OWN_NAMES
"""Names of the resolver's methods by the operator's name, as the schema or the custom operator has it."""


def operators_of(views: Iterable[TfliteView]) -> tuple[str, ...]:
    """Returns the operators of a model, each once, in the order in which they are met first.

    Args:
        views: Of its subgraphs.
    """
    return tuple(dict.fromkeys(operator.name for view in views for operator in view.operators))


def resolver_methods(operators: Iterable[str]) -> tuple[str, ...]:
    """Returns the resolver's methods for operators.

    Args:
        operators: Their names.

    Raises:
        ModelFileError: If TensorFlow Lite for Microcontrollers has none for some of them; all are named.
    """
    operators = tuple(operators)
    unknown = [name for name in operators if name not in METHODS]
    if unknown:
        raise ModelFileError(f"TensorFlow Lite for Microcontrollers has no operator {', '.join(unknown)}")
    return tuple(METHODS[name] for name in operators)
