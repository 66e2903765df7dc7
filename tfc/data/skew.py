"""Partitions whose clients differ: in their owners, in how much they hold."""

from __future__ import annotations

import numpy as np

from tfc.base.errors import DataError
from tfc.data.example_pool import shuffled_pool
from tfc.seeds import Purpose, generator


def by_owner(
    owners: np.ndarray | None, num_clients: int, examples_per_client: int, min_examples: int, seed: int
) -> list[np.ndarray]:
    """Gives each client whole owners, such as speakers, in random order to whoever holds least.

    Args:
        owners: Owner of each training example, shape (examples,); None where nobody knows.
        num_clients: Number of clients.
        examples_per_client: At most so many examples of each client; 0 for all.
        min_examples: Examples of the smallest client.
        seed: Seed of the run.

    Returns:
        One int array of example numbers per client, in random order.

    Raises:
        DataError: If the data set has no owners or too few, or a client gets less than its minimum.
    """
    if owners is None:
        raise DataError(
            "data.partition=owner needs a data set that knows who made each example, such as spoken_words, an NPZ file "
            "with an array owner, or clients of TFF"
        )
    names = np.unique(owners)
    if len(names) < num_clients:
        raise DataError(
            f"data.num_clients={num_clients} clients need as many owners for data.partition=owner; the data set has "
            f"{len(names)}: at most data.num_clients={len(names)} would do"
        )
    random = generator(seed, Purpose.PARTITION, 2)
    parts: list[list[np.ndarray]] = [[] for _ in range(num_clients)]
    sizes = np.zeros(num_clients, int)
    for name in random.permutation(names):
        # Who has nobody yet comes first, so that nobody is left without an owner.
        client = min(range(num_clients), key=lambda number: (bool(parts[number]), sizes[number]))
        parts[client].append(np.flatnonzero(owners == name))
        sizes[client] += len(parts[client][-1])
    clients = [random.permutation(np.concatenate(part)) for part in parts]
    if examples_per_client:
        clients = [client[:examples_per_client] for client in clients]
    smallest = min(map(len, clients))
    if smallest < min_examples:
        capped = 0 < examples_per_client < min_examples
        advice = f", data.examples_per_client={min_examples}" if capped else ", or fewer data.num_clients"
        raise DataError(
            f"data.partition=owner: the smallest of {num_clients} clients has {smallest} examples, fewer than "
            f"data.min_examples={min_examples}: set data.min_examples={smallest}{advice}"
        )
    return clients


def by_quantity(
    labels: np.ndarray, num_clients: int, examples_per_client: int, sigma: float, min_examples: int, seed: int
) -> list[np.ndarray]:
    """Gives clients numbers of examples from a log-normal distribution, and examples uniformly.

    Args:
        labels: Classes of all training examples, shape (examples,).
        num_clients: Number of clients.
        examples_per_client: Mean examples of a client; 0 divides all of them.
        sigma: Standard deviation of the sizes' logarithm; 0 gives equal sizes.
        min_examples: What every client has before the rest is divided.
        seed: Seed of the run.

    Returns:
        One int array of example numbers per client, in random order.

    Raises:
        DataError: If there are too few examples.
    """
    pool = shuffled_pool(len(labels), num_clients, examples_per_client, min_examples, seed)
    weights = generator(seed, Purpose.PARTITION, 3).lognormal(0.0, sigma, num_clients)
    free = len(pool) - num_clients * min_examples
    ends = np.rint(np.cumsum(weights) / weights.sum() * free).astype(int) + min_examples * np.arange(1, num_clients + 1)
    return np.split(pool, ends[:-1])
