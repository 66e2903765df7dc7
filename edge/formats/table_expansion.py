"""Expands look-up tables to plain int8 kernels in memory, for interpreters on Linux; TFLM does so at run time.

The file is changed as little as possible: expanded kernels are appended, the buffers of their tensors are pointed at
them, and the operators that would expand them are removed from the list of operators. NumPy alone.
"""

from __future__ import annotations

import struct

import numpy as np

from edge.formats.lookup_table import DECODE_OPERATOR, LookUpTables
from edge.formats.tflite_reader import TfliteView
from tfc.base.errors import ModelFileError

_MOST_RATIO, _FREE_BYTES = 9, 1 << 20
"""An index takes a bit at least and stands for a byte, so kernels grow eightfold, unless they share their indices."""
_ALIGNMENT = 16


def has_look_up_tables(view: TfliteView) -> bool:
    """Whether a model has kernels as look-up tables.

    Args:
        view: The model.
    """
    return any(operator.name == DECODE_OPERATOR for operator in view.operators)


def expanded_kernel(view: TfliteView, number: int) -> np.ndarray | None:
    """Returns the kernel that a look-up table stands for, int8; None where the tensor is none.

    Args:
        view: The model.
        number: Of the tensor.

    Raises:
        ModelFileError: If table and indices do not fit.
    """
    operator, output = view.makers.get(number, (None, 0))
    if operator is None or operator.name != DECODE_OPERATOR:
        return None
    place = 2 * output
    sources = [view.values(source) for source in operator.inputs[place : place + 2] if source >= 0]
    parts = [part for part in sources if part is not None and part.dtype == np.uint8 and part.ndim == 1]
    if len(parts) != 2:
        raise ModelFileError("a look-up table's bytes are missing")
    indices, ancillary = parts
    tensor = view.tensors[number]
    if tensor.type != "int8":
        raise ModelFileError(f"a look-up table of type {tensor.type}; int8 is supported")
    return LookUpTables.read(indices, ancillary).expand(tensor.shape)


def expand_tables(content: bytes) -> bytes:
    """Returns the int8 model that a model with look-up tables stands for; other models as they are.

    Args:
        content: Of a .tflite file.

    Raises:
        ModelFileError: If the file is damaged, or its tables do not fit.
    """
    view = TfliteView(content)
    if not has_look_up_tables(view):
        return content
    outputs = [number for operator in view.operators if operator.name == DECODE_OPERATOR for number in operator.outputs]
    if len(set(outputs)) != len(outputs):
        raise ModelFileError("damaged: a kernel is expanded twice")
    changed = bytearray(content)
    for operator in view.operators:
        if operator.name != DECODE_OPERATOR:
            continue
        for number in operator.outputs:
            kernel = expanded_kernel(view, number)
            offset = view.data_offset(view.tensors[number].buffer_table)
            if kernel is None or not offset:
                raise ModelFileError("a look-up table can't be expanded in this file; export it with 'edge export'")
            # The length precedes the bytes, which start at a multiple of 16.
            changed += bytes(-(len(changed) + 4) % _ALIGNMENT)
            struct.pack_into("<I", changed, offset, len(changed) - offset)
            changed += struct.pack("<I", kernel.size) + kernel.tobytes()
            if len(changed) > _MOST_RATIO * len(content) + _FREE_BYTES:
                raise ModelFileError(f"damaged: its look-up tables stand for more than {_MOST_RATIO} times the file")
    start, tables = view.operators_vector()
    kept = [table for table, operator in zip(tables, view.operators, strict=True) if operator.name != DECODE_OPERATOR]
    struct.pack_into("<I", changed, start - 4, len(kept))
    for place, table in enumerate(kept):
        position = start + 4 * place
        struct.pack_into("<I", changed, position, table - position)
    return bytes(changed)
