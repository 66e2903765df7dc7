"""CIFAR-10 and CIFAR-100 from their Python pickles, read without running what a pickle may ask for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfc.base.clean_text import clean
from tfc.base.errors import DataError
from tfc.config import DataConfig
from tfc.data.dataset import Dataset, checked_dataset
from tfc.data.restricted_pickle import ArraysOnly

_HOME = "https://www.cs.toronto.edu/~kriz/cifar.html"
_SIDE = 32
_OBJECTS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_FINE_CLASSES = 100


def _unpickled(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            return ArraysOnly(file, encoding="bytes").load()
    except Exception as error:  # a hostile pickle can raise anything
        raise DataError(f"{path}: not a readable batch of CIFAR: {clean(error, 200)}") from error


def read_batch(path: Path, labels_key: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Reads one file of CIFAR.

    Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009), and the data set's page: a
    dictionary with rows of 3,072 bytes, the red plane first, and a list of classes.

    Args:
        path: The pickle.
        labels_key: Entry of the classes: b"labels" or b"fine_labels".

    Returns:
        Images, uint8 (examples, 32, 32, 3), and classes, int64 (examples,).

    Raises:
        DataError: If the file is damaged, asks for code, or holds something else.
    """
    batch = _unpickled(path)
    found = batch.get(b"data") if isinstance(batch, dict) else None
    rows = np.asarray(found) if isinstance(found, np.ndarray) else None
    labels = batch.get(labels_key) if isinstance(batch, dict) else None
    if rows is None or rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != 3 * _SIDE**2:
        raise DataError(f"{path}: its entry 'data' must be uint8 of shape (examples, {3 * _SIDE**2})")
    if (
        not isinstance(labels, list)
        or not all(type(label) is int and 0 <= label < _FINE_CLASSES for label in labels)
        or len(labels) != len(rows)
    ):
        raise DataError(f"{path}: its entry '{labels_key.decode()}' must list one whole number for each image, 0 to 99")
    return rows.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1), np.array(labels, np.int64)


def _fine_names(path: Path) -> tuple[str, ...]:
    """Returns the names of CIFAR-100's fine classes from its file `meta`."""
    meta = _unpickled(path)
    names = meta.get(b"fine_label_names") if isinstance(meta, dict) else None
    if not isinstance(names, list) or len(names) != _FINE_CLASSES or not all(type(name) is bytes for name in names):
        raise DataError(f"{path}: its entry 'fine_label_names' must list {_FINE_CLASSES} names")
    return tuple(name.decode("utf-8", "replace") for name in names)


def _folder(name: str, folder_name: str, first_file: str, data_dir: Path | None) -> Path:
    places = [data_dir, data_dir / folder_name] if data_dir else [Path("~/.keras/datasets").expanduser() / folder_name]
    for place in places:
        if (place / first_file).is_file():
            return place
    raise DataError(
        f"{name}: {first_file} not found in {' or '.join(map(str, places))}: get the Python version from {_HOME}, "
        "unpack it, and name its folder with --set data.data_dir=FOLDER"
    )


def _load(name: str, folder: Path, train: Sequence[str], test: str, labels_key: bytes, names: Sequence[str]) -> Dataset:
    missing = [file for file in (*train, test) if not (folder / file).is_file()]
    if missing:
        raise DataError(f"{folder}: {', '.join(missing)} missing; {name} is at {_HOME}")
    batches = [read_batch(folder / file, labels_key) for file in train]
    x_test, y_test = read_batch(folder / test, labels_key)
    arrays = {
        "x_train": np.concatenate([x for x, _ in batches]),
        "y_train": np.concatenate([y for _, y in batches]),
        "x_test": np.ascontiguousarray(x_test),
        "y_test": y_test,
    }
    num_classes = _FINE_CLASSES if labels_key == b"fine_labels" else 0
    return checked_dataset(name, arrays, str(folder), class_names=names, num_classes=num_classes)


def cifar10(data_dir: Path | None = None, data: DataConfig | None = None) -> Dataset:
    """Loads CIFAR-10: 50,000 training and 10,000 test images of ten classes.

    Args:
        data_dir: Folder cifar-10-batches-py, or the one it is in; where None, the Keras cache.
        data: Unused; every loader takes the same arguments.

    Raises:
        DataError: If a file is missing or damaged.
    """
    folder = _folder("CIFAR-10", "cifar-10-batches-py", "data_batch_1", data_dir)
    train = [f"data_batch_{number}" for number in range(1, 6)]
    return _load("cifar10", folder, train, "test_batch", b"labels", _OBJECTS)


def cifar100(data_dir: Path | None = None, data: DataConfig | None = None) -> Dataset:
    """Loads CIFAR-100 with its hundred fine classes.

    Args:
        data_dir: Folder cifar-100-python, or the one it is in; where None, the Keras cache.
        data: Unused; every loader takes the same arguments.

    Raises:
        DataError: If a file is missing or damaged.
    """
    folder = _folder("CIFAR-100", "cifar-100-python", "train", data_dir)
    names = _fine_names(folder / "meta") if (folder / "meta").is_file() else ()
    return _load("cifar100", folder, ["train"], "test", b"fine_labels", names)
