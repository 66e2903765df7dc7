"""How a run progresses from round to round, or several runs on average: what curves show."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tfc.simulation.folder import FinishedRun, RoundMetrics

POINTS_BELOW = 0.01
"""How far below the baseline's accuracy the target of a comparison lies: a point."""


@dataclass(frozen=True)
class Progress:
    """The curves of one run, or the mean curves of several.

    Attributes:
        runs: At least one run; of several, curves end with the shortest.
    """

    runs: tuple[FinishedRun, ...]

    @property
    def label(self) -> str:
        """Its name in a legend."""
        return self.runs[0].name

    @property
    def last_rounds(self) -> int:
        """How many last rounds the accuracy that a run reached is the mean of."""
        return self.runs[0].last_rounds

    @property
    def accuracy_label(self) -> str:
        """What an axis of `accuracies` is called."""
        smooth = self.runs[0].smooth
        return "test accuracy" if smooth == 1 else f"test accuracy, mean of {smooth} rounds"

    @property
    def averaged(self) -> str:
        """A remark on `accuracies` that follows 'the accuracy of a round'; empty where rounds are not averaged."""
        smooth = self.runs[0].smooth
        return "" if smooth == 1 else f", averaged over the {smooth} rounds up to it,"

    def per_round(self, value: Callable[[RoundMetrics], float]) -> list[float]:
        """Returns a figure of each round, mean over runs.

        Args:
            value: Takes it from a row of metrics.csv.
        """
        return self._means([[value(row) for row in run.rounds] for run in self.runs])

    @property
    def accuracies(self) -> list[float]:
        """Test accuracy after each round, 0 to 1, mean over runs; each run's is averaged over its `smooth` rounds."""
        return self._means([run.accuracies for run in self.runs])

    @property
    def accuracy_range(self) -> list[tuple[float, float]]:
        """Lowest and highest test accuracy of any run after each round, averaged likewise."""
        rounds = zip(*(run.accuracies for run in self.runs), strict=False)
        return [(min(values), max(values)) for values in rounds]

    @property
    def bytes_so_far(self) -> list[float]:
        """Bytes of both directions until the end of each round, mean over runs."""
        return self._so_far(lambda row: row.uplink_bytes + row.downlink_bytes)

    @property
    def hours_so_far(self) -> list[float]:
        """Simulated hours until the end of each round, mean over runs."""
        return self._so_far(lambda row: row.simulated_seconds / 3600)

    @property
    def is_timed(self) -> bool:
        """Whether simulated time was counted: older versions did not."""
        return all(row.simulated_seconds > 0 for run in self.runs for row in run.rounds)

    def _so_far(self, value: Callable[[RoundMetrics], float]) -> list[float]:
        return self._means([list(itertools.accumulate(value(row) for row in run.rounds)) for run in self.runs])

    @staticmethod
    def _means(curves: Sequence[Sequence[float]]) -> list[float]:
        return [statistics.fmean(values) for values in zip(*curves, strict=False)]
