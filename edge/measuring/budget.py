"""Limits for the figures of a measurement, so that a regression fails a build."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge.measuring.bench_table import milliseconds
from tfc.base.errors import EdgeError


@dataclass(frozen=True)
class Budget:
    """Limits; None for none.

    Attributes:
        max_median_ms: Of the median latency, in milliseconds.
        min_accuracy: Of the accuracy, a share from 0 to 1.
        max_bytes: Of the file's size, in bytes.
    """

    max_median_ms: float | None = None
    min_accuracy: float | None = None
    max_bytes: int | None = None

    def check(self, *, has_data: bool) -> None:
        """Checks that the limits are possible before anything is measured.

        Args:
            has_data: Whether accuracies will be measured.

        Raises:
            EdgeError: If they are not.
        """
        if self.max_median_ms is not None and not self.max_median_ms > 0:
            raise EdgeError(f"--max-median-ms must be more than 0; found {self.max_median_ms:g}")
        if self.max_bytes is not None and self.max_bytes < 1:
            raise EdgeError(f"--max-bytes must be at least 1; found {self.max_bytes}")
        if self.min_accuracy is not None and not 0 <= self.min_accuracy <= 1:
            raise EdgeError(f"--min-accuracy must be from 0 to 1; found {self.min_accuracy:g}")
        if self.min_accuracy is not None and not has_data:
            raise EdgeError("--min-accuracy needs --data")

    def broken(self, result: dict[str, Any], *, spared: str | None = None) -> list[str]:
        """Returns a line for each limit that a file does not keep, and for each that can't be told.

        Args:
            result: What `edge.bench_files` returned.
            spared: Path of a file that limits do not apply to: the baseline, where it was measured only as such.
        """
        lines = []
        for item in result["files"]:
            if item["path"] == spared:
                continue
            name = f"{item['name']} ({item['runtime']})"
            median, accuracy = item["latency_ms"]["median"], item["accuracy"]
            if self.max_median_ms is not None and median > self.max_median_ms:
                lines.append(f"{name}: median {milliseconds(median)} ms, allowed {self.max_median_ms:g}")
            if self.min_accuracy is not None and accuracy is None:
                lines.append(f"{name}: accuracy not measured, {self.min_accuracy:g} needed")
            elif self.min_accuracy is not None and accuracy < self.min_accuracy:
                lines.append(f"{name}: accuracy {accuracy:.4f}, {self.min_accuracy:g} needed")
            if self.max_bytes is not None and item["bytes"] > self.max_bytes:
                lines.append(f"{name}: {item['bytes']:,} bytes, allowed {self.max_bytes:,}")
        measured = {item["name"] for item in result["files"]}
        for each in result["refused"]:
            if each["name"] not in measured:
                lines.append(f"{each['name']} ({each['runtime']}): not measured: {each['reason']}")
        return lines
