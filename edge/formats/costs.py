"""What a model costs to run, counted from its shapes: multiplications, activation memory, weights by kind. NumPy alone.

A MAC is one multiplication and one addition. Counted are convolutions, dense layers, matrix products and LSTMs; what
other operators do is left out, as MLPerf Tiny and others do. Bodies of loops count once.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from edge.formats.kernel_operators import KERNEL_OPERATORS
from edge.formats.lookup_table import DECODE_OPERATOR
from edge.formats.tflite_reader import OperatorView, TensorView, TfliteView

_PER_INPUT = ("TRANSPOSE_CONV", "CONV_3D_TRANSPOSE")


@dataclass(frozen=True)
class Costs:
    """What a model costs.

    Attributes:
        operators: Number of operators by name, in the order in which they are met first.
        macs: Multiplications and additions of an inference.
        activation_bytes: Most bytes of tensors that are needed at the same time: a lower limit of an arena's scratch.
        weight_bytes: Bytes of constants by what they are: `kernels`, `tables`, `biases`, `others`.
    """

    operators: dict[str, int]
    macs: int
    activation_bytes: int
    weight_bytes: dict[str, int]


def _size(tensor: TensorView) -> int:
    return math.prod(tensor.shape)


def _bytes(tensor: TensorView) -> int:
    return _size(tensor) * np.dtype(tensor.type).itemsize


def macs_of(view: TfliteView, operator: OperatorView) -> int:
    """Returns the MACs of an operator; 0 of those that are not counted.

    Args:
        view: Its subgraph.
        operator: The operator.
    """
    tensors = view.tensors
    if operator.name == "BATCH_MATMUL":
        first, result = tensors[operator.inputs[0]], tensors[operator.outputs[0]]
        second = tensors[operator.inputs[1]]
        if not first.shape or not second.shape or not result.shape:
            return 0
        # The shared axis: what the first factor has beyond the result's rows.
        rows_and_columns = result.shape[-2] * result.shape[-1] if len(result.shape) > 1 else result.shape[-1]
        shared = first.shape[-1] * first.shape[-2] * second.shape[-1] * second.shape[-2] / max(1, rows_and_columns)
        return round(math.sqrt(shared)) * _size(result)
    if operator.name == "UNIDIRECTIONAL_SEQUENCE_LSTM":
        steps = math.prod(tensors[operator.inputs[0]].shape[:-1])
        kernels = [operator.inputs[place.kernel_input] for place in KERNEL_OPERATORS[operator.name]]
        return steps * sum(_size(tensors[number]) for number in kernels if number >= 0)
    place = KERNEL_OPERATORS.get(operator.name, (None,))[0]
    if place is None or operator.name == "GATHER" or place.kernel_input >= len(operator.inputs):
        return 0
    kernel, result = tensors[operator.inputs[place.kernel_input]], tensors[operator.outputs[0]]
    channels = kernel.shape[place.channel_axis] if place.channel_axis < len(kernel.shape) else 0
    if not channels:
        return 0
    if operator.name in _PER_INPUT:
        data = tensors[operator.inputs[place.data_input]]
        return _size(data) // max(1, data.shape[-1]) * _size(kernel)
    return _size(result) * _size(kernel) // channels


def _activation_bytes(view: TfliteView) -> int:
    """The most that is alive at once: from the operator that makes a tensor to the last one that reads it."""
    last_use = {number: step for step, operator in enumerate(view.operators) for number in operator.inputs}
    last_use |= dict.fromkeys(view.outputs, len(view.operators))
    alive = {number for number in view.inputs if not view.tensors[number].num_bytes}
    most = sum(_bytes(view.tensors[number]) for number in alive)
    for step, operator in enumerate(view.operators):
        alive |= {number for number in operator.outputs if number >= 0}
        most = max(most, sum(_bytes(view.tensors[number]) for number in alive))
        alive = {number for number in alive if last_use.get(number, -1) > step}
    return most


def _weight_kinds(view: TfliteView) -> dict[int, str]:
    """What each constant is, by the number of its tensor."""
    kinds = {
        number: "others" for number, tensor in enumerate(view.tensors) if tensor.num_bytes and number not in view.inputs
    }
    for operator in view.operators:
        if operator.name == DECODE_OPERATOR:
            kinds |= dict.fromkeys((number for number in operator.inputs if number in kinds), "tables")
        for place in KERNEL_OPERATORS.get(operator.name, ()):
            bias = operator.inputs[place.bias_input] if place.bias_input < len(operator.inputs) else -1
            if bias in kinds:
                kinds[bias] = "biases"
    kinds |= dict.fromkeys((kernel.tensor for kernel in view.kernels if kernel.tensor in kinds), "kernels")
    return kinds


def costs_of(view: TfliteView) -> Costs:
    """Counts what a model costs.

    Args:
        view: Any of its subgraphs; all are counted.

    Raises:
        ModelFileError: If the file is damaged.
    """
    operators: Counter[str] = Counter()
    weights = dict.fromkeys(("kernels", "tables", "biases", "others"), 0)
    places = set()
    for subgraph in view.subgraphs:
        operators.update(operator.name for operator in subgraph.operators)
        for number, kind in _weight_kinds(subgraph).items():
            tensor = subgraph.tensors[number]
            if tensor.start not in places:  # shared constants are stored once
                places.add(tensor.start)
                weights[kind] += tensor.num_bytes
    macs = sum(macs_of(subgraph, operator) for subgraph in view.subgraphs for operator in subgraph.operators)
    return Costs(dict(operators), macs, max(map(_activation_bytes, view.subgraphs)), weights)
