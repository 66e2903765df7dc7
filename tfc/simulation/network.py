"""Simulated time of a round on links and devices: pure functions of bytes, examples and speeds.

A client's part of a round is download, then training, then upload; clients work in parallel, and the server waits for
the slowest of those that answer. Server time and evaluation are left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tfc.config import NetworkConfig
from tfc.federated.client_data import NO_LIMIT
from tfc.seeds import Purpose, generator

_BITS_PER_BYTE, _BITS_PER_MEGABIT = 8, 1e6


def client_speed(network: NetworkConfig, seed: int, client: int) -> float:
    """Returns a client's speed of training, in examples per second: the same in every round.

    Log-normal over clients, with the configured speed as its median.

    Args:
        network: Median and spread.
        seed: Seed of the run.
        client: Number of the client.
    """
    deviation = generator(seed, Purpose.SPEED, client).standard_normal()
    return network.examples_per_second * math.exp(network.speed_spread * float(deviation))


def _transfer_seconds(count: int, mbps: float) -> float:
    return count * _BITS_PER_BYTE / (mbps * _BITS_PER_MEGABIT)


def client_seconds(
    network: NetworkConfig, speed: float, downlink_bytes: int, examples: int, uplink_bytes: int
) -> float:
    """Returns the seconds from the start of the download to the arrival of a client's answer.

    Args:
        network: Speeds of the links, in 10^6 bits per second.
        speed: Its own, in examples per second.
        downlink_bytes: Bytes that it is sent.
        examples: Examples that it trains on, every epoch counted.
        uplink_bytes: Bytes of its answer; 0 where it sends none.
    """
    download = _transfer_seconds(downlink_bytes, network.downlink_mbps)
    return download + examples / speed + _transfer_seconds(uplink_bytes, network.uplink_mbps)


def most_uplink_bytes(
    network: NetworkConfig, speed: float, downlink_bytes: int, examples: int, deadline_seconds: float
) -> int:
    """Returns the bytes of the longest answer that arrives in time; -1 where even an empty one would not.

    Args:
        network: Speeds of the links, in 10^6 bits per second.
        speed: The client's own, in examples per second.
        downlink_bytes: Bytes that it is sent.
        examples: Examples that it trains on, every epoch counted.
        deadline_seconds: Counted from the start of the download; 0 for no deadline.
    """
    if not deadline_seconds:
        return NO_LIMIT
    left = deadline_seconds - client_seconds(network, speed, downlink_bytes, examples, 0)
    if left < 0:
        return -1
    return min(math.floor(left * network.uplink_mbps * _BITS_PER_MEGABIT / _BITS_PER_BYTE), NO_LIMIT)


@dataclass(frozen=True)
class Trip:
    """A client's part of a round as the server sees it.

    Attributes:
        seconds: From the server's sending to the end of the client's part.
        awaited: Whether the server hears from the client at that time: an answer, or a report that it has none. It does
            not hear from a client that dropped out or is late.
    """

    seconds: float
    awaited: bool


def round_seconds(trips: Sequence[Trip], deadline_seconds: float) -> float:
    """Returns how long a round takes.

    With a deadline the server waits until then if a client is missing. Without one it notices a client that dropped out
    by its closed connection, and waits for the others.

    Args:
        trips: One per client of the round.
        deadline_seconds: 0 for none.
    """
    if deadline_seconds and not all(trip.awaited for trip in trips):
        return deadline_seconds
    return max((trip.seconds for trip in trips if trip.awaited), default=0.0)
