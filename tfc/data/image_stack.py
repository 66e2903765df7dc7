"""Images of one size in one array, from images that may differ."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from tfc.base.errors import DataError


def stacked_images(images: Iterable[tuple[str, np.ndarray]], image_size: int, source: str) -> np.ndarray:
    """Joins images into one array.

    Args:
        images: (name, image of shape (height, width[, channels])) each; uint8 stays uint8.
        image_size: Height and width that all are resized to, pixels; 0 where all have one size already.
        source: Where they are from, for errors.

    Returns:
        Array (examples, height, width, channels).

    Raises:
        DataError: If there is none, or two differ in shape; names the first two that do.
    """
    found: list[np.ndarray] = []
    first = ""
    for name, image in images:
        image = image[..., None] if image.ndim == 2 else image
        if image.ndim != 3:
            raise DataError(f"{source}: {name} has shape {image.shape}, an image (height, width[, channels])")
        if image_size and image.shape[:2] != (image_size, image_size):
            image = _resized(image, image_size)
        first = first or name
        if found and image.shape != found[0].shape:
            same = image.shape[:2] == found[0].shape[:2]
            key = "data.channels (1 or 3)" if same else "data.image_size"
            raise DataError(
                f"{source}: images differ: {first} has shape {_shape(found[0])}, {name} {_shape(image)}: set {key} to "
                "bring all to one"
            )
        found.append(image)
    if not found:
        raise DataError(f"{source}: holds no image")
    return np.stack(found)


def _shape(image: np.ndarray) -> str:
    return "x".join(map(str, image.shape))


def _resized(image: np.ndarray, size: int) -> np.ndarray:
    # Antialiasing: without it, a small picture of a photograph is a sample of its pixels.
    changed = tf.image.resize(image, [size, size], antialias=True).numpy()
    return np.clip(np.rint(changed), 0, 255).astype(np.uint8) if image.dtype == np.uint8 else changed
