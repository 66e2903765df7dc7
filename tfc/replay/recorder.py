"""Keeps a run's payloads while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfc.codec.message_spec import float32_message_bytes
from tfc.config import ExperimentConfig
from tfc.federated.broadcast_tracker import BroadcastTracker, Shipment
from tfc.federated.model_spec import ModelFn, ModelSpec
from tfc.registries import METHODS
from tfc.replay.files import (
    RoundPayloads,
    broadcast_digest,
    digest,
    drop_rounds_after,
    write_final,
    write_round,
    write_spec,
)


def unrecordable(config: ExperimentConfig) -> str:
    """Returns why a run's payloads can't be recorded for `tfc.replay`; an empty text where they can.

    Args:
        config: The experiment.
    """
    faults = config.faults
    known = ", ".join(name for name, method in METHODS.items() if method.messages)
    reasons = {
        f"method {config.method}: 'tfc replay' knows {known}": METHODS[config.method].messages is None,
        f"aggregation {config.aggregation}: tensors travel, not payloads": config.aggregation != "mean",
        "server.update_norm_bound: the mean is not that of the answers": config.server.update_norm_bound > 0,
        "faults.corrupt: corrupted answers can't be replayed": faults.corrupt > 0,
        "faults.min_clients: a replay knows no repeated rounds": faults.min_clients > 0,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def recorded_spec(model_fn: ModelFn, config: ExperimentConfig) -> ModelSpec:
    """Returns the form of a run's messages.

    Args:
        model_fn: Builds the Keras model.
        config: Its method's payloads can be recorded.
    """
    spec: ModelSpec = METHODS[config.method].messages(model_fn, config)
    return spec


class PayloadRecorder:
    """Writes every payload of a run, round by round, and digests of what the server made of them."""

    def __init__(
        self, folder: Path, spec: ModelSpec, after: int = 0, broadcasts: Mapping[int, bytes] | None = None
    ) -> None:
        """Writes what both ends know beforehand.

        Args:
            folder: The run's folder of payloads.
            spec: The model.
            after: Round after which the run goes on; payloads of later rounds are removed.
            broadcasts: What `needed` returned then.
        """
        self._folder = folder
        sizes = (*spec.downlink.kernel_sizes, *spec.downlink.other_sizes)
        # No form of a model is twice as long as float32, and a little for models of next to nothing.
        self._longest_key_frame = 2 * float32_message_bytes(sum(sizes), 0) + 4096
        self._broadcasts = dict(broadcasts or {})
        drop_rounds_after(folder, after)
        write_spec(folder, spec.downlink, spec.uplink)

    def needed(self, tracker: BroadcastTracker, num_clients: int) -> dict[int, bytes]:
        """Returns the broadcasts that a later round may still send to a client that missed them, by round.

        The others are forgotten: what is held does not grow with the number of rounds. A client that would need more
        bytes of them than a key frame takes gets the key frame.

        Args:
            tracker: Who holds which broadcast.
            num_clients: Number of clients in all.
        """
        oldest = min(tracker.last_held.get(client, 0) for client in range(num_clients))
        lengths = tracker.payload_bytes
        self._broadcasts = {
            number: payload
            for number, payload in self._broadcasts.items()
            if number > oldest and sum(lengths[number - 1 :]) <= self._longest_key_frame
        }
        return dict(self._broadcasts)

    def add(
        self,
        round_number: int,
        broadcast: Any,
        shipments: Sequence[Shipment],
        metrics: Any,
        catch_up: Callable[[int], bytes],
    ) -> None:
        """Writes a round.

        Args:
            round_number: From 1.
            broadcast: The server's `Broadcast` of the round.
            shipments: What each client got of it.
            metrics: The process' metrics, made with `record_payloads`.
            catch_up: (round) -> the catch-up message for clients that hold that round's broadcast.
        """
        self._broadcasts[round_number] = np.asarray(broadcast.payload, np.uint8).tobytes()
        key_frame = np.asarray(broadcast.key_frame, np.uint8).tobytes()
        down = {
            shipment.client: [self._broadcasts[number] for number in shipment.rounds]
            or [catch_up(shipment.since) if shipment.since else key_frame]
            for shipment in shipments
        }
        collected = metrics["aggregator"]["payloads"]
        data = np.asarray(collected.data, np.uint8).tobytes()
        ends = np.cumsum(collected.lengths)
        up = {
            shipment.client: data[end - length : end]
            for shipment, length, end in zip(shipments, collected.lengths, ends, strict=True)
            if length
        }
        average = metrics["finalizer"]["average"]
        model = broadcast.model
        write_round(
            self._folder,
            RoundPayloads(
                round_number,
                down,
                up,
                broadcast_digest(model.palettes, model.others),
                digest([*average[0], *average[1]]),
            ),
        )

    def finish(self, broadcast: Any) -> None:
        """Writes what clients would be sent after the last round, which is the final model.

        Args:
            broadcast: The server's `Broadcast` after the last round.
        """
        write_final(self._folder, np.asarray(broadcast.payload, np.uint8).tobytes())
