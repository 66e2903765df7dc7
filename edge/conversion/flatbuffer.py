"""Reads and writes the content of .tflite files: tensors by name, operators in order.

The schema's classes come with `ai-edge-litert`; this module handles no offsets. It adds what Python's FlatBuffers
lacks: constants start at multiples of 16 bytes, as TFLite's schema demands, and equal zero points of channels, shapes
and lists of tensors are stored once. Values that depend on training (scales, constants, an activation's zero point) are
never shared, even if equal: two exports of one architecture must have everything at the same places, so that a patch
can update one to the other.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edge.conversion.flatbuffer_writing import written
from edge.formats.kernel_operators import KERNEL_OPERATORS
from edge.formats.tflite_reader import IDENTIFIER
from tfc.base.errors import ModelFileError
from tfc.keras_files.loading import first_line

TENSOR_TYPES: dict[int, type[np.generic]] = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.FLOAT16: np.float16,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.UINT8: np.uint8,
    schema.TensorType.INT64: np.int64,
    schema.TensorType.INT16: np.int16,
    schema.TensorType.INT8: np.int8,
}
"""NumPy types by the schema's numbers."""

_NUMBERS = {np.dtype(type_): number for number, type_ in TENSOR_TYPES.items()}
_OPERATOR_NAMES = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}


@dataclass(frozen=True)
class KernelUse:
    """An operator with a constant kernel.

    Attributes:
        operator: Name of the operator.
        position: Its place in the order of execution.
        input: Name of the tensor it is applied to.
        kernel: Name of the kernel's tensor.
        bias: Name of the bias' tensor; None without one.
        channel_axis: Axis of the kernel that output channels are counted along.
    """

    operator: str
    position: int
    input: str
    kernel: str
    bias: str | None
    channel_axis: int


class FlatbufferModel:
    """A .tflite file as objects of its schema, with tensors found by name. Names are made unique on reading."""

    def __init__(self, content: bytes) -> None:
        """Reads a model; loops have subgraphs of their own, whose tensors are found by name too.

        Args:
            content: Of a .tflite file.

        Raises:
            ModelFileError: If it is none.
        """
        if content[4:8] != IDENTIFIER:
            raise ModelFileError("not a TFLite model (bytes 4 to 7 are not TFL3)")
        try:
            self._read(content)
        except Exception as error:  # the schema's generated code checks nothing
            raise ModelFileError(f"damaged: {first_line(error)}") from error

    def _read(self, content: bytes) -> None:
        self._model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
        self._graph = self._model.subgraphs[0]
        self._places: dict[str, tuple[int, int]] = {}
        self._names: list[list[str]] = []
        for place, graph in enumerate(self._model.subgraphs):
            self._names.append([])
            for number, tensor in enumerate(graph.tensors):
                name = (tensor.name or b"").decode()
                if name in self._places or not name:
                    name = f"{name}#{number}" if place == 0 else f"{name}#{place}.{number}"
                tensor.name = name
                self._places[name] = place, number
                self._names[place].append(name)

    def copy(self) -> FlatbufferModel:
        """Returns a copy to change."""
        return copy.deepcopy(self)

    @property
    def names(self) -> list[str]:
        """Names of all tensors, in their order."""
        return list(self._places)

    @property
    def boundary(self) -> list[str]:
        """Names of the inputs and the outputs of the model."""
        return [self._names[0][number] for number in (*self._graph.inputs, *self._graph.outputs)]

    @property
    def has_loops(self) -> bool:
        """Whether there are subgraphs besides the main one."""
        return len(self._model.subgraphs) > 1

    def tensor(self, name: str) -> Any:
        """Returns a tensor, the schema's `TensorT`.

        Args:
            name: Its name.
        """
        graph, number = self._places[name]
        return self._model.subgraphs[graph].tensors[number]

    def constant(self, name: str) -> np.ndarray | None:
        """Returns the values of a constant in its own shape and type; None where the tensor is computed.

        Args:
            name: The tensor's name.
        """
        tensor = self.tensor(name)
        data = self._model.buffers[tensor.buffer].data
        if data is None or not len(data) or tensor.type not in TENSOR_TYPES:
            return None
        return np.frombuffer(bytes(data), TENSOR_TYPES[tensor.type]).reshape(tensor.shape)

    def scales(self, name: str) -> np.ndarray:
        """Returns a tensor's scales, float32: one, one per channel, or none where it is not quantised.

        Args:
            name: The tensor's name.
        """
        quantization = self.tensor(name).quantization
        found = None if quantization is None else quantization.scale
        return np.zeros(0, np.float32) if found is None else np.asarray(found, np.float32)

    def zero_point(self, name: str) -> int:
        """Returns the integer that stands for 0 in a tensor, the first channel's; 0 where it is not quantised.

        Args:
            name: The tensor's name.
        """
        quantization = self.tensor(name).quantization
        found = None if quantization is None else quantization.zeroPoint
        return 0 if found is None or not len(found) else int(found[0])

    def place(self, name: str) -> tuple[int, int]:
        """Returns the number of a tensor's subgraph, and its number there.

        Args:
            name: The tensor's name.
        """
        return self._places[name]

    def options(self, use: KernelUse) -> Any:
        """Returns the options of an operator, the schema's table of its kind; None where it has none.

        Args:
            use: The operator.
        """
        return self._model.subgraphs[self._places[use.kernel][0]].operators[use.position].builtinOptions

    def kernel_uses(self) -> list[KernelUse]:
        """Returns the operators with a constant kernel, in the order of execution."""
        return [use for number in range(len(self._model.subgraphs)) for use in self._uses_in(number)]

    def _uses_in(self, graph: int) -> Iterator[KernelUse]:
        names = self._names[graph]
        for position, operator in enumerate(self._model.subgraphs[graph].operators):
            name, inputs = self.operator_name(operator), operator.inputs
            for place in KERNEL_OPERATORS.get(name, ()):
                if place.kernel_input >= len(inputs) or inputs[place.kernel_input] < 0:
                    continue
                kernel = names[inputs[place.kernel_input]]
                values = self.constant(kernel)
                if values is None or values.ndim <= place.channel_axis:
                    continue
                bias = inputs[place.bias_input] if place.bias_input < len(inputs) else -1
                yield KernelUse(
                    name,
                    position,
                    names[inputs[place.data_input]],
                    kernel,
                    None if bias < 0 else names[bias],
                    place.channel_axis,
                )

    def kernels(self, type_: type[np.generic]) -> Iterator[tuple[KernelUse, np.ndarray]]:
        """Yields the kernels of a type with their first use, each once, in the order of execution.

        Args:
            type_: NumPy type.
        """
        seen = set()
        for use in self.kernel_uses():
            values = self.constant(use.kernel)
            if use.kernel not in seen and values is not None and values.dtype == type_:
                seen.add(use.kernel)
                yield use, values

    def users(self, name: str) -> list[int]:
        """Returns the positions of the operators that read a tensor, in its subgraph.

        Args:
            name: The tensor's name.
        """
        graph, number = self._places[name]
        operators = self._model.subgraphs[graph].operators
        return [place for place, operator in enumerate(operators) if number in operator.inputs]

    def operators(self) -> Iterator[tuple[int, int, Any]]:
        """Yields subgraph, position and the schema's `OperatorT` of each operator."""
        for graph, subgraph in enumerate(self._model.subgraphs):
            for position, operator in enumerate(subgraph.operators):
                yield graph, position, operator

    def name_of(self, graph: int, number: int) -> str:
        """Returns the name of a tensor.

        Args:
            graph: Number of its subgraph.
            number: Its number there.
        """
        return self._names[graph][number]

    def is_float(self, name: str) -> bool:
        """Whether a tensor is of type float32.

        Args:
            name: The tensor's name.
        """
        return bool(self.tensor(name).type == schema.TensorType.FLOAT32)

    def is_variable(self, name: str) -> bool:
        """Whether a tensor is an input of its subgraph, or keeps a state: an operator's constants are neither.

        Args:
            name: The tensor's name.
        """
        graph, number = self._places[name]
        return bool(self.tensor(name).isVariable) or number in self._model.subgraphs[graph].inputs

    def remove_operators(self, graph: int, positions: Collection[int]) -> None:
        """Removes operators.

        Args:
            graph: Number of their subgraph.
            positions: Their places in the order of execution.
        """
        subgraph = self._model.subgraphs[graph]
        subgraph.operators = [each for place, each in enumerate(subgraph.operators) if place not in positions]

    def operator_name(self, operator: Any) -> str:
        """Returns the schema's name of an operator's code; a custom operator has its own.

        Args:
            operator: The schema's `OperatorT`.
        """
        code = self._model.operatorCodes[operator.opcodeIndex]
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        if number == schema.BuiltinOperator.CUSTOM:
            return bytes(code.customCode).decode() if isinstance(code.customCode, bytes) else str(code.customCode)
        return _OPERATOR_NAMES[number]

    def set_constant(
        self, name: str, values: np.ndarray, scales: np.ndarray | None = None, channel_axis: int = 0
    ) -> None:
        """Replaces a constant.

        Args:
            name: The tensor's name.
            values: Its new values; the shape must be the same, the type may change.
            scales: float32, one or one per channel; none removes them, None leaves the quantisation as it is.
            channel_axis: Axis that the scales are counted along.
        """
        tensor = self.tensor(name)
        tensor.type = _NUMBERS[values.dtype]
        tensor.buffer = self._add_buffer(values)
        if scales is not None:
            tensor.quantization = _quantization(scales, channel_axis) if len(scales) else None

    def make_computed(self, name: str) -> None:
        """Removes a constant's values but keeps its buffer: an operator will compute it.

        Args:
            name: The tensor's name.
        """
        self.tensor(name).buffer = self._add_buffer(np.zeros(0, np.uint8))

    def add_tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        type_: type[np.generic],
        values: np.ndarray | None = None,
        scales: np.ndarray | None = None,
        channel_axis: int = 0,
        beside: str | None = None,
    ) -> str:
        """Adds a tensor.

        Args:
            name: Its name, not in use.
            shape: Its shape.
            type_: NumPy type.
            values: Its values; None where an operator computes it.
            scales: float32, one or one per channel; None where it is not quantised.
            channel_axis: Axis that the scales are counted along.
            beside: Name of a tensor in the same subgraph; None for the main one.

        Returns:
            The name.
        """
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, np.array(shape, np.int32), _NUMBERS[np.dtype(type_)]
        tensor.buffer = 0 if values is None else self._add_buffer(values)
        tensor.quantization = None if scales is None else _quantization(scales, channel_axis)
        tensor.hasRank = True
        graph = 0 if beside is None else self._places[beside][0]
        tensors = self._model.subgraphs[graph].tensors
        self._places[name] = graph, len(tensors)
        self._names[graph].append(name)
        tensors.append(tensor)
        return name

    def insert_operator(
        self, position: int, code: str, inputs: list[str], outputs: list[str], *, version: int = 1
    ) -> None:
        """Inserts an operator without options into its inputs' subgraph.

        Args:
            position: Its place in the order of execution.
            code: The schema's name of its code, or the name of a custom operator.
            inputs: Names of tensors.
            outputs: Names of tensors.
            version: Version of the operator.
        """
        operator = schema.OperatorT()
        operator.opcodeIndex = self._code(code, version)
        operator.inputs = np.array([self._places[name][1] for name in inputs], np.int32)
        operator.outputs = np.array([self._places[name][1] for name in outputs], np.int32)
        self._model.subgraphs[self._places[inputs[0]][0]].operators.insert(position, operator)

    def replace_input(self, position: int, old: str, new: str) -> None:
        """Lets an operator read another tensor.

        Args:
            position: Place of the operator.
            old: Name of the tensor it reads.
            new: Name of the tensor it is to read.
        """
        graph, number = self._places[old]
        operator = self._model.subgraphs[graph].operators[position]
        inputs = np.array(operator.inputs)
        inputs[inputs == number] = self._places[new][1]
        operator.inputs = inputs

    def arrange_boundary(self, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> None:
        """Puts inputs and outputs in an order, and names them.

        Args:
            inputs: For each name in the model's signature, in the order that inputs are to have, the name it gets.
            outputs: Likewise.

        Raises:
            ModelFileError: If the model has no signature with these names.
        """
        signatures = self._model.signatureDefs or []
        if len(signatures) != 1:
            raise ModelFileError(f"the converter gave it {len(signatures)} signatures; inputs can't be told apart")
        self._graph.inputs = self._arranged(signatures[0].inputs, inputs, "serving_default_{}:0")
        self._graph.outputs = self._arranged(signatures[0].outputs, outputs, "")

    def _arranged(self, entries: list[Any], names: Mapping[str, str], tensor_name: str) -> np.ndarray:
        found = {bytes(entry.name).decode(): entry for entry in entries}
        if set(found) != set(names):
            raise ModelFileError(f"its signature has {', '.join(sorted(found))}, not {', '.join(sorted(names))}")
        for known, name in names.items():
            found[known].name = name
            number, wanted = found[known].tensorIndex, tensor_name.format(name)
            if wanted and wanted not in self._places:
                old = self._names[0][number]
                self._graph.tensors[number].name = self._names[0][number] = wanted
                self._places[wanted] = self._places.pop(old)
        return np.array([found[known].tensorIndex for known in names], np.int32)

    def drop_descriptions(self, *, everything: bool = True) -> None:
        """Removes what no interpreter needs: names of inner tensors, descriptions, metadata, signatures.

        Args:
            everything: Whether metadata, signatures and the description go as well.
        """
        if everything:
            self._model.metadata, self._model.metadataBuffer, self._model.signatureDefs = [], None, []
            self._model.description = None
        for graph in self._model.subgraphs:
            graph.name = None
        for name in set(self._places) - set(self.boundary):
            self.tensor(name).name = None
        for name in self._places:
            self.tensor(name).shapeSignature = None

    def to_bytes(self) -> bytes:
        """Returns the content of a .tflite file; buffers and operator codes that nothing uses are left out."""
        return written(self._model)

    def _add_buffer(self, values: np.ndarray) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        return len(self._model.buffers) - 1

    def _code(self, name: str, version: int) -> int:
        for number, known in enumerate(self._model.operatorCodes):
            placeholder = schema.OperatorT()
            placeholder.opcodeIndex = number
            if self.operator_name(placeholder) == name:
                known.version = max(known.version, version)
                return number
        code = schema.OperatorCodeT()
        builtin = getattr(schema.BuiltinOperator, name, schema.BuiltinOperator.CUSTOM)
        code.builtinCode, code.deprecatedBuiltinCode, code.version = builtin, min(builtin, 127), version
        code.customCode = name if builtin == schema.BuiltinOperator.CUSTOM else None
        self._model.operatorCodes.append(code)
        return len(self._model.operatorCodes) - 1


def _quantization(scales: np.ndarray, channel_axis: int) -> Any:
    quantization = schema.QuantizationParametersT()
    quantization.scale = np.asarray(scales, np.float32)
    quantization.zeroPoint = np.zeros(len(scales), np.int64)
    quantization.quantizedDimension = channel_axis if len(scales) > 1 else 0
    return quantization
