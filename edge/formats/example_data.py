"""Examples in NPZ archives, in the types that a model's inputs take. NumPy alone.

Integers are divided by 255 in one case, and that is said: `x_test` of a data set as uint8, for an input of floats or
of quantised floats in a small range, since training divides them as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.formats.boundaries import Boundary
from tfc.base.errors import DataFileError, NpzError
from tfc.base.npz import names_of_arrays, read_arrays

_LABELS = ("y", "y_test")
"""What an input may be called, but its array may not."""


_OTHER = {"test": "train", "train": "test"}
"""The part of a data set that is not read, by the one that is."""


@dataclass(frozen=True)
class Examples:
    """Inputs, and what belongs to them.

    Attributes:
        inputs: Per input of the model (examples, *shape of one example): float32, or the input's own integer type.
        labels: Labels or targets (examples, ...), any numeric type; None where there are none.
        notes: What was done to the data, a sentence each.
    """

    inputs: tuple[np.ndarray, ...]
    labels: np.ndarray | None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.inputs[0])


def read_examples(
    path: Path, inputs: Sequence[Boundary], *, labelled: bool = True, pixels: bool = False, part: str = "test"
) -> Examples:
    """Reads examples for a model.

    One input is called `x`, several by their names or `x_0`, `x_1`, ...; labels are `y`. In an archive of a whole data
    set, `x_test`, `NAME_test`, `x_test_0` and `y_test` are taken where the former are missing.

    Args:
        path: The archive.
        inputs: Of the model.
        labelled: Whether labels must be there.
        pixels: Whether a file beside this one takes pixels from 0 to 255, so that this one gets them, too.
        part: Of a whole data set, `test` or `train`: the other part is never read.

    Raises:
        DataFileError: If the file is missing or damaged, or its content does not fit.
    """
    try:
        held = [name for name in names_of_arrays(path) if not _is_of(name, _OTHER[part])]
        names = [_name(path, held, boundary, number, len(inputs), part) for number, boundary in enumerate(inputs)]
        if len(set(names)) < len(names):
            raise DataFileError(f"{path}: two of the model's inputs would take {max(names, key=names.count)}")
        # x with y, or x_test with y_test: never x with y_test.
        label = f"y_{part}" if any(f"_{part}" in name for name in names) else "y"
        if label not in held and labelled:
            raise DataFileError(f"{path}: lacks y; it holds {', '.join(held)}")
        wanted = {label} & set(held) if labelled or part == "test" else set()
        arrays = read_arrays(path, list(dict.fromkeys([*names, *wanted])))
    except NpzError as error:
        raise DataFileError(str(error)) from error
    labels = arrays.get(label)
    notes: list[str] = []
    found = tuple(
        _fitting(path, name, arrays[name], boundary, notes, pixels=pixels)
        for name, boundary in zip(names, inputs, strict=True)
    )
    lengths = {name: len(each) for name, each in zip(names, found, strict=True)}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise DataFileError(f"{path}: the inputs have different numbers of examples: {counts}")
    if labels is not None:
        _check_labels(path, labels, len(found[0]))
    return Examples(found, labels, tuple(notes))


def _name(path: Path, held: Sequence[str], boundary: Boundary, number: int, count: int, part: str) -> str:
    """The array that holds an input's examples."""
    own = [] if boundary.name in _LABELS else [boundary.name]
    alone = ["x", *own] if count == 1 else [*own, f"x_{number}"]
    set_ = [f"x_{part}"] if count == 1 else [*(f"{name}_{part}" for name in own), f"x_{part}_{number}"]
    # An archive with x and without y, but with x_test and y_test, is a whole data set.
    prefers_set = "y" not in held and f"y_{part}" in held
    for name in [*set_, *alone] if prefers_set else [*alone, *set_]:
        if name in held:
            return name
    called = alone[0] if count == 1 else f"{' or '.join(alone)}, the model's input {number}"
    raise DataFileError(f"{path}: lacks {called}; it holds {', '.join(held) or 'nothing'}")


def _is_of(name: str, part: str) -> bool:
    """Whether an array is of a part of a data set: x_test, NAME_test, x_test_0, y_test."""
    return name.endswith(f"_{part}") or name.startswith(f"x_{part}_")


def _is_of_a_data_set(name: str) -> bool:
    return any(_is_of(name, part) for part in _OTHER)


def _fitting(path: Path, name: str, x: np.ndarray, boundary: Boundary, notes: list[str], *, pixels: bool) -> np.ndarray:
    """The examples in a type that `Boundary.quantised` takes as it is meant."""
    shape = boundary.shape[1:]
    if x.shape[1:] != shape or not x.ndim or not len(x):
        takes = ", ".join(map(str, ("examples", *shape)))
        raise DataFileError(f"{path}: {name} has shape {x.shape}, the model takes ({takes})")
    wanted = np.dtype(boundary.dtype)
    if not (np.issubdtype(x.dtype, np.number) or x.dtype == bool):
        raise DataFileError(f"{path}: {name} must be numbers, found {x.dtype}")
    if not np.isfinite(x).all():
        first = int((~np.isfinite(x)).reshape(len(x), -1).any(axis=1).argmax())
        raise DataFileError(
            f"{path}: {name} has values that are not finite (NaN or infinity), first in example {first}"
        )
    # The images of a data set are pixels, also for an input that happens to be quantised to the same type.
    if x.dtype == wanted and not (boundary.scale and x.dtype == np.uint8 and _is_of_a_data_set(name)):
        return x
    if boundary.scale or np.issubdtype(wanted, np.floating):
        return _floats(path, name, x, boundary, notes, pixels=pixels)
    whole = np.round(x)
    limits = (0, 1) if np.issubdtype(wanted, np.bool_) else (np.iinfo(wanted).min, np.iinfo(wanted).max)
    if not np.isfinite(x).all() or (whole != x).any() or x.min() < limits[0] or x.max() > limits[1]:
        fits = f"integers from {limits[0]} to {limits[1]}, as the model's {wanted} input takes them"
        raise DataFileError(f"{path}: {name} must be {fits}; found {x.dtype}")
    return whole.astype(wanted)


def _floats(path: Path, name: str, x: np.ndarray, boundary: Boundary, notes: list[str], *, pixels: bool) -> np.ndarray:
    if np.issubdtype(x.dtype, np.floating):
        return x.astype(np.float32)
    high = boundary.range[1]
    if boundary.takes_pixels:
        if x.max() > high + boundary.scale:
            raise DataFileError(f"{path}: {name} goes up to {x.max()}, the model's quantised input to {high:.4g}")
        return x.astype(np.float32)
    if pixels and not boundary.scale and x.dtype == np.uint8:
        notes.append(f"{name} is uint8: taken as it is, since a file beside this one takes pixels up to 255")
        return x.astype(np.float32)
    if x.dtype == np.uint8 and _is_of_a_data_set(name):  # as training takes them
        notes.append(f"{name} is uint8: divided by 255")
        return x.astype(np.float32) / np.float32(255)
    raise DataFileError(f"{path}: {name} must be float32 as the model takes it, found {x.dtype}")


def _check_labels(path: Path, y: np.ndarray, count: int) -> None:
    if not y.ndim or len(y) != count:
        raise DataFileError(
            f"{path}: y must be {count} integers or targets, one per example; found {y.dtype} {y.shape}"
        )
    if not (np.issubdtype(y.dtype, np.integer) or np.issubdtype(y.dtype, np.floating) or y.dtype == bool):
        raise DataFileError(f"{path}: y must be numbers, found {y.dtype}")
    if not np.isfinite(y).all():
        raise DataFileError(f"{path}: y holds numbers that are not finite")
