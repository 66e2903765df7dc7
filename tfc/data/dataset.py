"""A classification data set in memory, and what every loader's arrays are held against."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfc.base.errors import DataError
from tfc.data.input_kinds import AUTO, IMAGE, LOG_MEL, chosen_kind, warn_of_undivided_pixels
from tfc.data.labels import class_labels
from tfc.registries import INPUT_KINDS

__all__ = ["IMAGE", "LOG_MEL", "Dataset", "checked_dataset", "resized"]


@dataclass(frozen=True)
class Dataset:
    """A classification data set in memory.

    Attributes:
        name: Name in `DATASETS`.
        x_train: Training inputs, uint8, float32 or int32; uint8 stands for value / 255. Images have shape (examples,
            height, width, channels), sequences (examples, steps, features), tables (examples, features). Tokens are
            int32 (examples, steps). Audio comes as log-mel features, float32 (examples, frames, bins, 1).
        y_train: Classes, int32, shape (examples,), 0 to num_classes - 1.
        x_test: Test inputs; they stay at the server.
        y_test: Test classes.
        num_classes: Number of classes.
        kind: What inputs are, a name in `INPUT_KINDS` or `LOG_MEL`.
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
        DataError: If inputs are no images, images are larger already, or channels do not divide.
    """
    if not image_size and not channels:
        return dataset
    if dataset.kind != IMAGE:
        name = "data.image_size" if image_size else "data.channels"
        raise DataError(f"{name} is for images; {dataset.name} holds inputs of kind {dataset.kind}")
    height, width, depth = dataset.input_shape
    size, count = (image_size or max(height, width)), channels or depth
    if image_size and max(height, width) > size:
        raise DataError(f"data.image_size = {image_size} is less than the images of {dataset.name}, {height}x{width}")
    if count % depth:
        raise DataError(f"data.channels = {channels} is no multiple of the {depth} channels of {dataset.name}")
    above, left = ((size - height) // 2, (size - width) // 2) if image_size else (0, 0)
    below, right = (size - height - above, size - width - left) if image_size else (0, 0)

    def change(x: np.ndarray) -> np.ndarray:
        padded = np.pad(x, ((0, 0), (above, below), (left, right), (0, 0))) if image_size else x
        if depth == 1:
            # A view: clients copy what they hold of it, so that the other examples take no memory for more channels.
            return np.broadcast_to(padded, (*padded.shape[:-1], count))
        return np.repeat(padded, count // depth, axis=-1) if count != depth else padded

    return dataclasses.replace(dataset, x_train=change(dataset.x_train), x_test=change(dataset.x_test))


def checked_dataset(
    name: str,
    arrays: Mapping[str, np.ndarray],
    source: str,
    *,
    class_names: Sequence[str] = (),
    num_classes: int = 0,
    kind: str = AUTO,
) -> Dataset:
    """Checks that four arrays are a classification data set and gives them their final types.

    Args:
        name: Name in `DATASETS`.
        arrays: x_train, y_train, x_test, y_test; x as its kind takes it, y as `class_labels` does.
        source: Where they are from, for errors.
        class_names: Names of the classes.
        num_classes: Number of classes; 0 for as many as there are names, or as the largest class asks for.
        kind: What inputs are, a name in `INPUT_KINDS`; `auto` takes two axes for tables, three or four for images.

    Raises:
        DataError: If they do not fit each other, or a class is out of range.
    """
    inputs = {}
    found_kind = kind
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if not x.ndim or not y.ndim or len(x) != len(y) or not len(x):
            counts = [len(array) if array.ndim else 0 for array in (x, y)]
            raise DataError(
                f"{source}: x_{part} has {counts[0]} examples and y_{part} {counts[1]}; both need as many, over 0"
            )
        if part == "train":
            found_kind = chosen_kind(kind, x, f"{source}: x_train")
        inputs[part] = INPUT_KINDS[found_kind](x, f"{source}: x_{part}")
    train, test = inputs["train"], inputs["test"]
    if train.shape[1:] != test.shape[1:]:
        raise DataError(
            f"{source}: training and test inputs differ in shape: {train.shape[1:]} and {test.shape[1:]} per example"
        )
    if not all(train.shape):
        raise DataError(f"{source}: inputs of shape {train.shape[1:]} hold nothing")
    if train.dtype != test.dtype:
        raise DataError(f"{source}: training inputs are {train.dtype}, test inputs {test.dtype}")
    if found_kind == IMAGE:
        warn_of_undivided_pixels(train, f"{source}: x_train")
    labels = class_labels(arrays["y_train"], arrays["y_test"], source, class_names, num_classes)
    return Dataset(
        name, train, labels.train, test, labels.test, labels.num_classes, found_kind, class_names=labels.class_names
    )
