"""Observation of a run under way: its log, and TensorBoard's scalars and histograms."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import tensorflow as tf

from tfc.simulation.folder import RoundMetrics
from tfc.simulation.log import log_file, this_process

TENSORBOARD = "tensorboard"
_UNUSED_CENTROID = 1e8
_LOG = logging.getLogger(__name__)


def codebooks(broadcast: Any) -> list[np.ndarray]:
    """Returns the centroids in use of each palettized kernel of a broadcast; none where it has no palettes.

    Args:
        broadcast: The server's broadcast for the next round.

    Returns:
        float32 arrays (clusters,).
    """
    palettes = getattr(getattr(broadcast, "model", None), "palettes", ())
    values = [np.asarray(palette.codebook) for palette in palettes]
    return [value[np.abs(value) < _UNUSED_CENTROID] for value in values]


class RunObserver:
    """Writes run.log and tensorboard/ of one run; a context manager."""

    def __init__(self, folder: Path, rounds: int, method: str, versions: Mapping[str, str]) -> None:
        """Observes a run whose folder exists.

        Args:
            folder: The run's folder.
            rounds: Number of rounds.
            method: The federated method.
            versions: Version by package.
        """
        self._folder, self._rounds = folder, rounds
        self._started = (method, ", ".join(f"{name} {version}" for name, version in versions.items()))
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> RunObserver:
        self._stack.enter_context(log_file(self._folder))
        _LOG.info("%s: %s", self._started[0], this_process())
        _LOG.info("versions: %s", self._started[1])
        self._writer = tf.summary.create_file_writer(str(self._folder / TENSORBOARD))
        self._stack.callback(self._writer.close)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            _LOG.error("ended: %s: %s", kind.__name__, error)
        self._stack.close()

    def add_round(self, metrics: RoundMetrics, broadcast: Any) -> None:
        """Writes a round.

        Args:
            metrics: Its row.
            broadcast: The server's broadcast for the next round.
        """
        _LOG.info(
            "round %d of %d: accuracy %.4f, loss %.4f, %s clusters, %.3f MB up, %.3f MB down, %d clients, %d failed, "
            "%.1f s",
            metrics.round,
            self._rounds,
            metrics.accuracy,
            metrics.loss,
            metrics.num_clusters or "no",
            metrics.uplink_bytes / 1e6,
            metrics.downlink_bytes / 1e6,
            metrics.clients_ok,
            metrics.clients_failed,
            metrics.seconds,
        )
        if metrics.clients_failed:
            _LOG.warning("round %d: %d clients did not count", metrics.round, metrics.clients_failed)
        with self._writer.as_default(step=metrics.round):
            for name, value in asdict(metrics).items():
                if name != "round":
                    tf.summary.scalar(name, value)
            for number, values in enumerate(codebooks(broadcast)):
                tf.summary.histogram(f"codebook/{number:02}", values)
        self._writer.flush()
