"""Reads a run's folder: rows of metrics.csv, finished runs. `tfc.simulation.folder_writer` writes it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any

from tfc.base.clean_text import clean
from tfc.base.errors import RunError
from tfc.base.regular_file import reading
from tfc.base.run_files import CLASS_COUNTS, CONFIG, METRICS, SUMMARY
from tfc.base.schema import Check, cell, either, flag, number, optional, read_csv, read_json, record, text, whole
from tfc.codec.palette import MAX_CLUSTERS
from tfc.config.loading import read_settings
from tfc.simulation.round_metrics import RoundMetrics as RoundMetrics
from tfc.simulation.totals import LAST_ROUNDS, checked_totals, mean_accuracy


@dataclass(frozen=True)
class FinishedRun:
    """A run as read from its folder.

    Attributes:
        path: The folder.
        summary: Content of summary.json.
        rounds: Rows of metrics.csv.
        class_counts: Rows of clients.csv: examples of each class of each client; empty where a run has no such file.
        label: Name that is unique among the compared runs; empty for the folder's name.
        smooth: Rounds that comparisons average accuracies over; 1 for each round's own.

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
    smooth: int = 1

    @property
    def name(self) -> str:
        """Name in tables and legends: the label, or that of the folder."""
        return self.label or self.path.resolve().name

    @property
    def accuracies(self) -> list[float]:
        """Test accuracy after each round, 0 to 1: the mean of `smooth` rounds up to it, of fewer at the start."""
        own = [row.accuracy for row in self.rounds]
        if self.smooth == 1:
            return own
        return [statistics.fmean(own[max(0, end - self.smooth) : end]) for end in range(1, len(own) + 1)]

    @property
    def last_rounds(self) -> int:
        """How many last rounds `reached` is the mean of: three, or `smooth` where that is more."""
        return max(LAST_ROUNDS, self.smooth)

    @property
    def reached(self) -> float:
        """The accuracy that the run reached, 0 to 1: the mean of its last rounds."""
        if self.smooth == 1:
            return float(self.summary["last3_accuracy"])
        return mean_accuracy(self.rounds, self.last_rounds)

    @property
    def is_baseline(self) -> bool:
        """Whether it is plain FedAvg, the baseline of the others."""
        return bool(self.summary["method"] == "fedavg" and self.summary.get("aggregation", "mean") == "mean")


_ACCURACY, _RATIO = number(0, 1), optional(number(0))
_NAMES = record({}, rest=either(text(), number(), flag(), optional(text())))

_SUMMARY = record(
    {
        "method": text(60),
        "rounds": whole(1),
        "final_accuracy": _ACCURACY,
        "last3_accuracy": _ACCURACY,
        "num_clusters": whole(0, MAX_CLUSTERS),
        "uplink_bytes": whole(),
        "downlink_bytes": whole(),
        "fedavg_bytes": whole(),
        "communication_ratio": _RATIO,
        "uplink": text(60),
        "versions": _NAMES,
    },
    {
        "aggregation": text(60),
        "best_accuracy": _ACCURACY,
        "uplink_counted_by": text(60),
        "uplink_ratio": _RATIO,
        "downlink_ratio": _RATIO,
        "parameters": whole(1),
        "moved_parameters": whole(1),
        "start_bytes": whole(),
        "seconds": number(0),
        "simulated_seconds": number(0),
        "peak_rss_mb": number(0),
        "dataset": text(),
        "synthetic": optional(flag()),
        "model": text(),
        "seed": whole(),
        "machine": _NAMES,
        "model_bytes": whole(),
    },
    rest=either(text(), number(), flag(), optional(_NAMES)),
)

_COUNT = whole()
_LARGEST = 1e15


def _of_a_model(value: float, place: str) -> float:
    """A model that diverges has no finite loss, and is still a result."""
    return value if not math.isfinite(value) else float(number(-_LARGEST, _LARGEST)(value, place))


_METRICS: dict[str, tuple[type, Check]] = {
    "round": (int, whole(1)),
    "accuracy": (float, _ACCURACY),
    "num_clusters": (int, whole(0, MAX_CLUSTERS)),
    "rate_weight": (float, number(0, _LARGEST)),
    "seconds": (float, number(0, _LARGEST)),
    "attempts": (int, whole(1)),
    "simulated_seconds": (float, number(0, _LARGEST)),
    "loss": (float, _of_a_model),
    "quality_score": (float, _of_a_model),
}
"""What a column of metrics.csv may hold; all others are counts."""


def read_run(path: str | Path) -> FinishedRun:
    """Reads a finished run.

    Args:
        path: The run's folder.

    Raises:
        RunError: If it is no run, not finished, or damaged; if its files contradict each other: the figures of
            summary.json that follow from metrics.csv are derived anew and compared.

    Examples:
        >>> import tfc
        >>> finished = tfc.read_run("runs/tiny")
        >>> finished.summary["final_accuracy"] == finished.rounds[-1].accuracy
        True
    """
    path = Path(path)
    for name in (CONFIG, METRICS, SUMMARY):
        if not (path / name).exists():
            hint = "it is not finished" if (path / CONFIG).exists() else "it is not a run's folder"
            raise RunError(f"{path}: {name} is missing: {hint}")
    summary = read_json(path / SUMMARY, _SUMMARY, RunError, "a run's summary of this version")
    rows = read_metrics(path / METRICS)
    with reading(path, RunError, "a finished run"):
        if not rows:
            raise ValueError(f"{METRICS} has no rounds")
        summary = checked_totals(summary, rows)
        settings = read_settings(path / CONFIG)
        for name in ("method", "rounds", "seed"):
            if name in settings and name in summary and settings[name] != summary[name]:
                raise ValueError(f"{name} is {summary[name]} in {SUMMARY}, but {clean(settings[name])} in {CONFIG}")
    return FinishedRun(path, summary, rows, _read_class_counts(path / CLASS_COUNTS))


def read_runs(paths: Sequence[Path], smooth: int = 1) -> list[FinishedRun]:
    """Reads finished runs to compare: labels of folders with equal names include the parent folder's.

    Args:
        paths: The runs' folders.
        smooth: Rounds that the comparison averages accuracies over, at least 1.

    Raises:
        RunError: As `read_run`, and if a folder is named twice, or a run has fewer rounds than are averaged.
    """
    if smooth < 1:
        raise RunError(f"the number of rounds to average over must be at least 1; found {smooth}")
    parts = [path.resolve().parts for path in paths]
    runs = []
    for path, mine in zip(paths, parts, strict=True):
        if parts.count(mine) > 1:
            raise RunError(f"{path}: named twice")
        length = 1
        while sum(others[-length:] == mine[-length:] for others in parts) > 1:
            length += 1
        run = read_run(path)
        if len(run.rounds) < smooth:
            raise RunError(f"{path}: it has {len(run.rounds)} rounds, so accuracies can't be averaged over {smooth}")
        runs.append(replace(run, label="/".join(mine[-length:]), smooth=smooth))
    return runs


def read_metrics(path: Path) -> tuple[RoundMetrics, ...]:
    """Reads metrics.csv; columns that came later have their defaults in older files.

    Args:
        path: The file.

    Raises:
        RunError: If it is damaged.
    """
    what = "a run's rows of rounds"
    header, *rows = read_csv(path, RunError, what)
    with reading(path, RunError, what):
        known = {each.name: each.default is MISSING for each in fields(RoundMetrics)}
        missing = [name for name, required in known.items() if required and name not in header]
        unknown = [clean(name, 60) for name in header if name not in known]
        if missing or unknown:
            raise ValueError(f"it lacks {', '.join(missing)}" if missing else f"unknown columns {', '.join(unknown)}")
        found = tuple(
            RoundMetrics(**{name: _metric(name, value, number) for name, value in zip(header, row, strict=True)})
            for number, row in enumerate(rows, 1)
        )
        gap = next((number for number, row in enumerate(found, 1) if row.round != number), None)
        if gap:
            raise ValueError(f"row {gap} is of round {found[gap - 1].round}; rounds are 1, 2, 3 and so on")
        return found


def _metric(name: str, value: str, row: int) -> Any:
    kind, check = _METRICS.get(name, (int, _COUNT))
    return check(cell(kind, value), f"{name} in row {row}")


def _read_class_counts(path: Path) -> tuple[tuple[int, ...], ...]:
    if not path.exists():
        return ()
    what = "the table of clients' examples"
    header, *rows = read_csv(path, RunError, what)
    with reading(path, RunError, what):
        if len(header) < 2 or header != ["client", *(f"class_{label}" for label in range(len(header) - 1))]:
            raise ValueError("its columns must be client, class_0, class_1 and so on")
        if [row[0] for row in rows] != [str(client) for client in range(len(rows))]:
            raise ValueError("its clients must be 0, 1, 2 and so on")
        return tuple(
            tuple(_COUNT(cell(int, count), f"a count of client {client}") for count in row[1:])
            for client, row in enumerate(rows)
        )
