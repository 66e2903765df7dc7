"""The interpreters of TFLite models behind one interface. Each imports its package only when it opens a model."""

from __future__ import annotations

import importlib
import os
import re
import tempfile
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from edge.formats.boundaries import Boundary, has_state
from edge.formats.tflite_reader import TfliteView
from tfc.base.errors import ModelFileError

KERNELS = {
    "xnnpack": "AUTO",
    "builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "reference": "BUILTIN_REF",
}
"""Kernels, and the interpreters' name for them: the default delegate (XNNPACK) with the optimised kernels for
unsupported operators; the optimised kernels alone; the plain C++ kernels, whose integer results are the same on every
processor."""


@dataclass(frozen=True)
class InterpreterOptions:
    """How a model is run.

    Attributes:
        threads: Threads of the interpreter.
        kernels: A key of `KERNELS`.
        batch: Inputs per run.
        keep_state: Whether an example starts with the state that the one before it left, as the parts of a stream do;
            otherwise the state is reset before every example.

    Examples:
        >>> import edge
        >>> model = edge.TfliteModel("out/tiny-int8.tflite", edge.find_runtime(), edge.InterpreterOptions(threads=2))
    """

    threads: int = 1
    kernels: str = "xnnpack"
    batch: int = 1
    keep_state: bool = False


class Interpreter(Protocol):
    """A model that is loaded.

    Examples:
        >>> import edge
        >>> def input_shape(interpreter: edge.Interpreter) -> tuple[int, ...]:
        ...     return interpreter.inputs[0].shape
    """

    @property
    def keeps_inputs(self) -> bool:
        """Whether a run leaves the inputs as they were; otherwise it uses their memory for other tensors."""

    @property
    def inputs(self) -> tuple[Boundary, ...]:
        """All inputs."""

    @property
    def outputs(self) -> tuple[Boundary, ...]:
        """All outputs."""

    def set_input(self, values: np.ndarray, number: int = 0) -> None:
        """Sets an input, in its own type and shape."""

    def invoke(self) -> None:
        """Runs the model."""

    def output(self, number: int = 0) -> np.ndarray:
        """Returns an output, in its own type and shape."""

    def reset(self) -> None:
        """Sets the state that runs leave behind to what it is after loading; the inputs have to be set again."""

    def arena_bytes(self) -> int | None:
        """Returns the arena bytes that a microcontroller must reserve; None for other interpreters."""


class LinuxInterpreter:
    """ai-edge-litert or tflite-runtime: one class, in two packages."""

    keeps_inputs = True

    def __init__(self, module: str, content: bytes, options: InterpreterOptions) -> None:
        """Loads a model and allocates its tensors.

        Args:
            module: The module with the class.
            content: Of a .tflite file.
            options: How it is run.

        Raises:
            ValueError: If it can't be loaded; also RuntimeError.
        """
        self._package, self._content, self._options = importlib.import_module(module), content, options
        # Only a new interpreter sets resource variables to their initial values.
        _, self._has_resources = has_state(TfliteView(content))
        self._load()

    def _load(self) -> None:
        options = self._options
        self._interpreter = self._package.Interpreter(
            model_content=self._content,
            num_threads=options.threads,
            experimental_op_resolver_type=self._package.OpResolverType[KERNELS[options.kernels]],
        )
        for details in self._interpreter.get_input_details():
            if -1 in details.get("shape_signature", ())[1:]:
                sizes = ", ".join("?" if size < 0 else str(size) for size in details["shape_signature"])
                found = f"its input {details['name']} has no fixed size, ({sizes})"
                raise ValueError(f"{found}; convert the model with a fixed input shape")
        if options.batch != 1:
            for details in self._interpreter.get_input_details():
                self._interpreter.resize_tensor_input(details["index"], [options.batch, *details["shape"][1:]])
        self._interpreter.allocate_tensors()
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self.inputs, self.outputs = tuple(map(self._boundary, inputs)), tuple(map(self._boundary, outputs))
        self._inputs, self._outputs = ([each["index"] for each in details] for details in (inputs, outputs))

    @staticmethod
    def _boundary(details: dict[str, Any]) -> Boundary:
        scale, zero_point = details["quantization"]
        return Boundary(tuple(map(int, details["shape"])), details["dtype"], float(scale), int(zero_point))

    def set_input(self, values: np.ndarray, number: int = 0) -> None:
        """Sets an input."""
        self._interpreter.set_tensor(self._inputs[number], values)

    def invoke(self) -> None:
        """Runs the model."""
        self._interpreter.invoke()

    def output(self, number: int = 0) -> np.ndarray:
        """Returns an output."""
        return np.asarray(self._interpreter.get_tensor(self._outputs[number]))

    def reset(self) -> None:
        """Resets variable tensors; a model with resource variables is loaded anew."""
        if self._has_resources:
            self._load()
        else:
            self._interpreter.reset_all_variables()

    def arena_bytes(self) -> None:
        """Returns None: these interpreters allocate memory as needed."""


_ARENAS = (None, 2**22, 2**26, 2**28)
"""Bytes that are tried one after the other for the arena; None for the interpreter's own choice."""


class MicroInterpreter:
    """TensorFlow Lite for Microcontrollers, its reference kernels on this machine; one thread."""

    keeps_inputs = False

    def __init__(self, module: str, content: bytes, options: InterpreterOptions) -> None:
        """Loads a model.

        Args:
            module: The package.
            content: Of a .tflite file.
            options: One thread, one input at a time; `kernels` is ignored.

        Raises:
            ModelFileError: If more threads or a larger batch are asked for.
            RuntimeError: If it can't be loaded.
        """
        if options.threads != 1 or options.batch != 1:
            raise ModelFileError(
                "the microcontroller interpreter has one thread and takes one input at a time; found "
                f"--threads {options.threads} --batch {options.batch}"
            )
        self._interpreter = self._opened(importlib.import_module(module).runtime.Interpreter, content)
        view = TfliteView(content)
        read_input, read_output = self._interpreter.get_input_details, self._interpreter.get_output_details
        self.inputs = tuple(self._boundary(read_input(number)) for number in range(len(view.inputs)))
        self.outputs = tuple(self._boundary(read_output(number)) for number in range(len(view.outputs)))

    @staticmethod
    def _opened(interpreter: Any, content: bytes) -> Any:
        """By itself the interpreter takes an arena of ten times the file's length, which is too small for some."""
        for size in _ARENAS:
            try:
                return interpreter.from_bytes(content, arena_size=size)
            except RuntimeError:
                if size == _ARENAS[-1]:
                    raise
        raise AssertionError

    @staticmethod
    def _boundary(details: dict[str, Any]) -> Boundary:
        quantization = details["quantization_parameters"]
        scales, zero_points = quantization["scales"], quantization["zero_points"]
        scale, zero_point = (float(scales[0]), int(zero_points[0])) if len(scales) else (0.0, 0)
        return Boundary(tuple(map(int, details["shape"])), details["dtype"], scale, zero_point)

    def set_input(self, values: np.ndarray, number: int = 0) -> None:
        """Sets an input."""
        self._interpreter.set_input(values, number)

    def invoke(self) -> None:
        """Runs the model."""
        self._interpreter.invoke()

    def output(self, number: int = 0) -> np.ndarray:
        """Returns an output."""
        return np.array(self._interpreter.get_output(number))

    def reset(self) -> None:
        """Resets variables of both kinds."""
        self._interpreter.reset()

    def arena_bytes(self) -> int | None:
        """Returns the size of its arena in bytes."""
        parts = self.arena_parts()
        return sum(parts) if parts else None

    def arena_parts(self) -> tuple[int, int] | None:
        """Returns the arena's bytes for scratch and for what is kept, which are printed to standard error only."""
        saved = os.dup(2)
        with tempfile.TemporaryFile() as messages:
            os.dup2(messages.fileno(), 2)
            try:
                self._interpreter.print_allocations()
            finally:
                os.dup2(saved, 2)
                os.close(saved)
            messages.seek(0)
            printed = messages.read()
        parts = [re.search(rb"Arena allocation %s (\d+) bytes" % part, printed) for part in (b"head", b"tail")]
        head, tail = (int(found[1]) if found else None for found in parts)
        return None if head is None or tail is None else (head, tail)
