"""A palette's kernel in TensorFlow ops."""

from __future__ import annotations

import tensorflow as tf

from tfc.codec.palette import Palette


def dequantize(palette: Palette) -> tf.Tensor:
    """Returns the kernel that a palette stands for, a float32 tensor of the indices' shape.

    Args:
        palette: Codebook (max_clusters,) float32 and indices uint8 of any shape, as tensors.
    """
    return tf.gather(palette.codebook, tf.cast(palette.indices, tf.int32))
