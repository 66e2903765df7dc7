"""Simulated faults of clients, drawn from (seed, round, client, attempt) alone."""

from __future__ import annotations

from typing import NamedTuple

from tfc.config import ExperimentConfig
from tfc.federated.client_data import ClientFlags
from tfc.seeds import Purpose, generator


class ClientFault(NamedTuple):
    """A client's fault in one attempt.

    Attributes:
        flags: The `ClientFlags` in its data.
        scale: Factor of its update: 1 for an honest client, NaN for one whose update is not finite,
            `faults.poison_scale` for a poisoned one.
    """

    flags: ClientFlags
    scale: float


def poisoned_clients(config: ExperimentConfig) -> frozenset[int]:
    """Returns the clients that are poisoned, the same in every round.

    Args:
        config: `faults.poisoned_clients`, number of clients, seed.
    """
    order = generator(config.seed, Purpose.FAULTS).permutation(config.data.num_clients)
    return frozenset(int(client) for client in order[: config.faults.poisoned_clients])


def client_fault(config: ExperimentConfig, round_number: int, client: int, attempt: int) -> ClientFault:
    """Draws a client's fault; at most one, the one that would hide the others.

    Args:
        config: The table `faults`, seed.
        round_number: From 1.
        client: Number of the client.
        attempt: From 1.
    """
    faults = config.faults
    honest = faults.poison_scale if client in poisoned_clients(config) else 1.0
    draws = generator(config.seed, Purpose.FAULTS, round_number, client, attempt).random(3)
    if draws[0] < faults.dropout:
        return ClientFault(ClientFlags.DROPOUT, honest)
    if draws[1] < faults.not_finite:
        return ClientFault(ClientFlags.NONE, float("nan"))
    if draws[2] < faults.corrupt:
        return ClientFault(ClientFlags.CORRUPT, honest)
    return ClientFault(ClientFlags.NONE, honest)
