"""A test part for data that have none."""

from __future__ import annotations

import numpy as np

from tfc.base.errors import DataError
from tfc.seeds import Purpose, generator

_SEED = 0
"""Not the run's seed: runs of different seeds are compared on the same test examples."""


def held_out_rows(x: np.ndarray, y: np.ndarray, fraction: float, source: str) -> np.ndarray:
    """Chooses test examples at random, the same share of each class; every class keeps one for training.

    Args:
        x: Inputs, shape (examples, ...).
        y: Labels in any form that `class_labels` takes, shape (examples, ...).
        fraction: Share of a class, over 0 and below 1, rounded to whole examples.
        source: Where they are from, for errors.

    Returns:
        bool array (examples,), True for test examples.

    Raises:
        DataError: If there are not as many labels as inputs, or the share is less than one example.
    """
    if not x.ndim or not y.ndim or len(x) != len(y):
        counts = [len(array) if array.ndim else 0 for array in (x, y)]
        raise DataError(f"{source}: x_train has {counts[0]} examples and y_train {counts[1]}; both need as many")
    classes = np.unique(y.astype(str) if y.dtype == object else y, axis=0, return_inverse=True)[1].reshape(-1)
    chosen = np.zeros(len(y), bool)
    for label in range(classes.max(initial=-1) + 1):
        members = np.flatnonzero(classes == label)
        count = min(round(fraction * len(members)), len(members) - 1)
        chosen[generator(_SEED, Purpose.TEST_SPLIT, label).permutation(members)[:count]] = True
    if not chosen.any():
        raise DataError(f"{source}: data.test_fraction = {fraction:g} of any class is less than one example: raise it")
    return chosen
