"""What a sampled client is asked to do in an attempt at a round, and how long that takes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfc.config import ExperimentConfig, NetworkConfig
from tfc.data.growth import examples_in_round
from tfc.data.partition import ClientExamples
from tfc.federated.broadcast_tracker import Shipment
from tfc.federated.client_data import ClientFlags, client_data
from tfc.simulation.faults import ClientFault, client_fault
from tfc.simulation.network import Trip, client_seconds, client_speed, most_uplink_bytes


@dataclass(frozen=True)
class Task:
    """What a sampled client does in an attempt.

    Attributes:
        shipment: What it is sent.
        present: The examples that it has in this round.
        examples: Examples that it trains on, every epoch counted.
        speed: Examples per second.
        fault: What goes wrong.
        most_bytes: Length of the longest answer that arrives in time.
    """

    shipment: Shipment
    present: ClientExamples
    examples: int
    speed: float
    fault: ClientFault
    most_bytes: int

    def client_data(self, round_number: int) -> Any:
        """Returns the client's data as the learning process takes them.

        Args:
            round_number: From 1.
        """
        fault = self.fault
        return client_data(
            self.present,
            self.shipment.client,
            round_number,
            fault.flags,
            scale=fault.scale,
            most_bytes=self.most_bytes,
        )

    def trip(self, network: NetworkConfig, answer_bytes: int, *, any_late: bool) -> Trip:
        """Returns how long its part of the round takes, and whether the server waits for it.

        Args:
            network: Speeds of the links.
            answer_bytes: Bytes of its answer; 0 where it sends none.
            any_late: Whether any client of the attempt missed the deadline.
        """
        seconds = client_seconds(network, self.speed, self.shipment.length, self.examples, answer_bytes)
        # A client without an answer that did not drop out reported that it has none, or is late; which, only its kind's
        # number tells, and one that is too late makes the server wait anyway.
        dropped_out = bool(self.fault.flags & ClientFlags.DROPOUT)
        return Trip(seconds, awaited=not dropped_out and not (any_late and not answer_bytes))


def task_of(
    config: ExperimentConfig, shipment: Shipment, held: ClientExamples, round_number: int, attempt: int
) -> Task:
    """Returns a client's task in an attempt at a round.

    Args:
        config: The experiment.
        shipment: What the client is sent.
        held: All examples that it will ever have.
        round_number: From 1.
        attempt: From 1.
    """
    client, data, training = shipment.client, config.data, config.training
    present = examples_in_round(held, round_number, data.growth_start, data.growth_rounds)
    examples = (training.plain_epochs + training.clustered_epochs) * len(present.y_train)
    speed = client_speed(config.network, config.seed, client)
    fault = client_fault(config, round_number, client, attempt)
    deadline = config.faults.deadline_seconds
    most_bytes = most_uplink_bytes(config.network, speed, shipment.length, examples, deadline)
    return Task(shipment, present, examples, speed, fault, most_bytes)
