"""One round of a run: client sampling, faults, and further attempts if too few answers are valid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow_federated as tff

from tfc.base.errors import RunError
from tfc.config import ExperimentConfig
from tfc.data.partition import ClientExamples
from tfc.federated.broadcast_tracker import BroadcastTracker, Shipment
from tfc.federated.client_sampling import sampled_clients as sampled_clients
from tfc.federated.kept_broadcasts import KeptBroadcasts, as_arrays
from tfc.simulation.network import round_seconds
from tfc.simulation.task import Task, task_of


@dataclass(frozen=True)
class PlayedRound:
    """What a round amounted to, in one attempt or several.

    Attributes:
        state: The learning process' state after it.
        metrics: The process' metrics of the attempt that counted.
        shipments: The broadcasts sent to each client in that attempt.
        clients_ok: Clients whose update counted.
        uplink_bytes: Bytes that reached the server, in all attempts; what follows likewise.
        downlink_bytes: Bytes sent to clients.
        downlink_key_frame_bytes: Those of whole models for clients that missed broadcasts.
        downlink_catch_up_bytes: Those of catch-up messages.
        clients_dropped: Clients that did not answer.
        clients_not_finite: Clients whose update was not finite.
        clients_corrupt: Clients whose answer arrived and was refused.
        clients_late: Clients whose answer would have arrived after the deadline.
        simulated_seconds: What the round would have taken on real links and devices.
        attempts: Number of attempts.
    """

    state: Any
    metrics: Any
    shipments: tuple[Shipment, ...]
    clients_ok: int
    uplink_bytes: int
    downlink_bytes: int
    clients_dropped: int
    clients_not_finite: int
    clients_corrupt: int
    clients_late: int
    simulated_seconds: float
    downlink_key_frame_bytes: int = 0
    downlink_catch_up_bytes: int = 0
    attempts: int = 1

    def after(self, earlier: PlayedRound) -> PlayedRound:
        """Returns this attempt with what the earlier ones, which did not count, have cost.

        Args:
            earlier: All attempts before this one.
        """
        return replace(
            self,
            uplink_bytes=earlier.uplink_bytes + self.uplink_bytes,
            downlink_bytes=earlier.downlink_bytes + self.downlink_bytes,
            downlink_key_frame_bytes=earlier.downlink_key_frame_bytes + self.downlink_key_frame_bytes,
            downlink_catch_up_bytes=earlier.downlink_catch_up_bytes + self.downlink_catch_up_bytes,
            clients_dropped=earlier.clients_dropped + self.clients_dropped,
            clients_not_finite=earlier.clients_not_finite + self.clients_not_finite,
            clients_corrupt=earlier.clients_corrupt + self.clients_corrupt,
            clients_late=earlier.clients_late + self.clients_late,
            simulated_seconds=earlier.simulated_seconds + self.simulated_seconds,
            attempts=earlier.attempts + self.attempts,
        )

    @property
    def clients_failed(self) -> int:
        """Clients whose update did not count, in all attempts."""
        return self.clients_dropped + self.clients_not_finite + self.clients_corrupt + self.clients_late


def _answer_lengths(metrics: Any, tasks: Sequence[Task]) -> list[int]:
    """Bytes of each client's answer; where they are computed by formula, the same for all clients in time."""
    aggregator = metrics["aggregator"]
    if "lengths" in aggregator:
        return [int(length) for length in aggregator["lengths"]]
    length = int(aggregator["uplink_bytes"]) // max(int(metrics["finalizer"]["clients_ok"]), 1)
    return [length if length <= task.most_bytes else 0 for task in tasks]


def _attempt(
    config: ExperimentConfig,
    process: tff.learning.templates.LearningProcess,
    state: Any,
    clients: Sequence[ClientExamples],
    tracker: BroadcastTracker,
    round_number: int,
    attempt: int,
    kept: KeptBroadcasts | None,
) -> PlayedRound:
    broadcast = state.global_model_weights
    lengths = (int(np.size(broadcast.payload)), int(np.size(broadcast.key_frame)))
    if kept and attempt == 1:
        kept.add(round_number, as_arrays(broadcast.model), broadcast.control)
    shipments = tracker.ship(
        sampled_clients(config, round_number, attempt),
        *lengths,
        again=attempt > 1,
        catch_up_bytes=lambda since: len(kept.message(since)) if kept else 0,
    )
    tasks = [task_of(config, each, clients[each.client], round_number, attempt) for each in shipments]
    output = process.next(state, [task.client_data(round_number) for task in tasks])
    metrics = output.metrics
    dropped, not_finite, late = (int(count) for count in metrics["client_work"]["clients_by_fault"])
    clients_ok = int(metrics["finalizer"]["clients_ok"])
    trips = [
        task.trip(config.network, answer_bytes, any_late=late > 0)
        for task, answer_bytes in zip(tasks, _answer_lengths(metrics, tasks), strict=True)
    ]
    return PlayedRound(
        output.state,
        metrics,
        tuple(shipments),
        clients_ok,
        uplink_bytes=int(metrics["aggregator"]["uplink_bytes"]),
        downlink_bytes=sum(shipment.length for shipment in shipments),
        clients_dropped=dropped,
        clients_not_finite=not_finite,
        clients_corrupt=len(tasks) - clients_ok - dropped - not_finite - late,
        clients_late=late,
        simulated_seconds=round_seconds(trips, config.faults.deadline_seconds),
        downlink_key_frame_bytes=sum(each.length for each in shipments if each.is_key_frame),
        downlink_catch_up_bytes=sum(each.length for each in shipments if each.since),
    )


def play_round(
    config: ExperimentConfig,
    process: tff.learning.templates.LearningProcess,
    state: Any,
    clients: Sequence[ClientExamples],
    tracker: BroadcastTracker,
    round_number: int,
    kept: KeptBroadcasts | None = None,
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
        kept: Old broadcasts, for catch-up messages; changed. None where the server keeps none.

    Raises:
        RunError: If `faults.max_attempts` attempts were not enough.
    """
    faults = config.faults
    played: PlayedRound | None = None
    sound = []
    for attempt in range(1, faults.max_attempts + 1):
        latest = _attempt(config, process, state, clients, tracker, round_number, attempt, kept)
        played = latest.after(played) if played else latest
        if played.clients_ok >= faults.min_clients:
            return played
        sound.append(str(played.clients_ok))
    raise RunError(
        f"round {round_number}: faults.min_clients = {faults.min_clients} valid answers were not reached in "
        f"faults.max_attempts = {faults.max_attempts} attempts (found {', '.join(sound)}); start anew (--force) with "
        "fewer or more"
    )
