"""Which clients take part in a round. A replay draws them too, so nothing of TensorFlow is needed."""

from __future__ import annotations

from tfc.config import ExperimentConfig
from tfc.seeds import Purpose, generator


def sampled_clients(config: ExperimentConfig, round_number: int, attempt: int = 1) -> list[int]:
    """Returns the clients of a round, in ascending order: a function of (seed, round, attempt) alone.

    Args:
        config: clients_per_round (0 for all), number of clients, seed.
        round_number: From 1.
        attempt: From 1.
    """
    num_clients = config.data.num_clients
    count = config.clients_per_round or num_clients
    keys = (round_number,) if attempt == 1 else (round_number, attempt)
    draw = generator(config.seed, Purpose.CLIENT_SAMPLING, *keys).permutation(num_clients)
    return sorted(int(client) for client in draw[:count])
