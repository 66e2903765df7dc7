"""Reads a run's folder: rows of metrics.csv, finished runs. `tfc.simulation.folder_writer` writes it."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tfc.base.errors import RunError
from tfc.base.run_files import CLASS_COUNTS, CONFIG, METRICS, SUMMARY


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
            versions that did not count it, which lack the last six columns.

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


@dataclass(frozen=True)
class FinishedRun:
    """A run as read from its folder.

    Attributes:
        path: The folder.
        summary: Content of summary.json.
        rounds: Rows of metrics.csv.
        class_counts: Rows of clients.csv: examples of each class of each client; empty where a run has no such file.
        label: Name that is unique among the compared runs; empty for the folder's name.

    Examples:
        >>> import tfc
        >>> finished = tfc.read_run("runs/tiny")
        >>> finished.name, finished.summary["method"], len(finished.rounds)
        ('tiny', 'fedcompress', 2)
    """

    path: Path
    summary: dict[str, Any]
    rounds: tuple[RoundMetrics, ...]
    class_counts: tuple[tuple[int, ...], ...] = ()
    label: str = ""

    @property
    def name(self) -> str:
        """Name in tables and legends: the label, or that of the folder."""
        return self.label or self.path.resolve().name

    @property
    def is_baseline(self) -> bool:
        """Whether it is plain FedAvg, the baseline of the others."""
        return bool(self.summary["method"] == "fedavg" and self.summary.get("aggregation", "mean") == "mean")


_SUMMARY_KEYS = (
    "method",
    "rounds",
    "final_accuracy",
    "last3_accuracy",
    "num_clusters",
    "uplink_bytes",
    "downlink_bytes",
    "communication_ratio",
    "uplink",
    "versions",
)

_COLUMN_TYPES: dict[str, type] = {"int": int, "float": float}


def read_run(path: str | Path) -> FinishedRun:
    """Reads a finished run.

    Args:
        path: The run's folder.

    Raises:
        RunError: If the folder is not a run's, the run is not finished, or a file is damaged.

    Examples:
        >>> import tfc
        >>> finished = tfc.read_run("runs/tiny")
        >>> finished.summary["final_accuracy"] == finished.rounds[-1].accuracy
        True
    """
    path = Path(path)
    for name in (CONFIG, METRICS, SUMMARY):
        if not (path / name).is_file():
            hint = "it is not finished" if (path / CONFIG).is_file() else "it is not a run's folder"
            raise RunError(f"{path}: {name} is missing: {hint}")
    try:
        summary = json.loads((path / SUMMARY).read_text(encoding="utf-8"))
        rows = _read_metrics(path / METRICS)
        counts = _read_class_counts(path / CLASS_COUNTS)
        missing = [key for key in _SUMMARY_KEYS if key not in summary]
        if missing or not rows:
            raise KeyError(", ".join(missing) or "no rounds")
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: damaged {METRICS} or {SUMMARY}, or of another version: {error}") from error
    return FinishedRun(path, summary, rows, counts)


def read_runs(paths: Sequence[Path]) -> list[FinishedRun]:
    """Reads finished runs to compare: labels of folders with equal names include the parent folder's.

    Args:
        paths: The runs' folders.

    Raises:
        RunError: As `read_run`, and if a folder is named twice.
    """
    parts = [path.resolve().parts for path in paths]
    runs = []
    for path, mine in zip(paths, parts, strict=True):
        if parts.count(mine) > 1:
            raise RunError(f"{path}: named twice")
        length = 1
        while sum(others[-length:] == mine[-length:] for others in parts) > 1:
            length += 1
        runs.append(replace(read_run(path), label="/".join(mine[-length:])))
    return runs


def _read_metrics(path: Path) -> tuple[RoundMetrics, ...]:
    """Reads metrics.csv; columns that came later have their defaults in older files."""
    types = {name: _COLUMN_TYPES[str(kind)] for name, kind in RoundMetrics.__annotations__.items()}
    with path.open(newline="", encoding="utf-8") as file:
        return tuple(
            RoundMetrics(**{name: types[name](value) for name, value in row.items()}) for row in csv.DictReader(file)
        )


def _read_class_counts(path: Path) -> tuple[tuple[int, ...], ...]:
    if not path.is_file():
        return ()
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    if len({len(row) for row in rows}) > 1:
        raise RunError(f"{path}: damaged: its rows differ in length")
    try:
        return tuple(tuple(int(count) for count in row[1:]) for row in rows)
    except ValueError as error:
        raise RunError(f"{path}: damaged: {error}") from error
