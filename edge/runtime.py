"""Opens a .tflite file with whichever interpreter is installed. NumPy and that interpreter alone."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import ModelFileError, RuntimeMissingError

_TFLITE_IDENTIFIER = b"TFL3"


@dataclass(frozen=True)
class Runtime:
    """An interpreter that may be installed.

    Attributes:
        name: Name on the command line.
        module: Python module with the class `Interpreter`.
        package: Distribution that holds it.
        extra: Extra of this package that installs it.
    """

    name: str
    module: str
    package: str
    extra: str

    def is_installed(self) -> bool:
        """Whether its module can be found."""
        try:
            return importlib.util.find_spec(self.module) is not None
        except ModuleNotFoundError:
            return False

    @property
    def version(self) -> str:
        """Version of the installed distribution."""
        return importlib.metadata.version(self.package)


RUNTIMES: dict[str, Runtime] = {
    "litert": Runtime("litert", "ai_edge_litert.interpreter", "ai-edge-litert", "litert"),
    "tflite": Runtime("tflite", "tflite_runtime.interpreter", "tflite-runtime", "tflite"),
}
"""Interpreters by name, in the order in which `auto` tries them."""


def find_runtime(name: str = "auto") -> Runtime:
    """Returns an installed runtime.

    Args:
        name: A key of `RUNTIMES`, or `auto` for the first one installed.

    Raises:
        RuntimeMissingError: If it is not installed, or is known to crash with the installed NumPy.
    """
    wanted = list(RUNTIMES.values()) if name == "auto" else [RUNTIMES[name]]
    found = next((runtime for runtime in wanted if runtime.is_installed()), None)
    if found is None:
        what = "no TFLite interpreter is" if name == "auto" else f"{wanted[0].package} is not"
        raise RuntimeMissingError(f"{what} installed: pip install 'fedcompress[{wanted[0].extra}]'")
    if found.name == "tflite" and int(np.__version__.split(".")[0]) >= 2:
        raise RuntimeMissingError(
            f"tflite-runtime {found.version} crashes with NumPy {np.__version__}: pip install 'numpy<2', or use "
            "ai-edge-litert (pip install 'fedcompress[litert]')"
        )
    return found


class TfliteModel:
    """A loaded model with one input and one output.

    Attributes:
        path: The file.
        input_shape: Shape of one input, without the batch.
    """

    def __init__(self, path: Path, runtime: Runtime, threads: int = 1) -> None:
        """Loads the file, which must take one input at a time, and allocates its tensors.

        Args:
            path: A .tflite file.
            runtime: What `find_runtime` returned.
            threads: Threads of the interpreter.

        Raises:
            ModelFileError: If the file is missing, no TFLite model, or not one that this runtime runs.
        """
        self.path = path
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelFileError(f"{path}: cannot be read: {error.strerror or error}") from error
        if content[4:8] != _TFLITE_IDENTIFIER:
            raise ModelFileError(f"{path}: not a TFLite model (bytes 4 to 7 are not TFL3)")
        interpreter_class = importlib.import_module(runtime.module).Interpreter
        try:
            self._interpreter = interpreter_class(model_content=content, num_threads=threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
            raise ModelFileError(f"{path}: {runtime.package} {runtime.version} can't load it: {reason}") from error
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelFileError(
                f"{path}: has {len(inputs)} inputs and {len(outputs)} outputs, one of each is supported"
            )
        self._input, self._output = inputs[0], outputs[0]
        if int(self._input["shape"][0]) != 1:
            raise ModelFileError(
                f"{path}: takes {self._input['shape'][0]} inputs at once; export it for a batch of one"
            )
        self.input_shape = tuple(int(size) for size in self._input["shape"][1:])

    def set_input(self, x: np.ndarray) -> None:
        """Sets the input, quantised where the model asks for it.

        Args:
            x: float32, shape (1, *input_shape).
        """
        self._interpreter.set_tensor(self._input["index"], _quantised(x, self._input))

    def invoke(self) -> None:
        """Runs the model on the input that was set."""
        self._interpreter.invoke()

    def output(self) -> np.ndarray:
        """Returns the output as float32, shape (1, classes)."""
        raw = self._interpreter.get_tensor(self._output["index"])
        scale, zero_point = self._output["quantization"]
        return (raw.astype(np.float32) - zero_point) * np.float32(scale) if scale else raw.astype(np.float32)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Returns the outputs for many inputs, one at a time.

        Args:
            x: float32, shape (examples, *input_shape).

        Returns:
            float32, shape (examples, classes).
        """
        rows = []
        for example in x:
            self.set_input(example[None])
            self.invoke()
            rows.append(self.output()[0])
        return np.stack(rows)


def _quantised(x: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    scale, zero_point = details["quantization"]
    if not scale:
        return x.astype(details["dtype"])
    limits = np.iinfo(details["dtype"])
    return np.clip(np.round(x / scale) + zero_point, limits.min, limits.max).astype(details["dtype"])
