"""Divides a training set among clients."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfc.base.errors import DataError
from tfc.config import DataConfig
from tfc.data.dirichlet import balanced_dirichlet, dirichlet
from tfc.data.example_pool import check_enough
from tfc.data.skew import by_owner, by_quantity
from tfc.seeds import Purpose, generator


@dataclass(frozen=True)
class ClientExamples:
    """What one client holds.

    Attributes:
        x_train: Training inputs, shape (examples, *input_shape).
        y_train: Training classes, int32, shape (examples,).
        x_validation: Inputs for the validation accuracy and the representation quality score.
        y_validation: Their classes.

    Examples:
        >>> import numpy as np
        >>> import tfc
        >>> x, y = np.zeros((40, 28, 28, 1), np.uint8), np.zeros(40, np.int32)
        >>> examples = tfc.ClientExamples(x[:36], y[:36], x[36:], y[36:])
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_validation: np.ndarray
    y_validation: np.ndarray


def iid(labels: np.ndarray, num_clients: int, examples_per_client: int, seed: int) -> list[np.ndarray]:
    """Draws each client's examples uniformly without replacement.

    Args:
        labels: Classes of all training examples, shape (examples,).
        num_clients: Number of clients.
        examples_per_client: Examples of each; 0 divides all of them evenly.
        seed: Seed of the run.

    Returns:
        One int array of example numbers per client.

    Raises:
        DataError: If there are too few examples.
    """
    share = max(examples_per_client or len(labels) // num_clients, 1)
    check_enough(len(labels), num_clients, share, 0)
    order = generator(seed, Purpose.PARTITION).permutation(len(labels))
    return [order[client * share : (client + 1) * share] for client in range(num_clients)]


Partition = Callable[[np.ndarray, np.ndarray | None, DataConfig, int], list[np.ndarray]]
"""(labels, owners, configuration of the data, seed) -> example numbers of each client; `PARTITIONS` names them."""


def iid_partition(labels: np.ndarray, owners: np.ndarray | None, data: DataConfig, seed: int) -> list[np.ndarray]:
    """Divides as `iid` does, as configured."""
    return iid(labels, data.num_clients, data.examples_per_client, seed)


def dirichlet_partition(labels: np.ndarray, owners: np.ndarray | None, data: DataConfig, seed: int) -> list[np.ndarray]:
    """Divides as `tfc.data.dirichlet.dirichlet` does, as configured."""
    return dirichlet(labels, data.num_clients, data.examples_per_client, data.alpha, data.min_examples, seed)


def balanced_dirichlet_partition(
    labels: np.ndarray, owners: np.ndarray | None, data: DataConfig, seed: int
) -> list[np.ndarray]:
    """Divides as `tfc.data.dirichlet.balanced_dirichlet` does, as configured."""
    return balanced_dirichlet(labels, data.num_clients, data.examples_per_client, data.alpha, data.min_examples, seed)


def owner_partition(labels: np.ndarray, owners: np.ndarray | None, data: DataConfig, seed: int) -> list[np.ndarray]:
    """Divides as `tfc.data.skew.by_owner` does, as configured."""
    return by_owner(owners, data.num_clients, data.examples_per_client, data.min_examples, seed)


def quantity_partition(labels: np.ndarray, owners: np.ndarray | None, data: DataConfig, seed: int) -> list[np.ndarray]:
    """Divides as `tfc.data.skew.by_quantity` does, as configured."""
    return by_quantity(labels, data.num_clients, data.examples_per_client, data.quantity_sigma, data.min_examples, seed)


class Clients(Sequence[ClientExamples]):
    """What all clients hold, as example numbers; a client's examples are copied when it is asked for.

    So memory follows the clients of a round, not their number, and the data set is there once.
    """

    def __init__(
        self, x: np.ndarray, y: np.ndarray, parts: Sequence[np.ndarray], validation_fraction: float, seed: int
    ) -> None:
        """Splits each client's examples into a training and a validation part.

        Args:
            x: All training inputs, shape (examples, *input_shape).
            y: All training classes, int32, shape (examples,).
            parts: Example numbers of each client.
            validation_fraction: Share for validation, rounded up to whole examples.
            seed: Seed of the run.

        Raises:
            DataError: If no example is left for training.
        """
        self._x, self._y = x, y
        self._parts = [
            split_members(members, validation_fraction, seed, client) for client, members in enumerate(parts)
        ]

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, client: Any) -> Any:
        if isinstance(client, slice):
            return [self[number] for number in range(*client.indices(len(self)))]
        training, validation = self._parts[client]
        return ClientExamples(self._x[training], self._y[training], self._x[validation], self._y[validation])

    def class_counts(self, num_classes: int) -> np.ndarray:
        """Returns how many examples of each class each client holds, for training and validation together.

        Args:
            num_classes: Number of classes.

        Returns:
            int array (clients, classes).
        """
        return np.stack([np.bincount(self._y[np.concatenate(part)], minlength=num_classes) for part in self._parts])


def split_members(
    members: np.ndarray, validation_fraction: float, seed: int, client: int
) -> tuple[np.ndarray, np.ndarray]:
    """Splits one client's example numbers into a training and a validation part, each in random order.

    Args:
        members: The client's example numbers.
        validation_fraction: Share for validation, rounded up to whole examples.
        seed: Seed of the run.
        client: Number of the client.

    Returns:
        Numbers for training, and numbers for validation.

    Raises:
        DataError: If no example is left for training.
    """
    order = generator(seed, Purpose.VALIDATION, client).permutation(members)
    num_validation = math.ceil(validation_fraction * len(members))
    validation, training = order[:num_validation], order[num_validation:]
    if not len(training):
        needed = next(n for n in itertools.count(1) if n > math.ceil(validation_fraction * n))
        raise DataError(
            f"client {client} has {len(members)} examples, and data.validation_fraction={validation_fraction:g} leaves "
            f"none for training: every client needs {needed}; raise data.min_examples (or data.examples_per_client) to "
            "that, or lower data.num_clients"
        )
    return training, validation
