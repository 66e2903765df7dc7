"""The folder of a run: configuration, metrics of each round, summary, figures, model."""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from tfc.base.atomic_write import atomic_write, is_temporary
from tfc.base.errors import RunError
from tfc.run.lock import LOCK

_CLIENTS = "clients.csv"


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
        simulated_seconds: Simulated time of the round on the configured links and devices (`tfc.run.network`); 0 in
            files of versions that did not count it, which lack the last six columns.
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


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns a failure to write a run's file into one error; finished rounds are kept.

    Args:
        path: The run's folder.

    Raises:
        RunError: In place of OSError: names the file and the reason.
    """
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{error.filename or path}: cannot be written: {error.strerror or error}; the same command resumes the run "
            "after its last finished round"
        ) from error


def _clear(path: Path) -> None:
    """Removes an old run; its config.toml last, so that the folder is recognised as a run's until then."""
    entries = sorted(path.iterdir(), key=lambda entry: entry.name == "config.toml")
    for entry in entries:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != LOCK:
            entry.unlink()


class RunFolder:
    """Writes one run; `read_run` reads it.

    Attributes:
        path: The folder.
    """

    def __init__(self, path: Path, rows: Sequence[RoundMetrics] | None = None) -> None:
        """Creates the folder, or opens that of a run to be resumed.

        Args:
            path: Where; its parents are created.
            rows: Rows of metrics.csv up to the checkpoint of a resumed run; later rows in the file are dropped. None
                for a new run, which removes an old one in the folder.

        Raises:
            RunError: If nothing can be written.
        """
        self.path = path
        self._rows: list[RoundMetrics] = list(rows or ())
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
            if rows is None:
                _clear(path)
                return
            for leftover in path.rglob(".*"):  # temporary files of a killed process
                if is_temporary(leftover) and leftover.is_file():
                    leftover.unlink()
            self._write_metrics()

    def write_text(self, name: str, content: str) -> None:
        """Writes a text file of the run atomically."""
        with atomic_write(self.path / name) as temporary:
            temporary.write_text(content, encoding="utf-8")

    def write_class_counts(self, counts: Sequence[Sequence[int]]) -> None:
        """Writes clients.csv: one row per client, its number of examples of each class.

        Args:
            counts: One row per client, one column per class.
        """
        with (
            atomic_write(self.path / _CLIENTS) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(["client", *(f"class_{label}" for label in range(len(counts[0])))])
            writer.writerows([client, *row] for client, row in enumerate(counts))

    def add_round(self, metrics: RoundMetrics) -> None:
        """Adds a row to metrics.csv; the file is replaced as a whole, so a reader never sees half a row."""
        self._rows.append(metrics)
        self._write_metrics()

    def _write_metrics(self) -> None:
        with (
            atomic_write(self.path / "metrics.csv") as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, [column.name for column in fields(RoundMetrics)])
            writer.writeheader()
            writer.writerows(asdict(row) for row in self._rows)

    @property
    def rounds(self) -> tuple[RoundMetrics, ...]:
        """Rows so far."""
        return tuple(self._rows)

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Writes summary.json, which marks the run as finished."""
        self.write_text("summary.json", json.dumps(summary, indent=2) + "\n")


@dataclass(frozen=True)
class FinishedRun:
    """A run as read from its folder.

    Attributes:
        path: The folder.
        summary: Content of summary.json.
        rounds: Rows of metrics.csv.
        class_counts: Rows of clients.csv: examples of each class of each client; empty where a run has no such file.
        label: Name that is unique among the compared runs; empty for the folder's name.
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


def read_run(path: Path) -> FinishedRun:
    """Reads a finished run.

    Args:
        path: The run's folder.

    Raises:
        RunError: If the folder is not a run's, the run is not finished, or a file is damaged.
    """
    for name in ("config.toml", "metrics.csv", "summary.json"):
        if not (path / name).is_file():
            hint = "it is not finished" if (path / "config.toml").is_file() else "it is not a run's folder"
            raise RunError(f"{path}: {name} is missing: {hint}")
    types = {name: _COLUMN_TYPES[str(kind)] for name, kind in RoundMetrics.__annotations__.items()}
    try:
        summary = json.loads((path / "summary.json").read_text(encoding="utf-8"))
        with (path / "metrics.csv").open(newline="", encoding="utf-8") as file:
            rows = tuple(
                RoundMetrics(**{name: types[name](value) for name, value in row.items()})
                for row in csv.DictReader(file)
            )
        counts = _read_class_counts(path / _CLIENTS)
        missing = [key for key in _SUMMARY_KEYS if key not in summary]
        if missing or not rows:
            raise KeyError(", ".join(missing) or "no rounds")
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: damaged metrics.csv or summary.json, or of another version: {error}") from error
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
