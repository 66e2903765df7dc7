"""Labels as people have them, as classes counted from 0: columns, one-hot rows, whole floats, names."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from tfc.base.errors import DataError

_LOG = logging.getLogger(__name__)
_SHOWN = 5


class Labels(NamedTuple):
    """Classes of a data set.

    Attributes:
        train: int32, shape (training examples,).
        test: int32, shape (test examples,).
        num_classes: Number of classes.
        class_names: Their names in order; empty where they have none.
    """

    train: np.ndarray
    test: np.ndarray
    num_classes: int
    class_names: tuple[str, ...]


def class_labels(
    y_train: np.ndarray, y_test: np.ndarray, source: str, class_names: Sequence[str] = (), num_classes: int = 0
) -> Labels:
    """Returns labels as int32 classes that count from 0.

    Args:
        y_train: Integers, whole floats, booleans or texts of shape (examples,) or (examples, 1), or one-hot rows of
            shape (examples, classes).
        y_test: The same.
        source: Where they are from, for errors.
        class_names: Names of the classes in their order; where empty and labels are texts, these in sorted order.
        num_classes: Number of classes; 0 for as many as there are names or columns, or as the largest class asks for.

    Raises:
        DataError: If they are nothing of this, do not count from 0, are out of range, or the test set has classes that
            nothing is trained for.
    """
    (train, columns), (test, test_columns) = (
        _one_per_example(y, f"{source}: y_{part}") for part, y in (("train", y_train), ("test", y_test))
    )
    if columns != test_columns:
        raise DataError(f"{source}: y_train has shape {y_train.shape}, y_test {y_test.shape}: both must be alike")
    if (train.dtype.kind == "U") != (test.dtype.kind == "U"):
        raise DataError(f"{source}: y_train is {train.dtype}, y_test {test.dtype}: both must be names, or numbers")
    names = tuple(map(str, class_names))
    if train.dtype.kind == "U":
        names = names or tuple(np.unique(train).tolist())
        train, test = (_numbered(y, names, f"{source}: y_{part}") for part, y in (("train", train), ("test", test)))
    known = num_classes or len(names) or columns
    found = np.unique(np.concatenate([train, test]))
    low, high = int(found[0]), int(found[-1])
    if low < 0:
        raise DataError(f"{source}: class {low} is negative; classes count from 0, labels run from {low} to {high}")
    if low > 0 and not known:
        raise DataError(
            f"{source}: labels run from {low} to {high}, and classes count from 0: subtract the smallest from y_train "
            "and y_test (y - y.min()), or give the names of all classes"
        )
    total = known or high + 1
    if high >= total:
        raise DataError(f"{source}: class {high} found, but there are {total} classes, counted from 0")
    if total < 2:
        raise DataError(f"{source}: every label is {low}: classification needs two classes")
    _check_coverage(train, test, total, source, known=bool(known), names=names)
    return Labels(train.astype(np.int32), test.astype(np.int32), total, names)


def _one_per_example(y: np.ndarray, where: str) -> tuple[np.ndarray, int]:
    """Returns int64 classes or texts of shape (examples,), and the number of one-hot columns, 0 for none."""
    if y.ndim == 2 and y.shape[1] == 1:  # the Keras convention for CIFAR
        y = y[:, 0]
    if y.dtype == object:
        texts = [label.decode("utf-8", "replace") if isinstance(label, bytes) else label for label in y.ravel()]
        wrong = next((row for row, label in enumerate(texts) if not isinstance(label, str)), None)
        if wrong is not None:
            raise DataError(
                f"{where} is an array of Python objects, such as {type(texts[wrong]).__name__} in place {wrong}: "
                "labels are integers or texts"
            )
        y = np.array(texts).reshape(y.shape)
    if y.dtype.kind == "S":
        y = np.char.decode(y, "utf-8", "replace")
    if y.ndim not in (1, 2) or y.dtype.kind not in "Ubiuf":
        raise DataError(
            f"{where} must be integers or names of shape (examples,), or one-hot (examples, classes), found {y.dtype} "
            f"{y.shape}"
        )
    if y.ndim == 1:
        return (y if y.dtype.kind == "U" else _whole(y, where)), 0
    one_hot = (y == 1).sum(axis=1) == 1 if y.dtype.kind != "U" else np.zeros(len(y), bool)
    one_hot &= ((y == 0) | (y == 1)).all(axis=1) if one_hot.any() else False
    if not one_hot.all():
        raise DataError(
            f"{where} has shape {y.shape}, and row {int(np.argmin(one_hot))} is not one-hot (a single 1, else 0): one "
            "class per example is supported"
        )
    return y.argmax(axis=1), y.shape[1]


def _whole(y: np.ndarray, where: str) -> np.ndarray:
    wrong = ~(np.isfinite(y) & (y == np.rint(y))) if y.dtype.kind == "f" else np.zeros(len(y), bool)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"{where} must be integers (classes), found {y[row]:g} in row {row}; targets of a regression are not "
            "supported"
        )
    return y.astype(np.int64)


def _numbered(y: np.ndarray, names: tuple[str, ...], where: str) -> np.ndarray:
    number = {name: index for index, name in enumerate(names)}
    unknown = sorted(set(np.unique(y).tolist()) - set(number))
    if unknown:
        raise DataError(f"{where} has labels that are no class of the training set: {_listed(unknown)}")
    found, places = np.unique(y, return_inverse=True)
    return np.array([number[name] for name in found.tolist()], np.int64)[places.reshape(-1)]


def _check_coverage(
    train: np.ndarray, test: np.ndarray, total: int, source: str, *, known: bool, names: tuple[str, ...]
) -> None:
    """Refuses test classes that nothing is trained for, where the number of classes was a guess, and else says so."""
    trained, tested = np.unique(train), np.unique(test)
    untrained = [names[label] if names else label for label in np.setdiff1d(tested, trained).tolist()]
    if untrained and not known:
        raise DataError(f"{source}: y_test has classes that y_train lacks: {_listed(untrained)}")
    if untrained:
        _LOG.warning("%s: y_test has classes that y_train lacks: %s", source, _listed(untrained))
    elif not known and len(trained) < total:
        missing = np.setdiff1d(np.arange(total), trained)
        _LOG.warning(
            "%s: labels up to %d make %d classes, of which %d have no example: %s",
            source, total - 1, total, len(missing), _listed(missing.tolist()),
        )  # fmt: skip


def _listed(items: Iterable[object]) -> str:
    items = list(items)
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(map(str, items[:_SHOWN])) + more
