"""Reads a .tflite file: tensors, operators, and the places of constants. NumPy alone, for devices.

Source: FlatBuffers internals (tables, vtables, vectors) and TensorFlow Lite's schema, version 3. A table's fields are
found through its vtable; every position is checked against the length of the file. Writing goes through
`edge.conversion.flatbuffer`, on a workstation.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from edge.formats.flat_bytes import FlatBytes
from edge.formats.kernel_operators import KERNEL_OPERATORS
from edge.formats.operator_names import operator_name
from tfc.base.errors import ModelFileError

IDENTIFIER = b"TFL3"
TENSOR_TYPES: dict[int, str] = {
    0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16", 9: "int8", 10: "float64",
}  # fmt: skip
"""NumPy's names of the schema's tensor types; others are read as bytes."""
_INT4 = 17

_CUSTOM = 32

_MOST_DIMENSIONS, _LONGEST_NAME = 8, 10_000

# Places of fields in the schema's tables.
_MODEL_CODES, _MODEL_SUBGRAPHS, _MODEL_BUFFERS, _MODEL_SIGNATURES = 1, 2, 4, 7
_GRAPH_TENSORS, _GRAPH_INPUTS, _GRAPH_OUTPUTS, _GRAPH_OPERATORS = 0, 1, 2, 3
_TENSOR_SHAPE, _TENSOR_TYPE, _TENSOR_BUFFER, _TENSOR_NAME, _TENSOR_QUANTIZATION, _TENSOR_VARIABLE = 0, 1, 2, 3, 4, 5
_SIGNATURE_INPUTS, _SIGNATURE_OUTPUTS, _SIGNATURE_SUBGRAPH = 0, 1, 4
_NAMED_TENSOR_NAME, _NAMED_TENSOR_NUMBER = 0, 1
_OPERATOR_CODE, _OPERATOR_INPUTS, _OPERATOR_OUTPUTS = 0, 1, 2
_CODE_OLD, _CODE_CUSTOM, _CODE_NEW = 0, 1, 3
_QUANTIZATION_SCALE, _QUANTIZATION_ZERO_POINT = 2, 3
_BUFFER_DATA = 0

_Read = TypeVar("_Read")


@dataclass(frozen=True)
class TensorView:
    """A tensor.

    Attributes:
        name: Its name; empty where it has none.
        shape: Its shape.
        type: NumPy's name of its type.
        scales: float32, one, one per channel, or none.
        start: Position of its constant bytes in the file.
        num_bytes: Their number; 0 for a tensor that is computed.
        buffer_table: Position of its buffer's table.
        stored_as: Name of its type in the file: that of `type`, `int4` (two values per byte, the first one in the low
            bits), or `type N` for one that is not understood.
        scales_start: Position of its scales in the file; 0 where there are none.
        zero_point: The integer that stands for 0, the first channel's; 0 where it is not quantised.

    Examples:
        >>> from pathlib import Path
        >>> import edge
        >>> tensor = edge.TfliteView(Path("out/tiny-int8.tflite").read_bytes()).tensors[0]
        >>> tensor.shape, tensor.type
        ((1, 28, 28, 1), 'int8')
    """

    name: str
    shape: tuple[int, ...]
    type: str
    scales: np.ndarray
    start: int
    num_bytes: int
    buffer_table: int
    stored_as: str
    scales_start: int = 0
    zero_point: int = 0


@dataclass(frozen=True)
class OperatorView:
    """An operator.

    Attributes:
        name: Of a custom operator its own; else the schema's.
        inputs: Numbers of tensors; -1 for one left out.
        outputs: Numbers of tensors.

    Examples:
        >>> from pathlib import Path
        >>> import edge
        >>> first = edge.TfliteView(Path("out/tiny-int8.tflite").read_bytes()).operators[0]
        >>> first.inputs[0]
        0
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class KernelView:
    """A constant kernel.

    Attributes:
        operator: Name of the operator that uses it.
        tensor: Number of its tensor.
        channel_axis: Axis of the output channels.

    Examples:
        >>> from pathlib import Path
        >>> import edge
        >>> first = edge.TfliteView(Path("out/tiny-int8.tflite").read_bytes()).kernels[0]
        >>> first.operator, first.channel_axis
        ('CONV_2D', 0)
    """

    operator: str
    tensor: int
    channel_axis: int


class TfliteView:
    """One subgraph of a .tflite file, the main one unless told otherwise, read where it is asked for.

    Loops and conditions (a GRU, for example) have subgraphs of their own: `subgraphs` has a view of each.

    Examples:
        >>> from pathlib import Path
        >>> import edge
        >>> view = edge.TfliteView(Path("out/tiny-int8.tflite").read_bytes())
        >>> kernel = view.kernels[0]
        >>> view.values(kernel.tensor).dtype
        dtype('int8')
    """

    def __init__(self, content: bytes, subgraph: int = 0) -> None:
        """Opens a file's content.

        Args:
            content: Of a .tflite file.
            subgraph: Number of the subgraph; 0 is the one that an interpreter runs.

        Raises:
            ModelFileError: If it is none.
        """
        if content[4:8] != IDENTIFIER:
            raise ModelFileError("not a TFLite model (bytes 4 to 7 are not TFL3)")
        self.content = content
        self._bytes = FlatBytes(content)
        self._root = self._guarded(lambda: self._bytes.follow(0))
        graphs = self._guarded(lambda: self._bytes.tables(self._root, _MODEL_SUBGRAPHS))
        if not 0 <= subgraph < len(graphs):
            raise ModelFileError(f"has {len(graphs)} subgraphs, no number {subgraph}")
        self._graph, self._number, self._count = graphs[subgraph], subgraph, len(graphs)

    def _guarded(self, read: Callable[[], _Read]) -> _Read:
        try:
            return read()
        except (struct.error, IndexError, ValueError, UnicodeDecodeError) as error:
            raise ModelFileError(f"damaged: {error}") from error

    @cached_property
    def subgraphs(self) -> tuple[TfliteView, ...]:
        """A view of each subgraph of the file, the main one first."""
        return tuple(self if n == self._number else TfliteView(self.content, n) for n in range(self._count))

    @cached_property
    def inputs(self) -> tuple[int, ...]:
        """Numbers of the tensors that are the inputs."""
        return self._boundary(_GRAPH_INPUTS)

    @cached_property
    def outputs(self) -> tuple[int, ...]:
        """Numbers of the tensors that are the outputs."""
        return self._boundary(_GRAPH_OUTPUTS)

    def _boundary(self, place: int) -> tuple[int, ...]:
        numbers = self._guarded(lambda: tuple(map(int, self._bytes.array(self._graph, place, "i4"))))
        if not all(0 <= number < len(self.tensors) for number in numbers):
            raise ModelFileError("damaged: an input or output names a tensor that is not there")
        return numbers

    @cached_property
    def signature_names(self) -> dict[int, str]:
        """The names that the signature gives to inputs and outputs, by number of the tensor; empty without one."""
        return self._guarded(self._read_signature)

    def _read_signature(self) -> dict[int, str]:
        data = self._bytes
        names: dict[int, str] = {}
        for signature in data.tables(self._root, _MODEL_SIGNATURES):
            if data.scalar(signature, _SIGNATURE_SUBGRAPH, "I") != self._number:
                continue
            for place in (_SIGNATURE_INPUTS, _SIGNATURE_OUTPUTS):
                for named in data.tables(signature, place):
                    text = data.array(named, _NAMED_TENSOR_NAME, "u1")[:_LONGEST_NAME].tobytes()
                    names.setdefault(data.scalar(named, _NAMED_TENSOR_NUMBER, "I"), text.decode(errors="replace"))
        return names

    @cached_property
    def has_variable_tensors(self) -> bool:
        """Whether this subgraph has tensors that keep their values from one run to the next, as an LSTM's do."""
        data = self._bytes
        return self._guarded(
            lambda: any(data.scalar(t, _TENSOR_VARIABLE, "b") for t in data.tables(self._graph, _GRAPH_TENSORS))
        )

    @cached_property
    def tensors(self) -> tuple[TensorView, ...]:
        """All tensors by number."""
        return self._guarded(self._read_tensors)

    def _read_tensors(self) -> tuple[TensorView, ...]:
        data = self._bytes
        buffers = data.tables(self._root, _MODEL_BUFFERS)
        views = []
        tables = data.tables(self._graph, _GRAPH_TENSORS)
        if len(set(tables)) != len(tables):
            raise ModelFileError("damaged: a tensor is listed twice")
        for table in tables:
            buffer = buffers[data.scalar(table, _TENSOR_BUFFER, "I")]
            start, count = data.vector(buffer, _BUFFER_DATA)
            if start + count > len(self.content):
                raise ModelFileError("damaged: a constant ends beyond the file")
            data.charge(count)
            quantization = data.field(table, _TENSOR_QUANTIZATION)
            scales, scales_start, zero_point = np.zeros(0, np.float32), 0, 0
            if quantization:
                place = data.follow(quantization)
                scales, (scales_start, _) = (
                    data.array(place, _QUANTIZATION_SCALE, "f4"),
                    data.vector(place, _QUANTIZATION_SCALE),
                )
                zero_points = data.array(place, _QUANTIZATION_ZERO_POINT, "i8")
                zero_point = int(zero_points[0]) if len(zero_points) else 0
            shape = tuple(int(size) for size in data.array(table, _TENSOR_SHAPE, "i4"))
            if len(shape) > _MOST_DIMENSIONS or any(size < 0 for size in shape):
                raise ModelFileError("damaged: a tensor of an impossible shape")
            name = data.array(table, _TENSOR_NAME, "u1")[:_LONGEST_NAME].tobytes().decode(errors="replace")
            code = data.scalar(table, _TENSOR_TYPE, "b")
            type_ = TENSOR_TYPES.get(code, "uint8")
            stored_as = "int4" if code == _INT4 else TENSOR_TYPES.get(code, f"type {code}")
            views.append(
                TensorView(name, shape, type_, scales, start, count, buffer, stored_as, scales_start, zero_point)
            )
        return tuple(views)

    @cached_property
    def operators(self) -> tuple[OperatorView, ...]:
        """All operators in the order of execution."""
        return self._guarded(self._read_operators)

    def _read_operators(self) -> tuple[OperatorView, ...]:
        data = self._bytes
        names = []
        for code in data.tables(self._root, _MODEL_CODES):
            number = max(data.scalar(code, _CODE_OLD, "b"), data.scalar(code, _CODE_NEW, "i"))
            custom = data.array(code, _CODE_CUSTOM, "u1").tobytes().decode()
            names.append(custom if number == _CUSTOM else operator_name(number))
        views = []
        tables = data.tables(self._graph, _GRAPH_OPERATORS)
        if len(set(tables)) != len(tables):
            raise ModelFileError("damaged: an operator is listed twice")
        for table in tables:
            inputs = tuple(int(number) for number in data.array(table, _OPERATOR_INPUTS, "i4"))
            outputs = tuple(int(number) for number in data.array(table, _OPERATOR_OUTPUTS, "i4"))
            if not all(-1 <= number < len(self.tensors) for number in (*inputs, *outputs)):
                raise ModelFileError("damaged: an operator names a tensor that is not there")
            views.append(OperatorView(names[data.scalar(table, _OPERATOR_CODE, "I")], inputs, outputs))
        return tuple(views)

    @cached_property
    def makers(self) -> dict[int, tuple[OperatorView, int]]:
        """For each tensor that is computed, its operator, and its place among that operator's outputs."""
        found: dict[int, tuple[OperatorView, int]] = {}
        for operator in self.operators:
            for place, number in enumerate(operator.outputs):
                found.setdefault(number, (operator, place))
        return found

    def values(self, number: int) -> np.ndarray | None:
        """Returns a constant in its own shape and type, int8 for int4; None where the tensor is computed.

        None, too, where its type is not understood.

        Args:
            number: Of the tensor.
        """
        tensor = self.tensors[number]
        dtype = np.dtype(tensor.type).newbyteorder("<")
        count = math.prod(tensor.shape)
        if tensor.stored_as == "int4" and tensor.num_bytes and tensor.num_bytes == -(-count // 2):
            pairs = np.frombuffer(self.content, np.uint8, tensor.num_bytes, tensor.start)
            nibbles = np.stack([pairs << 4, pairs], axis=1).reshape(-1)[:count].view(np.int8) >> 4
            return nibbles.reshape(tensor.shape)
        understood = tensor.stored_as == tensor.type
        if not understood or not tensor.num_bytes or tensor.num_bytes != count * dtype.itemsize:
            return None
        return np.frombuffer(self.content, dtype, count, tensor.start).reshape(tensor.shape)

    @cached_property
    def kernels(self) -> tuple[KernelView, ...]:
        """Constant kernels, each once, in the order of execution; those behind a DEQUANTIZE or a table included."""
        return self._guarded(self._find_kernels)

    def _find_kernels(self) -> tuple[KernelView, ...]:
        makers = {operator.outputs[0]: operator for operator in self.operators if operator.outputs}
        found: dict[int, KernelView] = {}
        for operator in self.operators:
            if operator.name not in KERNEL_OPERATORS:
                continue
            for place in KERNEL_OPERATORS[operator.name]:
                number = operator.inputs[place.kernel_input] if place.kernel_input < len(operator.inputs) else -1
                maker = makers.get(number)
                if maker is not None and maker.name == "DEQUANTIZE":
                    number = maker.inputs[0]
                    maker = makers.get(number)
                if number < 0 or 0 in self.tensors[number].shape:
                    continue
                constant = maker is None and self.values(number) is not None
                if not constant and (maker is None or not maker.name.startswith("TFLM_")):
                    continue
                if len(self.tensors[number].shape) <= place.channel_axis:
                    raise ModelFileError(f"damaged: a kernel of {operator.name} of shape {self.tensors[number].shape}")
                found.setdefault(number, KernelView(operator.name, number, place.channel_axis))
        return tuple(found.values())

    # What follows lets `edge.formats.table_expansion` change a copy of the file in place.

    def operators_vector(self) -> tuple[int, list[int]]:
        """Returns the position of the list of operators (its first element), and that of each operator's table."""
        start, _ = self._bytes.vector(self._graph, _GRAPH_OPERATORS)
        return start, self._bytes.tables(self._graph, _GRAPH_OPERATORS)

    def data_offset(self, buffer_table: int) -> int:
        """Returns the position of a buffer's offset to its bytes; 0 where the buffer has none.

        Args:
            buffer_table: Where the buffer's table lies.
        """
        return self._bytes.field(buffer_table, _BUFFER_DATA)
