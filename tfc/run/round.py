"""One round of a run: client sampling, faults, and further attempts if too few answers are valid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow_federated as tff

from tfc.base.errors import RunError
from tfc.config import ExperimentConfig
from tfc.data.growth import examples_in_round
from tfc.data.partition import ClientExamples
from tfc.federated.broadcast_tracker import BroadcastTracker, Shipment
from tfc.federated.client_data import ClientFlags, client_data
from tfc.run.faults import client_fault
from tfc.run.network import Trip, client_seconds, client_speed, most_uplink_bytes, round_seconds
from tfc.seeds import Purpose, generator


@dataclass(frozen=True)
class PlayedRound:
    """Result of a round.

    Attributes:
        state: The learning process' state after it.
        metrics: The process' metrics of the attempt that counted.
        shipments: The broadcasts sent to each client in that attempt.
        uplink_bytes: Bytes that reached the server in all attempts.
        downlink_bytes: Bytes sent to clients in all attempts.
        clients_ok: Clients whose update counted.
        clients_dropped: Clients that did not answer, in all attempts; the next three likewise.
        clients_not_finite: Clients whose update was not finite.
        clients_corrupt: Clients whose answer arrived and was refused.
        clients_late: Clients whose answer would have arrived after the deadline.
        attempts: Number of attempts.
        simulated_seconds: Simulated time of all attempts on the configured links and devices.
    """

    state: Any
    metrics: Any
    shipments: tuple[Shipment, ...]
    uplink_bytes: int
    downlink_bytes: int
    clients_ok: int
    clients_dropped: int
    clients_not_finite: int
    clients_corrupt: int
    clients_late: int
    attempts: int
    simulated_seconds: float


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


@dataclass(frozen=True)
class _Attempt:
    output: Any
    shipments: tuple[Shipment, ...]
    uplink_bytes: int
    clients_ok: int
    dropped: int
    not_finite: int
    corrupt: int
    late: int
    seconds: float


def _answer_lengths(metrics: Any, most_bytes: Sequence[int]) -> list[int]:
    """Bytes of each client's answer; where they are computed by formula, the same for all clients in time."""
    aggregator = metrics["aggregator"]
    if "lengths" in aggregator:
        return [int(length) for length in aggregator["lengths"]]
    length = int(aggregator["uplink_bytes"]) // max(int(metrics["finalizer"]["clients_ok"]), 1)
    return [length if length <= most else 0 for most in most_bytes]


def _attempt(
    config: ExperimentConfig,
    process: tff.learning.templates.LearningProcess,
    state: Any,
    clients: Sequence[ClientExamples],
    tracker: BroadcastTracker,
    round_number: int,
    attempt: int,
) -> _Attempt:
    sampled = sampled_clients(config, round_number, attempt)
    broadcast, data, faults = state.global_model_weights, config.data, config.faults
    shipments = tracker.ship(
        sampled, int(np.size(broadcast.payload)), int(np.size(broadcast.key_frame)), again=attempt > 1
    )
    epochs = config.training.plain_epochs + config.training.clustered_epochs
    speeds, counts, limits, drawn, told = [], [], [], [], []
    for shipment in shipments:
        client = shipment.client
        present = examples_in_round(clients[client], round_number, data.growth_start, data.growth_rounds)
        counts.append(epochs * len(present.y_train))
        speeds.append(client_speed(config.network, config.seed, client))
        drawn.append(client_fault(config, round_number, client, attempt))
        limits.append(
            most_uplink_bytes(config.network, speeds[-1], shipment.length, counts[-1], faults.deadline_seconds)
        )
        fault, limit = drawn[-1], limits[-1]
        told.append(client_data(present, client, round_number, fault.flags, scale=fault.scale, most_bytes=limit))
    output = process.next(state, told)
    metrics = output.metrics
    lengths = _answer_lengths(metrics, limits)
    dropped, not_finite, late = (int(count) for count in metrics["client_work"]["clients_by_fault"])
    clients_ok = int(metrics["finalizer"]["clients_ok"])
    # A client that did not drop out and has no answer reported that it has none, or is late. Only the sum of each kind
    # is known, but a late client makes the server wait until the deadline in any case.
    trips = [
        Trip(
            client_seconds(config.network, speed, shipment.length, count, length),
            awaited=not fault.flags & ClientFlags.DROPOUT and not (late and not length),
        )
        for shipment, speed, count, fault, length in zip(shipments, speeds, counts, drawn, lengths, strict=True)
    ]
    return _Attempt(
        output,
        tuple(shipments),
        int(metrics["aggregator"]["uplink_bytes"]),
        clients_ok,
        dropped,
        not_finite,
        len(sampled) - clients_ok - dropped - not_finite - late,
        late,
        round_seconds(trips, faults.deadline_seconds),
    )


def play_round(
    config: ExperimentConfig,
    process: tff.learning.templates.LearningProcess,
    state: Any,
    clients: Sequence[ClientExamples],
    tracker: BroadcastTracker,
    round_number: int,
) -> PlayedRound:
    """Runs a round; repeats it with other clients while fewer than `faults.min_clients` answers are valid.

    A failed attempt changes the counted bytes only: model, finalizer and clients' residuals stay as they were, and
    clients that hold the round's broadcast are not sent it again.

    Args:
        config: The experiment.
        process: The learning process.
        state: Its state before the round.
        clients: Each client's examples.
        tracker: The broadcast tracker; changed.
        round_number: From 1.

    Raises:
        RunError: If `faults.max_attempts` attempts were not enough.
    """
    faults = config.faults
    played: list[_Attempt] = []
    for attempt in range(1, faults.max_attempts + 1):
        played.append(_attempt(config, process, state, clients, tracker, round_number, attempt))
        last = played[-1]
        if last.clients_ok >= faults.min_clients:
            return PlayedRound(
                last.output.state,
                last.output.metrics,
                last.shipments,
                sum(each.uplink_bytes for each in played),
                sum(shipment.length for each in played for shipment in each.shipments),
                last.clients_ok,
                sum(each.dropped for each in played),
                sum(each.not_finite for each in played),
                sum(each.corrupt for each in played),
                sum(each.late for each in played),
                attempt,
                sum(each.seconds for each in played),
            )
    found = ", ".join(str(each.clients_ok) for each in played)
    raise RunError(
        f"round {round_number}: faults.min_clients = {faults.min_clients} valid answers were not reached in "
        f"faults.max_attempts = {faults.max_attempts} attempts (found {found}); start anew (--force) with fewer or more"
    )
