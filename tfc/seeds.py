"""All randomness of a run is a function of (seed, purpose, round, client): nothing depends on what ran before.

That makes a run repeatable, a resumed run equal to an uninterrupted one, and a client's draw independent of which
other clients were sampled.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # a replay draws the sampled clients, and does without TensorFlow
    import tensorflow as tf


class Purpose(enum.IntEnum):
    """What a stream of random numbers is for: streams of different purposes are independent."""

    PARTITION = 1
    VALIDATION = 2
    CLIENT_SAMPLING = 3
    SHUFFLE = 4
    CENTROIDS = 5
    OOD = 6
    CALIBRATION = 7
    ROTATION = 8
    DATASET = 9
    AUGMENTATION = 10
    FAULTS = 11
    SPEED = 12
    LAYERS = 13
    TEST_SPLIT = 14


def generator(seed: int, purpose: Purpose, *keys: int) -> np.random.Generator:
    """Returns a NumPy generator for one purpose.

    Args:
        seed: Seed of the run.
        purpose: What the numbers are for.
        *keys: What they belong to, such as a round and a client.
    """
    return np.random.default_rng([seed, int(purpose), *keys])


def stateless(seed: int, purpose: Purpose, *keys: Any) -> tf.Tensor:
    """Returns a seed for `tf.random.stateless_*` ops.

    Args:
        seed: Seed of the run, a Python integer.
        purpose: What the numbers are for.
        *keys: Integer scalars, Python or tensors: round, client, epoch, kernel.

    Returns:
        int32 tensor of shape (2,).
    """
    import tensorflow as tf

    folded = tf.constant([seed & 0x7FFFFFFF, int(purpose)], tf.int32)
    for key in keys:
        folded = tf.random.experimental.stateless_fold_in(folded, tf.cast(key, tf.int32))
    return folded


def hashed(seed: int, purpose: Purpose, *keys: Any) -> tf.Tensor:
    """Returns a number that fits into 32 bits of a message, int64 scalar at least 0.

    Args:
        seed: Seed of the run, a Python integer.
        purpose: What the number is for.
        *keys: Integer scalars, Python or tensors.
    """
    import tensorflow as tf

    folded = tf.cast(stateless(seed, purpose, *keys), tf.int64)
    return tf.bitwise.bitwise_and(tf.bitwise.bitwise_xor(folded[0], folded[1]), 0xFFFFFFFF)
