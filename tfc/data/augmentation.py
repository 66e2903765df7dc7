"""Random changes of training images; each draw is a function of (seed, round, client, step)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfc.registries import AUGMENTATIONS
from tfc.seeds import Purpose, stateless

PADDING = 4
"""Pixels of zeros around an image before a crop of its own size."""
HOLE = 16
"""Height and width of what cutout sets to zero, pixels."""

Augmentation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""(images of one step, seed of shape (2,)) -> images of the same shape."""


@tf.autograph.experimental.do_not_convert
def flip_crop_cutout(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Mirrors half of the images, moves each by up to 4 pixels, and sets a square of 16x16 in each to zero.

    Sources: flip and padded crop, He et al. (arXiv 1512.03385, section 4.2); DeVries and Taylor, "Improved
    Regularization of Convolutional Neural Networks with Cutout" (arXiv 1708.04552): the square's centre lies anywhere
    in the image, so parts of it may lie outside.

    Args:
        x: float32 (batch, height, width, channels).
        seed: int32, shape (2,); equal seeds give equal changes.
    """
    batch, height, width = tf.shape(x)[0], x.shape[1], x.shape[2]

    def draw(purpose: int, limit: int) -> tf.Tensor:
        folded = tf.random.experimental.stateless_fold_in(seed, purpose)
        return tf.random.stateless_uniform([batch], folded, 0, limit, tf.int32)

    x = tf.where(tf.equal(draw(0, 2), 1)[:, None, None, None], x[:, :, ::-1], x)
    padded = tf.pad(x, [[0, 0], [PADDING, PADDING], [PADDING, PADDING], [0, 0]])
    rows = draw(1, 2 * PADDING + 1)[:, None] + tf.range(height)
    columns = draw(2, 2 * PADDING + 1)[:, None] + tf.range(width)
    cropped = tf.gather(tf.gather(padded, rows, axis=1, batch_dims=1), columns, axis=2, batch_dims=1)

    def inside(centre: tf.Tensor, size: int) -> tf.Tensor:
        offset = tf.range(size) - centre[:, None]
        return (offset >= -HOLE // 2) & (offset < HOLE // 2)

    hole = inside(draw(3, height), height)[:, :, None] & inside(draw(4, width), width)[:, None, :]
    return tf.where(hole[..., None], tf.zeros_like(cropped), cropped)


def unchanged(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Returns images as they are.

    Args:
        x: float32 (batch, height, width, channels).
        seed: Unused.
    """
    return x


def augmentation_of_steps(name: str, seed: int, *keys: Any) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Returns a function (images, number of the step in the round) -> images.

    Args:
        name: A key of `AUGMENTATIONS`.
        seed: Seed of the run.
        *keys: Round and client.
    """
    return lambda x, step: AUGMENTATIONS[name](x, stateless(seed, Purpose.AUGMENTATION, *keys, step))
