"""What is measured in a round: a row of metrics.csv."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RoundMetrics:
    """One row of metrics.csv.

    Attributes:
        round: Number of the round, from 1.
        accuracy: The global model's accuracy on the test set, 0 to 1.
        loss: Mean cross-entropy on the test set, nats.
        num_clusters: Clusters of the next broadcast; 0 where nothing is clustered.
        quality_score: Mean representation quality score of the clients.
        uplink_bytes: Bytes of all payloads from clients to the server.
        downlink_bytes: Bytes of all payloads from the server to clients.
        key_frame_bytes: Length of the round's key frame, which a client that missed broadcasts may be sent; 0 without
            one.
        rate_weight: Rate weight of the clients' next updates, in mean squares of the update per bit.
        clients_ok: Clients whose update counted.
        clients_failed: Clients whose update did not count, in all attempts at the round: the sum of the next four.
        seconds: Wall time of the round in the simulation, evaluation excluded.
        clients_dropped: Clients that did not answer, or had no examples.
        clients_not_finite: Clients whose update was not finite.
        clients_corrupt: Clients whose answer arrived and was refused.
        clients_late: Clients whose answer would have come after the deadline. It is not received,
            so it is not in `uplink_bytes`.
        attempts: Attempts at the round; bytes and simulated time are those of all.
        simulated_seconds: What the round would take on real links and devices (`tfc.simulation.network`); 0 in files of
            versions that did not count it, which lack the last columns.
        downlink_key_frame_bytes: Part of `downlink_bytes`: whole models, for clients that missed broadcasts.
        downlink_catch_up_bytes: Part of `downlink_bytes`: catch-up messages, coded given an older broadcast.

    Examples:
        >>> import tfc
        >>> last = tfc.read_run("runs/tiny").rounds[-1]
        >>> last.round, last.clients_ok
        (2, 2)
    """

    round: int
    accuracy: float
    loss: float
    num_clusters: int
    quality_score: float
    uplink_bytes: int
    downlink_bytes: int
    key_frame_bytes: int
    rate_weight: float
    clients_ok: int
    clients_failed: int
    seconds: float
    clients_dropped: int = 0
    clients_not_finite: int = 0
    clients_corrupt: int = 0
    clients_late: int = 0
    attempts: int = 1
    simulated_seconds: float = 0.0
    downlink_key_frame_bytes: int = 0
    downlink_catch_up_bytes: int = 0
