"""Physiotherapy exercises told apart by a smartwatch: real recordings of ten people.

Source: Burns, Leung, Hardisty, Whyne, Henry, McLachlin, "Shoulder physiotherapy exercise recognition: machine learning
the inertial signals from a smartwatch" (Physiological Measurement 39, 2018). The package `seglearn` (BSD) ships the
recordings as a file: 140 of them, seven exercises by each of ten people with either arm, acceleration and rotation over
three axes each at 50 Hz. The package itself is not imported, and its pickle is read without running code.
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tfc.base.clean_text import clean
from tfc.base.errors import DataError
from tfc.config import DataConfig
from tfc.data.dataset import Dataset, checked_dataset
from tfc.data.input_kinds import SEQUENCE
from tfc.data.restricted_pickle import ArraysOnly

FILE = "watch_dataset.npy"
INSTALL = "pip install --no-deps seglearn==1.2.5"
WINDOW, HOP = 100, 50
"""Steps of a window, 2 s, and from one window to the next: windows overlap by half."""
AXES = 6
SCALES = np.array([1.0, 1.0, 1.0, 3.0, 3.0, 3.0], np.float32)
"""What readings are divided by: acceleration in g stays, rotation in radians per second gets a like spread."""
FOLDS = 5
"""Each fold holds out a fifth of the people for testing."""


def _file(data_dir: Path | None) -> Path:
    if data_dir is not None:
        places = [data_dir, data_dir / FILE]
    else:
        found = importlib.util.find_spec("seglearn")
        places = [Path(found.origin).parent / "data" / FILE] if found is not None and found.origin else []
    for place in places:
        if place.is_file():
            return place
    where = f" in {data_dir}" if data_dir is not None else ": the package seglearn, which ships it, is not installed"
    raise DataError(
        f"watch: no {FILE}{where}; '{INSTALL}' in this environment downloads it once (11 MB), or name its folder with "
        "--set data.data_dir=FOLDER"
    )


def _unpickled(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)  # type: ignore[no-untyped-call]
            if version != (1, 0):
                raise ValueError(f"version {version} of the NPY format")
            header = np.lib.format.read_array_header_1_0(file)  # type: ignore[no-untyped-call]
            shape, _, dtype = header
            if shape != () or not dtype.hasobject:
                raise ValueError(f"an array of {dtype}, shape {shape}, in place of a dictionary")
            return ArraysOnly(file, encoding="latin1").load().item()
    except Exception as error:  # a hostile pickle can raise anything
        raise DataError(f"{path}: not the recordings of seglearn's watch data set: {clean(error, 200)}") from error


def read_recordings(path: Path) -> tuple[list[np.ndarray], np.ndarray, np.ndarray, tuple[str, ...]]:
    """Reads the recordings.

    Args:
        path: The file.

    Returns:
        Recordings, float32 (steps, 6); their exercises and people, int64 (recordings,); the exercises' names.

    Raises:
        DataError: If it is something else.
    """
    found = _unpickled(path)
    try:
        signals = [np.asarray(signal, np.float32) for signal in found["X"]]
        exercises, people = (np.asarray(found[name], np.float64) for name in ("y", "subject"))
        names = tuple(str(name) for name in found["y_labels"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: has no entries X, y, subject, y_labels of recordings: {clean(error, 200)}") from error
    for name, values in (("y", exercises), ("subject", people)):
        if values.shape != (len(signals),) or not np.array_equal(values, np.rint(values)):
            raise DataError(
                f"{path}: its entry '{name}' must hold a whole number for each of {len(signals)} recordings"
            )
    for number, signal in enumerate(signals):
        if signal.ndim != 2 or signal.shape[1] != AXES or len(signal) < WINDOW or not np.isfinite(signal).all():
            raise DataError(
                f"{path}: recording {number} must be finite, of shape (steps, {AXES}) with at least {WINDOW} steps; "
                f"found shape {signal.shape}"
            )
    return signals, exercises.astype(np.int64), people.astype(np.int64), names


def windows_of(signal: np.ndarray) -> np.ndarray:
    """Returns a recording's windows, float32 (windows, 100, 6); what is left at its end is dropped.

    Args:
        signal: float32 (steps, 6).
    """
    views = np.lib.stride_tricks.sliding_window_view(signal / SCALES, WINDOW, axis=0)[::HOP]
    return np.ascontiguousarray(views.transpose(0, 2, 1))


def held_out(people: np.ndarray, fold: int) -> np.ndarray:
    """Returns which people a fold holds out: every fifth, from the fold's number on.

    Args:
        people: Numbers of the people, any order, repeated.
        fold: 0 to 4; -1 stands for the first.

    Examples:
        >>> import numpy as np
        >>> held_out(np.arange(1, 11), 1).tolist()
        [2, 7]
    """
    return np.asarray(np.unique(people)[max(fold, 0) :: FOLDS])


def watch(data_dir: Path | None = None, data: DataConfig | None = None) -> Dataset:
    """Loads the exercises: windows of 2 s of six axes, seven classes; people are the owners, some are held out.

    Args:
        data_dir: The file, or its folder; where None, the installed package `seglearn`.
        data: Its `fold` says who is held out for testing.

    Raises:
        DataError: If the file is missing or holds something else, or a fold leaves nobody.
    """
    path = _file(data_dir)
    signals, exercises, people, names = read_recordings(path)
    out = held_out(people, (data or DataConfig()).fold)
    if not 0 < len(out) < len(np.unique(people)):
        raise DataError(f"{path}: {len(np.unique(people))} people are too few for {FOLDS} folds")
    windows = [windows_of(signal) for signal in signals]
    counts = [len(each) for each in windows]
    x, y, owners = np.concatenate(windows), np.repeat(exercises, counts), np.repeat(people, counts)
    test = np.isin(owners, out)
    arrays = {"x_train": x[~test], "y_train": y[~test], "x_test": x[test], "y_test": y[test]}
    dataset = checked_dataset("watch", arrays, str(path), class_names=names, kind=SEQUENCE)
    return replace(dataset, owners=owners[~test].astype(np.int32))
