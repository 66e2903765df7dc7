"""Own client splits: an owner for each training example, or the example numbers of each client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfc.base.errors import DataError
from tfc.data.examples import NOBODY


def numbered_owners(owners: Any, count: int, source: str) -> np.ndarray:
    """Returns owners as numbers from 0, in the order of their names.

    Args:
        owners: Integers or texts, one for each training example.
        count: Number of training examples.
        source: Where they are from, for errors.

    Returns:
        int32 array (count,).

    Raises:
        DataError: If they are something else, or not as many as there are training examples.
    """
    found = np.asarray(owners)
    if found.dtype == object and all(isinstance(owner, str) for owner in found.ravel()):
        found = found.astype(str)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.shape != (count,):
        raise DataError(
            f"{source}: owners has shape {found.shape}; one for each of the {count} training examples is needed"
        )
    if found.dtype.kind not in "iuUS":
        raise DataError(f"{source}: owners must be integers or texts, found {found.dtype}")
    return np.unique(found, return_inverse=True)[1].reshape(-1).astype(np.int32)


def owners_of_clients(clients: Sequence[Any], count: int, source: str) -> np.ndarray:
    """Returns the number of the client that holds each training example; `NOBODY` where no client does.

    Args:
        clients: One array of example numbers per client.
        count: Number of training examples.
        source: Where they are from, for errors.

    Returns:
        int32 array (count,).

    Raises:
        DataError: If a client is empty, or a number is none, out of range, or there twice.
    """
    owners = np.full(count, NOBODY, np.int32)
    if not len(clients):
        raise DataError(f"{source}: clients is empty; it lists one array of example numbers per client")
    for number, given in enumerate(clients):
        rows = np.asarray(given)
        if not rows.size:
            raise DataError(f"{source}: clients[{number}] is empty: leave that client out")
        if rows.ndim != 1 or not np.issubdtype(rows.dtype, np.integer):
            raise DataError(
                f"{source}: clients[{number}] must be integers (example numbers) of shape (examples,), found "
                f"{rows.dtype} {rows.shape}"
            )
        if rows.min() < 0 or rows.max() >= count:
            wrong = rows[(rows < 0) | (rows >= count)][0]
            raise DataError(f"{source}: clients[{number}] holds example {wrong}; there are 0 to {count - 1}")
        values, times = np.unique(rows, return_counts=True)
        if times.max() > 1:
            raise DataError(f"{source}: clients[{number}] holds example {values[np.argmax(times)]} twice")
        taken = values[owners[values] != NOBODY]
        if taken.size:
            raise DataError(
                f"{source}: example {taken[0]} is at two clients, clients[{owners[taken[0]]}] and clients[{number}]"
            )
        owners[values] = number
    return owners
