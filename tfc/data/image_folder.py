"""A folder of images per class."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfc.base.errors import DataError
from tfc.config import DataConfig
from tfc.data.dataset import Dataset
from tfc.data.examples import Examples, dataset_of
from tfc.data.image_stack import stacked_images

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
_DECODED_CHANNELS = (1, 3)


def images(data_dir: Path | None = None, data: DataConfig | None = None) -> Dataset:
    """Loads FOLDER/train/CLASS/*.png and FOLDER/test/CLASS/*.png, or FOLDER/CLASS/*.png with data.test_fraction.

    Class names are the names of the folders, in sorted order.

    Args:
        data_dir: The folder.
        data: image_size (all images are resized to it), channels, test_fraction.

    Raises:
        DataError: If there is no such folder, it has no images, a damaged one, or some that differ in shape.
    """
    data = data or DataConfig()
    if data_dir is None:
        raise DataError("dataset images needs its folder: --set data.data_dir=FOLDER")
    if not data_dir.is_dir():
        raise DataError(
            f"{data_dir}: no such folder; data.dataset=images takes FOLDER/train/CLASS and FOLDER/test/CLASS"
        )
    if not (data_dir / "train").is_dir():
        return dataset_of("images", _read(data_dir, _classes(data_dir), data), None, str(data_dir), data)
    classes = _classes(data_dir / "train")
    train = _read(data_dir / "train", classes, data)
    test = None
    if (data_dir / "test").is_dir():
        unknown = sorted(set(_classes(data_dir / "test")) - set(classes))
        if unknown:
            raise DataError(f"{data_dir / 'test'}: {', '.join(unknown)}: no class of {data_dir / 'train'}")
        test = _read(data_dir / "test", classes, data)
    return dataset_of("images", train, test, str(data_dir), data)


def _classes(folder: Path) -> tuple[str, ...]:
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not names:
        raise DataError(f"{folder}: has no folder per class, such as {folder.name}/cat and {folder.name}/dog")
    return tuple(names)


def _read(folder: Path, classes: tuple[str, ...], data: DataConfig) -> Examples:
    files = [
        (path, label)
        for label, name in enumerate(classes)
        if (folder / name).is_dir()
        for path in sorted((folder / name).rglob("*"))
        if path.suffix.lower() in SUFFIXES
    ]
    if not files:
        raise DataError(f"{folder}: holds no image ({', '.join(SUFFIXES)}) in its folders {', '.join(classes)}")
    x = stacked_images(_decoded([path for path, _ in files], folder, data.channels), data.image_size, str(folder))
    return Examples(x, np.array([label for _, label in files]), class_names=classes)


def _decoded(paths: list[Path], folder: Path, channels: int) -> Iterator[tuple[str, np.ndarray]]:
    wanted = channels if channels in _DECODED_CHANNELS else 0
    for path in paths:
        try:
            image = tf.io.decode_image(tf.io.read_file(str(path)), wanted, expand_animations=False)
        except tf.errors.OpError as error:
            raise DataError(f"{path}: not a readable image: {str(error).splitlines()[0]}") from error
        yield str(path.relative_to(folder)), image.numpy()
