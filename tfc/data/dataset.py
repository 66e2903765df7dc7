"""A classification data set in memory, and what every loader's arrays are held against."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfc.base.errors import DataError

IMAGE, LOG_MEL = "image", "log-mel"


@dataclass(frozen=True)
class Dataset:
    """A classification data set in memory.

    Attributes:
        name: Name in `DATASETS`.
        x_train: Training inputs, uint8 or float32, shape (examples, height, width, channels); uint8 stands for
            value / 255. Audio comes as log-mel features, float32 (examples, frames, bins, 1).
        y_train: Classes, int32, shape (examples,), 0 to num_classes - 1.
        x_test: Test inputs; they stay at the server.
        y_test: Test classes.
        num_classes: Number of classes.
        kind: What inputs are, `IMAGE` or `LOG_MEL`.
        owners: int32, shape (training examples,): who made each one, such as its speaker; None where nobody knows.
        class_names: Names of the classes in their order; empty where they have none.
        synthetic: Whether a program made the examples up.

    Examples:
        >>> import tfc
        >>> dataset = tfc.load_dataset(tfc.load("demo"))
        >>> dataset.name, dataset.input_shape, dataset.num_classes
        ('mnist5k', (28, 28, 1), 10)
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    num_classes: int
    kind: str = IMAGE
    owners: np.ndarray | None = None
    class_names: tuple[str, ...] = ()
    synthetic: bool = False

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


def checked_dataset(
    name: str,
    arrays: dict[str, np.ndarray],
    source: str,
    *,
    class_names: Sequence[str] = (),
    num_classes: int = 0,
) -> Dataset:
    """Checks that four arrays are a classification data set and gives them their final types.

    Args:
        name: Name in `DATASETS`.
        arrays: x_train, y_train, x_test, y_test; x of shape (examples, height, width[, channels]), y of integers,
            shape (examples,) or (examples, 1).
        source: Where they are from, for errors.
        class_names: Names of the classes.
        num_classes: Number of classes; 0 for as many as there are names, or as the largest class asks for.

    Raises:
        DataError: If they do not fit each other, or a class is out of range.
    """
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
    known = num_classes or len(class_names) or int(labels.max()) + 1
    if labels.max() >= known:
        raise DataError(f"{source}: class {labels.max()} found, but {name} has {known} classes, counted from 0")
    return Dataset(
        name,
        arrays["x_train"],
        arrays["y_train"].astype(np.int32),
        arrays["x_test"],
        arrays["y_test"].astype(np.int32),
        known,
        class_names=tuple(class_names),
    )
