"""The interpreters that may be installed, and which of them is used. NumPy alone."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge.running.interpreters import Interpreter, InterpreterOptions, LinuxInterpreter, MicroInterpreter
from tfc.base.errors import RuntimeMissingError


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
    "litert": Runtime("litert", "ai_edge_litert.interpreter", "ai-edge-litert", "ai-edge-litert"),
    "tflite": Runtime("tflite", "tflite_runtime.interpreter", "tflite-runtime", "tflite-runtime 'numpy<2'"),
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
            "ai-edge-litert (pip install ai-edge-litert)"
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
