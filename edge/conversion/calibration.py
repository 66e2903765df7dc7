"""Data for the export: representative inputs, and examples to train on; checked before anything is converted."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfc.base.errors import DataFileError, NpzError
from tfc.base.npz import read_arrays

_LOG = logging.getLogger(__name__)

Inputs = tuple[np.ndarray, ...]
"""Examples as the model takes them: an array (examples, ...) for each of its inputs."""

_LARGEST = 1e12
"""Magnitude above which sums of a layer's inputs leave float32's range, squared."""


@dataclass(frozen=True)
class InputSpec:
    """An input of a Keras model.

    Attributes:
        array: Name of the array that has its data in an NPZ file: `x` where the model has one input.
        shape: Shape of one example.
        dtype: NumPy's name of its type.
    """

    array: str
    shape: tuple[int, ...]
    dtype: str


def input_specs(model: tf.keras.Model) -> tuple[InputSpec, ...]:
    """Returns the inputs of a model, in the order in which its .tflite file has them.

    Args:
        model: A built Keras model.
    """
    single = len(model.inputs) == 1
    return tuple(
        InputSpec("x" if single else name, tuple(tensor.shape[1:]), tf.as_dtype(tensor.dtype).name)
        for name, tensor in zip(model.input_names, model.inputs, strict=True)
    )


def _as_model_takes_it(path: Path, spec: InputSpec, values: np.ndarray) -> np.ndarray:
    if values.shape[1:] != spec.shape or not len(values):
        raise DataFileError(
            f"{path}: {spec.array} has shape {values.shape}, the model takes (examples, "
            f"{', '.join(map(str, spec.shape))})"
        )
    wanted = np.dtype(spec.dtype)
    if wanted.kind == "f" and values.dtype != wanted:
        raise DataFileError(
            f"{path}: {spec.array} must be {spec.dtype} as the model takes it, found {values.dtype}; nothing is scaled"
        )
    if wanted.kind in "iu":
        if values.dtype.kind not in "iu":
            raise DataFileError(f"{path}: {spec.array} must be integers as the model takes them, found {values.dtype}")
        limits = np.iinfo(wanted)
        if int(values.min()) < limits.min or int(values.max()) > limits.max:
            raise DataFileError(f"{path}: {spec.array} has values outside the range of {spec.dtype}, the model's input")
    return values.astype(wanted, copy=False)


def _check_range(path: Path, spec: InputSpec, values: np.ndarray) -> None:
    if values.dtype.kind != "f":
        return
    broken = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if broken.any():
        raise DataFileError(
            f"{path}: {spec.array} has values that are not finite (NaN or infinity) in {int(broken.sum())} of "
            f"{len(values)} examples, first in example {int(broken.argmax())}"
        )
    largest = float(np.abs(values).max())
    if largest > _LARGEST:
        raise DataFileError(
            f"{path}: {spec.array} has values as large as {largest:.3g}; no activation range covers them"
        )
    if values.size > 1 and float(values.min()) == float(values.max()):
        raise DataFileError(
            f"{path}: every value of {spec.array} is {float(values.flat[0]):g}; ranges of activations can't be measured"
        )


def read_representative(path: Path, specs: tuple[InputSpec, ...]) -> Inputs:
    """Reads a representative data set: `x`, or an array per input by its name; `x_train` of a whole data set.

    Args:
        path: An NPZ file.
        specs: The model's inputs.

    Raises:
        DataFileError: If the file is missing or damaged, its arrays do not fit the model, have values that are not
            finite, or are all the same.
    """
    names = [spec.array for spec in specs]
    try:
        found = read_arrays(path, names, otherwise=["x_train"] if len(specs) == 1 else [])
    except NpzError as error:
        raise DataFileError(str(error)) from error
    arrays = tuple(_as_model_takes_it(path, spec, values) for spec, values in zip(specs, found.values(), strict=True))
    if len({len(values) for values in arrays}) > 1:
        raise DataFileError(f"{path}: the inputs have different numbers of examples")
    for spec, values in zip(specs, arrays, strict=True):
        _check_range(path, spec, values)
    return arrays


def read_training(path: Path, model: tf.keras.Model) -> tuple[Inputs, np.ndarray]:
    """Reads examples to train on: inputs as for a representative data set and `y`, never a data set's test data.

    Images of a whole data set, `x_train` as uint8, are divided by 255 for an input of floats, as training takes them,
    and that is logged as a warning.

    Args:
        path: An NPZ file.
        model: A Keras model.

    Returns:
        Inputs as the model takes them, (examples, ...) each, and labels (examples, ...).

    Raises:
        DataFileError: If the file is missing or damaged, or its arrays do not fit the model.
    """
    specs = input_specs(model)
    names = [spec.array for spec in specs]
    if "y" in names:
        raise DataFileError("--train: an input of the model is called y, as labels are; give it another name")
    try:
        found = read_arrays(path, [*names, "y"], otherwise=["x_train", "y_train"] if len(specs) == 1 else [])
    except NpzError as error:
        raise DataFileError(str(error)) from error
    *inputs, y = found.values()
    if "x_train" in found and inputs[0].dtype == np.uint8 and specs[0].dtype == "float32":
        _LOG.warning("%s: x_train is uint8: divided by 255", path)
        inputs[0] = inputs[0].astype(np.float32) / 255
    arrays = tuple(_as_model_takes_it(path, spec, values) for spec, values in zip(specs, inputs, strict=True))
    for spec, values in zip(specs, arrays, strict=True):
        _check_range(path, spec, values)
        if len(values) != len(y):
            raise DataFileError(f"{path}: {spec.array} has {len(values)} examples, y {len(y)}")
    if y.dtype.kind not in "iufb" or not np.isfinite(y).all():
        raise DataFileError(f"{path}: y must be finite numbers, found {y.dtype} {y.shape}")
    return arrays, y
