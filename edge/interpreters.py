"""The interpreters of TFLite models behind one face. Each imports its package when it opens a model, not before."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple, Protocol

import numpy as np

from edge.errors import ModelFileError


class Boundary(NamedTuple):
    """An input or output of a model.

    Attributes:
        shape: Its shape, the batch included.
        dtype: NumPy type.
        scale: What a step of an integer is worth; 0 for floats.
        zero_point: The integer that stands for 0.
    """

    shape: tuple[int, ...]
    dtype: Any
    scale: float
    zero_point: int


class Interpreter(Protocol):
    """A model that is loaded."""

    @property
    def inputs(self) -> tuple[Boundary, ...]:
        """All inputs."""

    @property
    def outputs(self) -> tuple[Boundary, ...]:
        """All outputs."""

    def set_input(self, values: np.ndarray) -> None:
        """Sets the first input, in its own type and shape."""

    def invoke(self) -> None:
        """Runs the model."""

    def output(self) -> np.ndarray:
        """Returns the first output, in its own type and shape."""


class LinuxInterpreter:
    """ai-edge-litert or tflite-runtime: one class, in two packages."""

    def __init__(self, module: str, content: bytes, threads: int, delegate: bool) -> None:
        """Loads a model and allocates its tensors.

        Args:
            module: The module with the class.
            content: Of a .tflite file.
            threads: Threads to run on.
            delegate: Whether the default delegate (XNNPACK) may take the graph over.

        Raises:
            ValueError: If it can't be loaded; also RuntimeError.
        """
        package = importlib.import_module(module)
        kind = package.OpResolverType.AUTO if delegate else package.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self._interpreter = package.Interpreter(
            model_content=content, num_threads=threads, experimental_op_resolver_type=kind
        )
        self._interpreter.allocate_tensors()
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self.inputs, self.outputs = tuple(map(self._boundary, inputs)), tuple(map(self._boundary, outputs))
        self._input, self._output = inputs[0]["index"], outputs[0]["index"]

    @staticmethod
    def _boundary(details: dict[str, Any]) -> Boundary:
        scale, zero_point = details["quantization"]
        return Boundary(tuple(map(int, details["shape"])), details["dtype"], float(scale), int(zero_point))

    def set_input(self, values: np.ndarray) -> None:
        """Sets the first input."""
        self._interpreter.set_tensor(self._input, values)

    def invoke(self) -> None:
        """Runs the model."""
        self._interpreter.invoke()

    def output(self) -> np.ndarray:
        """Returns the first output."""
        return np.asarray(self._interpreter.get_tensor(self._output))


class MicroInterpreter:
    """TensorFlow Lite for Microcontrollers, its reference kernels on this machine; one thread."""

    def __init__(self, module: str, content: bytes, threads: int, delegate: bool) -> None:
        """Loads a model.

        Args:
            module: The package.
            content: Of a .tflite file.
            threads: 1.
            delegate: Of no effect: there is none.

        Raises:
            ModelFileError: If more threads are asked for.
            RuntimeError: If it can't be loaded.
        """
        if threads != 1:
            raise ModelFileError(f"the interpreter of microcontrollers has one thread; found --threads {threads}")
        self._interpreter = importlib.import_module(module).runtime.Interpreter.from_bytes(content)
        self.inputs = (self._boundary(self._interpreter.get_input_details(0)),)
        self.outputs = (self._boundary(self._interpreter.get_output_details(0)),)

    @staticmethod
    def _boundary(details: dict[str, Any]) -> Boundary:
        quantization = details["quantization_parameters"]
        scales, zero_points = quantization["scales"], quantization["zero_points"]
        scale, zero_point = (float(scales[0]), int(zero_points[0])) if len(scales) else (0.0, 0)
        return Boundary(tuple(map(int, details["shape"])), details["dtype"], scale, zero_point)

    def set_input(self, values: np.ndarray) -> None:
        """Sets the first input."""
        self._interpreter.set_input(values, 0)

    def invoke(self) -> None:
        """Runs the model."""
        self._interpreter.invoke()

    def output(self) -> np.ndarray:
        """Returns the first output."""
        return np.array(self._interpreter.get_output(0))
