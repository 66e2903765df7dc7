"""Data in NPZ archives, checked against a model. NumPy alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfc.base.errors import DataFileError, NpzError
from tfc.base.npz import read_arrays


def read_inputs(path: Path, input_shape: tuple[int, ...]) -> np.ndarray:
    """Reads the inputs `x` of an NPZ file.

    Args:
        path: The file.
        input_shape: Shape of one input of the model.

    Returns:
        float32 array (examples, *input_shape), as the model takes them.

    Raises:
        DataFileError: If the file is missing or damaged, or its inputs do not fit.
    """
    return _read(path, ("x",), input_shape)["x"]


def read_examples(path: Path, input_shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Reads inputs `x` and classes `y` of an NPZ file, or `x_test` and `y_test` of one that holds a whole data set.

    Args:
        path: The file.
        input_shape: Shape of one input of the model.

    Returns:
        float32 (examples, *input_shape) and int64 (examples,).

    Raises:
        DataFileError: If the file is missing or damaged, or its content does not fit.
    """
    arrays = _read(path, ("x", "y"), input_shape, data_set=("x_test", "y_test"))
    y = arrays["y"]
    if y.shape != arrays["x"].shape[:1] or not np.issubdtype(y.dtype, np.integer):
        raise DataFileError(
            f"{path}: y must be {len(arrays['x'])} integers, one per example; found {y.dtype} {y.shape}"
        )
    return arrays["x"], y.astype(np.int64)


def _read(
    path: Path, names: tuple[str, ...], input_shape: tuple[int, ...], data_set: tuple[str, ...] = ()
) -> dict[str, np.ndarray]:
    try:
        arrays = read_arrays(path, names, otherwise=data_set)
    except NpzError as error:
        raise DataFileError(str(error)) from error
    if data_set and set(data_set) <= set(arrays):
        arrays = dict(zip(names, (arrays[name] for name in data_set), strict=True))
        if arrays["x"].dtype == np.uint8:  # as training takes them
            arrays["x"] = arrays["x"].astype(np.float32) / 255
    x = arrays["x"]
    if x.dtype != np.float32:
        raise DataFileError(f"{path}: x must be float32 as the model takes it, found {x.dtype}")
    if x.shape[1:] != input_shape or not len(x):
        raise DataFileError(
            f"{path}: x has shape {x.shape}, the model takes (examples, {', '.join(map(str, input_shape))})"
        )
    return arrays
