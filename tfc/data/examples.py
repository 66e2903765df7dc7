"""Examples as a reader found them, and how a training and a test part of them become a data set."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfc.base.errors import DataError
from tfc.config import DataConfig
from tfc.data.dataset import Dataset, checked_dataset
from tfc.data.held_out import held_out_rows

NOBODY = -1
"""Owner of an example that no client has."""


@dataclass(frozen=True)
class Examples:
    """A part of a data set, not yet checked.

    Attributes:
        x: Inputs, shape (examples, ...).
        y: Labels in any form that `class_labels` takes.
        owners: int array (examples,): who made each one, `NOBODY` for examples that are left out; None where nobody
            knows.
        class_names: Names of the classes in their order; empty where they have none.
    """

    x: np.ndarray
    y: np.ndarray
    owners: np.ndarray | None = None
    class_names: tuple[str, ...] = ()


def dataset_of(
    name: str,
    train: Examples,
    test: Examples | None,
    source: str,
    data: DataConfig,
    *,
    class_names: Sequence[str] = (),
) -> Dataset:
    """Returns the data set of a training and a test part; where there is none, it is split off.

    Args:
        name: Name of the data set.
        train: For the clients.
        test: For the server; None to take `data.test_fraction` of each class of `train`.
        source: Where they are from, for errors.
        data: kind, test_fraction.
        class_names: Names of the classes; empty for those that the parts know.

    Raises:
        DataError: If the parts do not fit each other, or a test part and a fraction for one are both there or both
            missing.
    """
    if test is None:
        if not data.test_fraction:
            raise DataError(
                f"{source}: has no test part: add one, or set data.test_fraction (such as 0.2) to split it off"
            )
        chosen = held_out_rows(train.x, train.y, data.test_fraction, source)
        test = Examples(train.x[chosen], train.y[chosen])
        train = dataclasses.replace(
            train,
            x=train.x[~chosen],
            y=train.y[~chosen],
            owners=None if train.owners is None else train.owners[~chosen],
        )
    elif data.test_fraction:
        raise DataError(
            f"{source}: has a test part, so data.test_fraction = {data.test_fraction:g} has nothing to do: set it to 0"
        )
    arrays = {"x_train": train.x, "y_train": train.y, "x_test": test.x, "y_test": test.y}
    names = tuple(class_names) or train.class_names
    dataset = checked_dataset(name, arrays, source, class_names=names, kind=data.kind)
    return dataset if train.owners is None else owned(dataset, train.owners, source)


def owned(dataset: Dataset, owners: np.ndarray, source: str) -> Dataset:
    """Returns a data set whose training examples have owners; those of `NOBODY` are left out.

    Args:
        dataset: Any.
        owners: int array, one for each training example.
        source: Where they are from, for errors.

    Raises:
        DataError: If there are not as many owners as training examples.
    """
    if owners.shape != dataset.y_train.shape:
        raise DataError(
            f"{source}: owners has shape {owners.shape}; one for each of the {len(dataset.y_train)} training examples "
            "is needed"
        )
    kept = owners != NOBODY
    if kept.all():
        return dataclasses.replace(dataset, owners=owners.astype(np.int32))
    return dataclasses.replace(
        dataset, x_train=dataset.x_train[kept], y_train=dataset.y_train[kept], owners=owners[kept].astype(np.int32)
    )
