"""Arrays under names, as an NPZ file or a dictionary holds them, as a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfc.base.errors import DataError
from tfc.config import DataConfig
from tfc.data.client_split import numbered_owners
from tfc.data.dataset import Dataset
from tfc.data.examples import Examples, dataset_of

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
OWNERS = ("owner", "owners")
CLASS_NAMES = "class_names"


def array_names(data: DataConfig) -> tuple[str, ...]:
    """Returns the names under which a file holds `ARRAYS`, in their order; two where it has no test part.

    Args:
        data: npz_keys.

    Raises:
        DataError: If data.npz_keys names neither four arrays nor two.
    """
    if not data.npz_keys:
        return ARRAYS
    names = tuple(name.strip() for name in data.npz_keys.split(","))
    if len(names) not in (2, 4) or not all(names) or len(set(names)) < len(names):
        raise DataError(
            "data.npz_keys must name four different arrays with commas between them, for x_train, y_train, x_test, "
            f"y_test, or the first two; found {data.npz_keys!r}"
        )
    return names


def wanted_names(held: Sequence[str], source: str, data: DataConfig) -> tuple[str, ...]:
    """Returns the names of the arrays to read: x_train's, y_train's, those of the test part if any, then others.

    Args:
        held: Names that there are.
        source: Where they are, for errors.
        data: npz_keys, test_fraction.

    Raises:
        DataError: If arrays are missing; says what there is.
    """
    names = array_names(data)
    train, test = names[:2], names[2:]
    if test and not any(name in held for name in test) and all(name in held for name in train):
        test = ()
    missing = [name for name in (*train, *test) if name not in held]
    if missing:
        there = ", ".join(held) or "nothing"
        advice = "" if data.npz_keys else "; other names are given with data.npz_keys"
        raise DataError(f"{source}: lacks {', '.join(missing)}; it holds {there}{advice}")
    return (*train, *test, *(name for name in (*OWNERS, CLASS_NAMES) if name in held and name not in names))


def dataset_of_arrays(
    name: str,
    arrays: Mapping[str, Any],
    source: str,
    data: DataConfig,
    *,
    class_names: Sequence[str] = (),
    owners: np.ndarray | None = None,
) -> Dataset:
    """Returns the data set that arrays under names hold.

    Args:
        name: Name of the data set.
        arrays: x_train, y_train, x_test, y_test or the names that data.npz_keys gives them; owner (or owners), an
            integer or a text for each training example, and class_names where they are known.
        source: Where they are from, for errors.
        data: npz_keys, kind, test_fraction.
        class_names: Names of the classes; empty for those that are among the arrays.
        owners: Owner of each training example as a number; None for those that are among the arrays.

    Raises:
        DataError: If arrays are missing or do not fit each other.
    """
    names = wanted_names(list(arrays), source, data)
    found = {key: as_array(arrays[key], f"{source}: {key}") for key in names}
    if owners is None and (held := [key for key in OWNERS if key in found]):
        owners = numbered_owners(found[held[0]], len(found[names[0]]) if found[names[0]].ndim else 0, source)
    own_names = found.get(CLASS_NAMES, np.array([], str)).ravel()
    named = tuple(class_names) or tuple(
        np.char.decode(own_names, "utf-8", "replace") if own_names.dtype.kind == "S" else own_names
    )
    parts = [key for key in names if key not in (*OWNERS, CLASS_NAMES)]
    train = Examples(found[parts[0]], found[parts[1]], owners, named)
    test = Examples(found[parts[2]], found[parts[3]]) if len(parts) > 2 else None
    return dataset_of(name, train, test, source, data)


def as_array(value: Any, where: str) -> np.ndarray:
    """Returns what NumPy makes of an array, a list, a tensor, or a frame.

    Args:
        value: Any.
        where: What to call it in an error.

    Raises:
        DataError: If it has no shape, such as lists of different lengths.
    """
    try:
        return np.asarray(value)
    except Exception as error:  # whatever the owner of __array__ raises
        lines = str(error).splitlines() or [type(error).__name__]
        raise DataError(f"{where}: can't be made an array: {lines[0]}") from error
