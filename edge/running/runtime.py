"""Opens a model file with whichever interpreter is installed. NumPy and that interpreter alone."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.formats.packing import read_model_content
from edge.formats.table_expansion import expand_tables
from edge.formats.tflite_reader import TfliteView
from edge.running.interpreters import Interpreter, InterpreterOptions, LinuxInterpreter, MicroInterpreter
from tfc.base.errors import ModelFileError, RuntimeMissingError


def distribution_version(package: str) -> str:
    """Returns the version of an installed distribution.

    It is `of another distribution` where another one provides the module.

    Args:
        package: Its name.
    """
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "of another distribution"


@dataclass(frozen=True)
class Runtime:
    """An interpreter that may be installed.

    Attributes:
        name: Name on the command line.
        module: Python module with the class `Interpreter`.
        package: Distribution that holds it.
        install: What to tell pip to install.
        open: Loads a model: (module, content, options) -> interpreter.
        has_tables: Whether it runs look-up tables; otherwise they are expanded in memory.
        automatic: Whether `auto` may choose it.

    Examples:
        >>> import edge
        >>> runtime = edge.find_runtime()
        >>> runtime.is_installed()
        True
        >>> print(runtime.package, runtime.version)
        ai-edge-litert ...
    """

    name: str
    module: str
    package: str
    install: str
    open: Callable[[str, bytes, InterpreterOptions], Interpreter] = LinuxInterpreter
    has_tables: bool = False
    automatic: bool = True

    def is_installed(self) -> bool:
        """Whether its module can be found."""
        try:
            return importlib.util.find_spec(self.module.partition(".")[0]) is not None
        except ModuleNotFoundError:
            return False

    def load_package(self) -> None:
        """Imports the module, so that opening a model does not include the import."""
        importlib.import_module(self.module)

    @property
    def version(self) -> str:
        """Version of the installed distribution."""
        return distribution_version(self.package)


RUNTIMES: dict[str, Runtime] = {
    "litert": Runtime("litert", "ai_edge_litert.interpreter", "ai-edge-litert", "'fedcompress[litert]'"),
    "tflite": Runtime("tflite", "tflite_runtime.interpreter", "tflite-runtime", "'fedcompress[tflite]'"),
    "tflm": Runtime(
        "tflm",
        "tflite_micro",
        "tflite-micro",
        "--pre tflite-micro",
        MicroInterpreter,
        has_tables=True,
        automatic=False,
    ),
}
"""Interpreters by name, in the order in which `auto` tries them."""


def find_runtime(name: str = "auto") -> Runtime:
    """Returns an installed runtime.

    Args:
        name: A key of `RUNTIMES`, or `auto` for the first one installed.

    Raises:
        RuntimeMissingError: If there is none of this name, it is not installed, or it is known to crash with the
            installed NumPy.

    Examples:
        >>> import edge
        >>> edge.find_runtime().name
        'litert'
    """
    if name not in ("auto", *RUNTIMES):
        raise RuntimeMissingError(f"no runtime is called {name!r}; known: auto, {', '.join(RUNTIMES)}")
    automatic = [runtime for runtime in RUNTIMES.values() if runtime.automatic]
    wanted = automatic if name == "auto" else [RUNTIMES[name]]
    found = next((runtime for runtime in wanted if runtime.is_installed()), None)
    if found is None:
        what = "no TFLite interpreter is" if name == "auto" else f"{wanted[0].package} is not"
        raise RuntimeMissingError(f"{what} installed: pip install {wanted[0].install}")
    if found.name == "tflite" and int(np.__version__.split(".")[0]) >= 2:
        raise RuntimeMissingError(
            f"tflite-runtime {found.version} crashes with NumPy {np.__version__}: pip install 'numpy<2', or use "
            "ai-edge-litert (pip install 'fedcompress[litert]')"
        )
    return found


def find_runtimes(name: str = "auto") -> list[Runtime]:
    """Returns installed runtimes.

    Args:
        name: As for `find_runtime`, or `all` for every one that is installed and works with this NumPy.

    Raises:
        RuntimeMissingError: If there is none.
    """
    if name != "all":
        return [find_runtime(name)]
    found, errors = [], []
    for each in RUNTIMES:
        try:
            found.append(find_runtime(each))
        except RuntimeMissingError as error:
            errors.append(error)
    if not found:
        raise errors[0]
    return found


def _refuse_scales_per_channel(content: bytes) -> None:
    """TFLM's DEQUANTIZE silently uses the first scale for all channels."""
    view = TfliteView(content)
    for operator in view.operators:
        if operator.name == "DEQUANTIZE" and len(view.tensors[operator.inputs[0]].scales) > 1:
            raise ModelFileError(
                "int8 weights with a scale per channel and float computation give wrong results in the "
                "microcontroller interpreter; use int8 or lut there"
            )


class TfliteModel:
    """A loaded model with one input and one output.

    Attributes:
        path: The file.
        input_shape: Shape of one input, without the batch.

    Examples:
        >>> import numpy as np
        >>> import edge
        >>> model = edge.TfliteModel("out/tiny-int8.tflite", edge.find_runtime())
        >>> model.predict(np.zeros((2, *model.input_shape), np.float32)).shape
        (2, 10)
    """

    def __init__(self, path: str | Path, runtime: Runtime, options: InterpreterOptions | None = None) -> None:
        """Loads the file, which must take one input at a time, and allocates its tensors.

        A packed file is unpacked, and look-up tables are expanded where the runtime has none, both in memory.

        Args:
            path: A .tflite file, packed or not.
            runtime: What `find_runtime` returned.
            options: How it is run.

        Raises:
            ModelFileError: If the file is missing, no TFLite model, or not one that this runtime runs.
        """
        self.path = path = Path(path)
        options = options or InterpreterOptions()
        content = read_model_content(path)
        try:
            if runtime.has_tables:
                _refuse_scales_per_channel(content)
            else:
                content = expand_tables(content)
        except ModelFileError as error:
            raise ModelFileError(f"{path}: {error}") from error
        try:
            self._interpreter = runtime.open(runtime.module, content, options)
        except ImportError as error:
            raise RuntimeMissingError(f"{runtime.package} {runtime.version} does not import: {error}") from error
        except (ValueError, RuntimeError, ModelFileError) as error:
            reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
            raise ModelFileError(f"{path}: {runtime.package} {runtime.version} can't load it: {reason}") from error
        inputs, outputs = self._interpreter.inputs, self._interpreter.outputs
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelFileError(
                f"{path}: has {len(inputs)} inputs and {len(outputs)} outputs, one of each is supported"
            )
        self._input, self._output = inputs[0], outputs[0]
        if self._input.shape[0] != options.batch:
            raise ModelFileError(f"{path}: takes {self._input.shape[0]} inputs at once; export it for a batch of one")
        self.input_shape = self._input.shape[1:]

    @property
    def input_range(self) -> tuple[float, float]:
        """Smallest and largest value that a quantised input can represent; 0 and 1 for float inputs."""
        _, dtype, scale, zero_point = self._input
        if not scale:
            return 0.0, 1.0
        limits = np.iinfo(dtype)
        return (limits.min - zero_point) * scale, (limits.max - zero_point) * scale

    @property
    def batch(self) -> int:
        """Inputs per run."""
        return self._input.shape[0]

    @property
    def arena_bytes(self) -> int | None:
        """Arena bytes that a microcontroller must reserve; None for other interpreters."""
        return self._interpreter.arena_bytes()

    def set_input(self, x: np.ndarray) -> None:
        """Sets the input, quantised where the model asks for it.

        Args:
            x: float32, shape (batch, *input_shape).
        """
        self._interpreter.set_input(self._quantised(x))

    def invoke(self) -> None:
        """Runs the model on the input that was set."""
        self._interpreter.invoke()

    def raw_output(self) -> np.ndarray:
        """Returns the output in the model's own type, shape (batch, classes)."""
        return self._interpreter.output()

    def output(self) -> np.ndarray:
        """Returns the output as float32, shape (batch, classes)."""
        raw, (_, _, scale, zero_point) = self.raw_output(), self._output
        return (raw.astype(np.float32) - zero_point) * np.float32(scale) if scale else raw.astype(np.float32)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Returns the outputs for many inputs, a batch at a time.

        Args:
            x: float32, shape (examples, *input_shape).

        Returns:
            float32, shape (examples, classes).
        """
        rows: list[np.ndarray] = []
        for start in range(0, len(x), self.batch):
            examples = x[start : start + self.batch]
            # The last batch is padded with its last example.
            filled = np.concatenate([examples, np.repeat(examples[-1:], self.batch - len(examples), axis=0)])
            self.set_input(filled)
            self.invoke()
            rows.extend(self.output()[: len(examples)].copy())
        return np.stack(rows)

    def _quantised(self, x: np.ndarray) -> np.ndarray:
        _, dtype, scale, zero_point = self._input
        if not scale:
            return x.astype(dtype)
        limits = np.iinfo(dtype)
        return np.clip(np.round(x / scale) + zero_point, limits.min, limits.max).astype(dtype)
