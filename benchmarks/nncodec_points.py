"""Bytes and squared errors of `nncodec`, run by an interpreter that has it; `against_nncodec.py` starts it.

    python nncodec_points.py ARRAYS.npz POINTS.json

ARRAYS.npz holds kernels by name: float32 for lossy points over quantisation parameters and rate-distortion weights,
int32 for one lossless point. Kernels are laid out as `nncodec` expects them: outputs, inputs, then the window. Nothing
of the project is imported here: the interpreter has none of it.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from nncodec import nnc

QUANTISATION_PARAMETERS = (-36, -34, -33, -32, -31, -30, -29, -28, -27, -26, -25, -24)
RATE_WEIGHTS = (0.0, 0.1, 0.3, 0.5, 0.7, 1.0, 1.4, 2.0)


def by_output(kernel: np.ndarray) -> np.ndarray:
    """A kernel as a matrix (outputs, inputs x window)."""
    rows = np.moveaxis(kernel, (-1, -2), (0, 1)) if kernel.ndim > 2 else kernel.T
    return np.ascontiguousarray(rows.reshape(kernel.shape[-1], -1))


def coded(arrays: dict[str, np.ndarray], **options: object) -> tuple[int, dict[str, np.ndarray]]:
    """Bytes of the whole bitstream, and what it decodes to."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        stream = nnc.compress(dict(arrays), bitstream_path=f"{folder}/x.nnc", return_bitstream=True, **options)
        return len(stream), nnc.decompress(stream)


def main(source: Path, target: Path) -> None:
    """Measures every group of arrays: names are GROUP/KERNEL."""
    data = np.load(source)
    groups: dict[str, dict[str, np.ndarray]] = {}
    for name in data.files:
        group, kernel = name.rsplit("/", 1)
        groups.setdefault(group, {})[kernel] = by_output(data[name])
    found: dict[str, list[dict[str, float]]] = {}
    for group, arrays in groups.items():
        points = []
        if all(array.dtype == np.int32 for array in arrays.values()):
            size, back = coded(arrays, use_dq=False)
            lossless = all(np.array_equal(back[name], arrays[name]) for name in arrays)
            points.append({"bytes": size, "error": 0.0 if lossless else 1.0})
        else:
            total = sum(float((array.astype(np.float64) ** 2).sum()) for array in arrays.values())
            for dependent in (True, False):
                for weight in RATE_WEIGHTS:
                    for parameter in QUANTISATION_PARAMETERS:
                        size, back = coded(arrays, qp=parameter, use_dq=dependent, lambda_scale=weight)
                        error = sum(float(((back[name] - array) ** 2).sum()) for name, array in arrays.items())
                        points.append({"bytes": size, "error": error / total})
        found[group] = points
        print(group, len(points), "points", flush=True)
    target.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
