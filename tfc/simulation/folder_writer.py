"""Writes a run's folder: configuration, partition, metrics of each round, summary. `tfc.simulation.folder` reads it."""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from tfc.base.atomic_write import atomic_write, is_temporary
from tfc.base.clean_text import clean
from tfc.base.errors import RunError
from tfc.base.run_files import CLASS_COUNTS, CONFIG, METRICS, SUMMARY
from tfc.simulation.folder import RoundMetrics
from tfc.simulation.lock import LOCK


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns a failure to write a run's file into one error; finished rounds are kept.

    Args:
        path: The run's folder.

    Raises:
        RunError: In place of OSError and of TensorFlow's OpError: names the file and the reason.
    """
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{error.filename or path}: cannot be written: {error.strerror or error}; the same command resumes the run "
            "after its last finished round"
        ) from error
    except Exception as error:
        # TensorFlow's writers (models, TensorBoard) raise an error of their own on a full disk.
        if not any(base.__name__ == "OpError" for base in type(error).__mro__):
            raise
        raise RunError(
            f"{path}: cannot be written: {clean(getattr(error, 'message', error), 200)}; the same command goes on "
            "after the last round that was kept"
        ) from error


def _clear(path: Path) -> None:
    """Removes an old run; its config.toml last, so that the folder is recognised as a run's until then."""
    entries = sorted(path.iterdir(), key=lambda entry: entry.name == CONFIG)
    for entry in entries:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != LOCK:
            entry.unlink()


class RunFolder:
    """The folder of a run that is under way.

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
            atomic_write(self.path / CLASS_COUNTS) as temporary,
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
            atomic_write(self.path / METRICS) as temporary,
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
        self.write_text(SUMMARY, json.dumps(summary, indent=2) + "\n")
