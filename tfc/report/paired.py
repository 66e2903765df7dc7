"""Paired differences over seeds: two methods under the same seed share data, clients and first weights."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from typing import NamedTuple

CONFIDENCE = 0.95


class PairedDifference(NamedTuple):
    """The mean difference over seeds that both have, with its interval.

    Attributes:
        mean: Mean of the differences.
        low: Lower end of the 95 % interval of Student's t; None with fewer than two common seeds.
        high: Upper end.
        seeds: Number of common seeds.
    """

    mean: float
    low: float | None
    high: float | None
    seeds: int

    @property
    def excludes_zero(self) -> bool:
        """Whether one side can be called better: the interval lies on one side of zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def paired_difference(own: Mapping[int, float], other: Mapping[int, float]) -> PairedDifference | None:
    """Returns the mean of the differences under equal seeds; None where no seed is common.

    Source: Student, "The Probable Error of a Mean" (Biometrika 6, 1908), on the differences.

    Args:
        own: Figures by seed.
        other: Figures by seed, subtracted.

    Examples:
        >>> found = paired_difference({0: 0.80, 1: 0.82, 2: 0.81}, {0: 0.79, 1: 0.80, 2: 0.80, 3: 0.5})
        >>> round(found.mean, 4), round(found.low, 4), round(found.high, 4), found.seeds
        (0.0133, -0.001, 0.0277, 3)
        >>> found.excludes_zero
        False
    """
    seeds = sorted(own.keys() & other.keys())
    if not seeds:
        return None
    differences = [own[seed] - other[seed] for seed in seeds]
    mean = statistics.fmean(differences)
    if len(seeds) < 2:
        return PairedDifference(mean, None, None, len(seeds))
    from scipy import stats

    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(seeds) - 1) * statistics.stdev(differences) / math.sqrt(len(seeds))
    return PairedDifference(mean, mean - float(half), mean + float(half), len(seeds))
