"""Weights that are only stored in few bits, and computed with in floating point, become floats.

Such are float16 files, and weights in int8 followed by DEQUANTIZE (`wo8`); and int8 weights of operators with float
inputs (dynamic range quantisation), whose inputs the interpreter quantises at run time.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from edge.conversion.channels import per_channel
from edge.conversion.flatbuffer import FlatbufferModel

_NO_SCALES = np.zeros(0, np.float32)


def _floats(model: FlatbufferModel, name: str) -> np.ndarray | None:
    """What a constant stands for, float32; None where it is none, or not stored in few bits."""
    values = model.constant(name)
    if values is None or values.dtype not in (np.float16, np.int8) or model.is_variable(name):
        return None
    if values.dtype == np.float16:
        return values.astype(np.float32)
    scales, quantization = model.scales(name), model.tensor(name).quantization
    if not len(scales):
        return None
    zero_points = np.zeros(len(scales)) if quantization.zeroPoint is None else np.asarray(quantization.zeroPoint)
    if len(scales) == 1:
        return ((values - float(zero_points[0])) * scales[0]).astype(np.float32)
    axis = int(quantization.quantizedDimension)
    shifted = values - per_channel(np.broadcast_to(zero_points, scales.shape), values.ndim, axis)
    return (shifted * per_channel(scales, values.ndim, axis)).astype(np.float32)


def with_plain_weights(content: bytes) -> bytes:
    """Returns a model whose float operators have float32 weights; other models as they are.

    Args:
        content: Of a .tflite file.
    """
    model = FlatbufferModel(content)
    removed = defaultdict(set)
    changed = False
    for graph, position, operator in model.operators():
        inputs = [model.name_of(graph, number) for number in operator.inputs if number >= 0]
        if model.operator_name(operator) == "DEQUANTIZE":
            values = _floats(model, inputs[0])
            if values is not None:
                model.set_constant(model.name_of(graph, operator.outputs[0]), values, _NO_SCALES)
                removed[graph].add(position)
            continue
        floats = [name for name in inputs if model.is_float(name) and model.constant(name) is None]
        for name in inputs if floats else ():
            values = _floats(model, name)
            if values is not None:
                model.set_constant(name, values, _NO_SCALES)
                changed = True
    for graph, positions in removed.items():
        model.remove_operators(graph, positions)
    return model.to_bytes() if changed or removed else content
