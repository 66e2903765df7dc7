"""Partitions in which each client has classes of its own preference, drawn from a Dirichlet distribution."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np

from tfc.base.errors import DataError
from tfc.data.example_pool import shuffled_pool
from tfc.seeds import Purpose, generator

_TRIES = 100
_RAISED_ALPHAS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 100.0)
_LARGEST_ADVISED_SHARE = 0.9
"""Smaller partitions are looked for in steps to this share of the clients."""


def dirichlet(
    labels: np.ndarray, num_clients: int, examples_per_client: int, alpha: float, min_examples: int, seed: int
) -> list[np.ndarray]:
    """Gives each client classes of its own preference.

    Each class is divided by shares from a symmetric Dirichlet distribution: the smaller `alpha`, the fewer clients hold
    a class. Draws are repeated until the smallest client has enough.

    Source: the Dirichlet prior and its `alpha` are those of Hsu, Qi, Brown, "Measuring the Effects of Non-Identical
    Data Distribution" (arXiv 1909.06335), whose clients all hold as many examples; dividing class by class, so that
    sizes differ too, is from Yurochkin et al. (arXiv 1905.12022, section 4).

    Args:
        labels: Classes of all training examples, shape (examples,).
        num_clients: Number of clients.
        examples_per_client: Mean examples of a client; 0 divides all of them.
        alpha: Concentration, over 0.
        min_examples: Examples of the smallest client.
        seed: Seed of the run.

    Returns:
        One int array of example numbers per client, in random order.

    Raises:
        DataError: If there are too few examples, or no draw gives every client its minimum; says which setting would.
    """
    return _divided("dirichlet", _shares_of_all, labels, num_clients, examples_per_client, alpha, min_examples, seed)


def balanced_dirichlet(
    labels: np.ndarray, num_clients: int, examples_per_client: int, alpha: float, min_examples: int, seed: int
) -> list[np.ndarray]:
    """Gives each client classes of its own preference, and no more classes once it holds its mean share.

    Classes are divided one after another, each by shares from a symmetric Dirichlet distribution; a client that holds
    the mean number of examples already gets nothing of the next class, and what it would have had goes to the others in
    proportion. So sizes differ less than in `dirichlet`, and small `alpha` work with many clients.

    Source: the implementation that came with Li, Diao, Chen, He, "Federated Learning on Non-IID Data Silos: An
    Experimental Study" (arXiv 2102.02079, section IV-B for the distribution of Yurochkin et al., arXiv 1905.12022),
    whose partitions most tools of the field draw.

    Args:
        labels: Classes of all training examples, shape (examples,).
        num_clients: Number of clients.
        examples_per_client: Mean examples of a client; 0 divides all of them.
        alpha: Concentration, over 0.
        min_examples: Examples of the smallest client.
        seed: Seed of the run.

    Returns:
        One int array of example numbers per client, in random order.

    Raises:
        DataError: If there are too few examples, or no draw gives every client its minimum; says which setting would.
    """
    return _divided(
        "dirichlet-balanced", _shares_of_hungry, labels, num_clients, examples_per_client, alpha, min_examples, seed
    )


_Shares = Callable[[np.random.Generator, float, np.ndarray, float], np.ndarray]
"""(random numbers, alpha, examples that each client has so far, mean examples of a client) -> shares of a class."""


def _shares_of_all(random: np.random.Generator, alpha: float, sizes: np.ndarray, mean: float) -> np.ndarray:
    return random.dirichlet(np.full(len(sizes), alpha))


def _shares_of_hungry(random: np.random.Generator, alpha: float, sizes: np.ndarray, mean: float) -> np.ndarray:
    hungry = sizes < mean
    shares = random.dirichlet(np.full(len(sizes), alpha)) * hungry
    total = shares.sum()
    # Where all of the probability fell to clients that are full, the hungry ones share evenly.
    return shares / total if total > 0 else hungry / hungry.sum()


_KEYS: dict[_Shares, int] = {_shares_of_all: 1, _shares_of_hungry: 4}
"""Streams of random numbers."""


def _draw(
    shares_of: _Shares, members: list[np.ndarray], num_clients: int, alpha: float, seed: int, attempt: int
) -> list[np.ndarray]:
    """Divides the examples of each class once."""
    random = generator(seed, Purpose.PARTITION, _KEYS[shares_of], attempt)
    parts: list[list[np.ndarray]] = [[] for _ in range(num_clients)]
    sizes = np.zeros(num_clients, int)
    mean = sum(map(len, members)) / num_clients
    for rows in members:
        shares = shares_of(random, alpha, sizes, mean)
        ends = np.rint(np.cumsum(shares) * len(rows)).astype(int)[:-1]
        for part, new in zip(parts, np.split(rows, ends), strict=True):
            part.append(new)
        sizes += np.diff(ends, prepend=0, append=len(rows))
    return [random.permutation(np.concatenate(part)) for part in parts]


def _search(
    shares_of: _Shares, members: list[np.ndarray], num_clients: int, alpha: float, min_examples: int, seed: int
) -> tuple[list[np.ndarray] | None, int]:
    """Returns the first draw that gives every client its minimum, None for none; and the best smallest client."""
    best = 0
    for attempt in range(_TRIES):
        clients = _draw(shares_of, members, num_clients, alpha, seed, attempt)
        smallest = min(map(len, clients))
        best = max(best, smallest)
        if smallest >= min_examples:
            return clients, best
    return None, best


def _divided(
    name: str,
    shares_of: _Shares,
    labels: np.ndarray,
    num_clients: int,
    examples_per_client: int,
    alpha: float,
    min_examples: int,
    seed: int,
) -> list[np.ndarray]:
    pool = shuffled_pool(len(labels), num_clients, examples_per_client, min_examples, seed)
    members = [pool[labels[pool] == label] for label in np.unique(labels)]
    clients, best = _search(shares_of, members, num_clients, alpha, min_examples, seed)
    if clients is not None:
        return clients
    helps = list(_remedies(shares_of, labels, num_clients, examples_per_client, alpha, min_examples, seed))
    if best:
        helps.insert(0, f"data.min_examples={best}")
    raise DataError(
        f"data.partition={name}: in {_TRIES} draws with data.alpha={alpha:g} a client always had fewer than "
        f"data.min_examples={min_examples} examples. Any of these works: {', '.join(helps) or 'data.partition=iid'}"
    )


def _remedies(
    shares_of: _Shares,
    labels: np.ndarray,
    num_clients: int,
    examples_per_client: int,
    alpha: float,
    min_examples: int,
    seed: int,
) -> Iterator[str]:
    """Settings that were tried, one key changed in each, and found to work."""

    def works(
        shares: _Shares = shares_of, *, clients: int = num_clients, each: int, concentration: float = alpha
    ) -> bool:
        pool = shuffled_pool(len(labels), clients, each, min_examples, seed)
        members = [pool[labels[pool] == label] for label in np.unique(labels)]
        return _search(shares, members, clients, concentration, min_examples, seed)[0] is not None

    now = functools.partial(works, each=examples_per_client)
    if shares_of is _shares_of_all and now(_shares_of_hungry):
        yield "data.partition=dirichlet-balanced"
    for raised in _RAISED_ALPHAS:
        if raised > alpha and now(concentration=raised):
            yield f"data.alpha={raised:g}"
            break
    fewer = int(num_clients * _LARGEST_ADVISED_SHARE)
    while fewer > 1:
        if now(clients=fewer):
            yield f"data.num_clients={fewer}"
            break
        fewer = fewer * 2 // 3
    most = len(labels) // num_clients
    if examples_per_client and examples_per_client < most and works(each=most):
        yield f"data.examples_per_client={most}"
