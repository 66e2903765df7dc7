"""The examples that a partition divides, in random order."""

from __future__ import annotations

import numpy as np

from tfc.base.errors import DataError
from tfc.seeds import Purpose, generator


def shuffled_pool(total: int, num_clients: int, examples_per_client: int, min_examples: int, seed: int) -> np.ndarray:
    """Returns the numbers of the examples that are divided, in random order.

    Args:
        total: Training examples that there are.
        num_clients: Number of clients.
        examples_per_client: Mean examples of a client; 0 divides all of them.
        min_examples: Examples of the smallest client.
        seed: Seed of the run.

    Raises:
        DataError: If there are too few; says which settings would do.
    """
    if examples_per_client and examples_per_client < min_examples:
        raise DataError(
            f"data.examples_per_client={examples_per_client} is less than data.min_examples={min_examples}: raise the "
            "one or lower the other"
        )
    check_enough(total, num_clients, examples_per_client, min_examples)
    wanted = num_clients * examples_per_client or total
    return generator(seed, Purpose.PARTITION).permutation(total)[:wanted]


def check_enough(total: int, num_clients: int, examples_per_client: int, min_examples: int) -> None:
    """Refuses more examples than there are.

    Args:
        total: Training examples that there are.
        num_clients: Number of clients.
        examples_per_client: Examples of each client; 0 for no such number.
        min_examples: Examples of the smallest client.

    Raises:
        DataError: If there are too few; says which settings would do.
    """
    each = max(examples_per_client, min_examples)
    if each * num_clients <= total:
        return
    helps = [f"data.num_clients={total // each}"] if total >= each else []
    share = total // num_clients
    if share:
        key = "data.examples_per_client" if examples_per_client > share else "data.min_examples"
        both = f" with data.min_examples={share}" if key != "data.min_examples" and min_examples > share else ""
        helps.append(f"{key}={share}{both}")
    advice = f": at most {' or '.join(helps)} would do" if helps else ""
    raise DataError(
        f"data.num_clients={num_clients} clients with {each} examples each need {each * num_clients} training "
        f"examples; the data set has {total}{advice}"
    )
