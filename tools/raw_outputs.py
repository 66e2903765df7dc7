"""Runs seeded or given inputs through model files and saves what comes out, bit for bit. Runs on any device.

    python raw_outputs.py OUT.npz RUNTIME KERNELS COUNT FILE ...

OUT.npz holds one array per file that the interpreter loads, in its own type, shape (COUNT, classes).
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import numpy as np

from edge.running.interpreters import InterpreterOptions
from edge.running.loaded_model import TfliteModel
from edge.running.runtime import find_runtime
from tfc.base.errors import ModelFileError


def raw_outputs(path: Path, runtime: str, kernels: str, count: int) -> np.ndarray:
    """Returns the outputs of one file for uniform inputs from seed 0.

    Args:
        path: A model file.
        runtime: A key of `edge.running.runtime.RUNTIMES`.
        kernels: A key of `edge.running.interpreters.KERNELS`.
        count: How many inputs.
    """
    model = TfliteModel(path, find_runtime(runtime), InterpreterOptions(kernels=kernels))
    low, high = model.input_range
    rows = []
    for x in np.random.default_rng(0).uniform(low, high, (count, 1, *model.input_shape)).astype(np.float32):
        model.set_input(x)
        model.invoke()
        rows.append(model.raw_output()[0].copy())
    return np.stack(rows)


if __name__ == "__main__":
    out, runtime, kernels, count, *files = sys.argv[1:]
    found = {}
    for path in map(Path, files):
        with contextlib.suppress(ModelFileError):  # some operators have no plain kernel in old versions
            found[path.name] = raw_outputs(path, runtime, kernels, int(count))
    np.savez(out, **found)
