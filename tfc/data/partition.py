"""Divides a training set among clients."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tfc.config import DataConfig
from tfc.data.skew import by_owner, by_quantity, dirichlet
from tfc.errors import DataError
from tfc.seeds import Purpose, generator


@dataclass(frozen=True)
class ClientExamples:
    """What one client holds.

    Attributes:
        x_train: Training inputs, shape (examples, *input_shape).
        y_train: Training classes, int32, shape (examples,).
        x_validation: Inputs for the validation accuracy and the representation quality score.
        y_validation: Their classes.
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
    share = examples_per_client or len(labels) // num_clients
    if share < 1 or share * num_clients > len(labels):
        raise DataError(
            f"data.num_clients={num_clients} clients with {max(share, 1)} examples each need "
            f"{max(share, 1) * num_clients} training examples; the data set has {len(labels)}"
        )
    order = generator(seed, Purpose.PARTITION).permutation(len(labels))
    return [order[client * share : (client + 1) * share] for client in range(num_clients)]


Partition = Callable[[np.ndarray, np.ndarray | None, DataConfig, int], list[np.ndarray]]

PARTITIONS: dict[str, Partition] = {
    "iid": lambda labels, _, data, seed: iid(labels, data.num_clients, data.examples_per_client, seed),
    "dirichlet": lambda labels, _, data, seed: dirichlet(
        labels, data.num_clients, data.examples_per_client, data.alpha, data.min_examples, seed
    ),
    "owner": lambda _, owners, data, seed: by_owner(
        owners, data.num_clients, data.examples_per_client, data.min_examples, seed
    ),
    "quantity": lambda labels, _, data, seed: by_quantity(
        labels, data.num_clients, data.examples_per_client, data.quantity_sigma, data.min_examples, seed
    ),
}
"""Partitions by name: (labels, owners, configuration of the data, seed) -> example numbers per client."""


def client_examples(
    x: np.ndarray, y: np.ndarray, members: np.ndarray, validation_fraction: float, seed: int, client: int
) -> ClientExamples:
    """Splits one client's examples into a training and a validation part.

    Args:
        x: All training inputs.
        y: All training classes.
        members: The client's example numbers.
        validation_fraction: Share for validation, rounded up to whole examples.
        seed: Seed of the run.
        client: Number of the client.

    Raises:
        DataError: If no example is left for training.
    """
    order = generator(seed, Purpose.VALIDATION, client).permutation(members)
    num_validation = math.ceil(validation_fraction * len(members))
    validation, training = order[:num_validation], order[num_validation:]
    if not len(training):
        raise DataError(
            f"client {client} has {len(members)} examples, and data.validation_fraction={validation_fraction:g} leaves "
            "none for training: fewer data.num_clients, or more data.examples_per_client"
        )
    return ClientExamples(x[training], y[training], x[validation], y[validation])


def class_counts(clients: Sequence[ClientExamples], num_classes: int) -> np.ndarray:
    """Returns how many examples of each class each client holds, for training and validation together.

    Args:
        clients: What clients hold.
        num_classes: Number of classes.

    Returns:
        int array (clients, classes).
    """
    return np.stack(
        [
            np.bincount(np.concatenate([client.y_train, client.y_validation]), minlength=num_classes)
            for client in clients
        ]
    )
