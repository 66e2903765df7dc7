"""Keeps a run's payloads while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfc.federated.global_model import ModelSpec
from tfc.federated.ledger import Shipment
from tfc.payload_files import RoundPayloads, broadcast_digest, digest, write_round, write_spec


class PayloadRecorder:
    """Writes every payload of a run, round by round, and digests of what the server made of them."""

    def __init__(self, folder: Path, spec: ModelSpec) -> None:
        """Writes what both ends know beforehand.

        Args:
            folder: The run's folder of payloads.
            spec: The model.
        """
        self._folder = folder
        self._broadcasts: dict[int, bytes] = {}
        write_spec(folder, spec.downlink, spec.uplink)

    def add(self, round_number: int, broadcast: Any, shipments: Sequence[Shipment], metrics: Any) -> None:
        """Writes a round.

        Args:
            round_number: From 1.
            broadcast: The server's `Broadcast` of the round.
            shipments: What each client got of it.
            metrics: The process' metrics, made with `record_payloads`.
        """
        self._broadcasts[round_number] = np.asarray(broadcast.payload, np.uint8).tobytes()
        key_frame = np.asarray(broadcast.key_frame, np.uint8).tobytes()
        down = {
            shipment.client: [self._broadcasts[number] for number in shipment.rounds] or [key_frame]
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
