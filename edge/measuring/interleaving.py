"""Latencies of files that alternate in slices, and their speed-ups. NumPy alone."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from edge.running.interpreters import KERNELS, InterpreterOptions
from tfc.base.errors import EdgeError

Progress = Callable[[str, float], None]
"""Called with a step's description and the share that is done, 0 to 1."""

_LOG = logging.getLogger(__name__)
_BOOTSTRAP_DRAWS = 1000


@dataclass(frozen=True)
class BenchSettings:
    """Settings of a measurement.

    Attributes:
        threads: Threads of the interpreter.
        kernels: A key of `edge.running.interpreters.KERNELS`.
        batch: Inputs per run; a latency is that of a whole batch.
        warm_up_runs: Uncounted runs of each file, first.
        min_runs: Counted runs of each file at least.
        min_seconds: Seconds of counted runs of each file at least.
        slices: Number of slices; in each slice every file runs in turn.
        keep_state: Whether an example starts with the state that the one before it left (streams).

    Examples:
        >>> import edge
        >>> settings = edge.BenchSettings(threads=4, min_seconds=5.0)
    """

    threads: int = 1
    kernels: str = "xnnpack"
    batch: int = 1
    warm_up_runs: int = 10
    min_runs: int = 100
    min_seconds: float = 1.0
    slices: int = 20
    keep_state: bool = False

    @property
    def interpreter_options(self) -> InterpreterOptions:
        """The interpreter's part of the settings.

        Raises:
            EdgeError: If a setting is impossible; names it.
        """
        if self.threads < 1 or self.batch < 1:
            raise EdgeError(f"--threads and --batch must be at least 1; found {self.threads} and {self.batch}")
        if self.slices < 1 or self.min_runs < 1 or not 0 <= self.min_seconds < 1e6:
            raise EdgeError("slices and --min-runs must be at least 1, --min-seconds from 0 to 1,000,000")
        if self.kernels not in KERNELS:
            raise EdgeError(f"--kernels must be one of {', '.join(KERNELS)}; found {self.kernels!r}")
        return InterpreterOptions(self.threads, self.kernels, self.batch, self.keep_state)


class Runner(Protocol):
    """Anything whose runs can be timed."""

    def run(self, count: int) -> list[float]:
        """Returns the milliseconds of each of some runs."""


def interleaved_latencies(
    runners: Sequence[Runner], settings: BenchSettings, progress: Progress
) -> tuple[list[list[list[float]]], bool]:
    """Measures every file in every slice, so that a machine's drift affects all files alike.

    Args:
        runners: The files' processes, their input set.
        settings: How long.
        progress: Called with the share that is done.

    Returns:
        Milliseconds per run, one list per file, of one list per finished slice; and whether all slices were finished
        (Ctrl-C ends them early, once there is one).
    """
    runs_per_slice = []
    for runner in runners:
        typical = statistics.median(runner.run(max(settings.warm_up_runs, 1)))
        needed = max(settings.min_runs, settings.min_seconds * 1000 / max(typical, 1e-6))
        runs_per_slice.append(max(1, -int(-needed // settings.slices)))
    samples: list[list[list[float]]] = [[] for _ in runners]
    for number in range(settings.slices):
        # Every other slice goes backwards, so that no file always follows the same one.
        order = range(len(runners)) if number % 2 == 0 else range(len(runners) - 1, -1, -1)
        try:
            # The first run of a turn is not counted: the caches still hold the previous file.
            found = {position: runners[position].run(1 + runs_per_slice[position])[1:] for position in order}
            for position, values in found.items():
                samples[position].append(values)
            progress("latency", (number + 1) / settings.slices)
            _LOG.info("latency: slice %d of %d", number + 1, settings.slices)
        except KeyboardInterrupt:
            finished = min(map(len, samples))
            if not finished:
                raise
            return [slices[:finished] for slices in samples], False
    return samples, True


def paired_ratios(baseline: Sequence[Sequence[float]], candidate: Sequence[Sequence[float]]) -> list[float]:
    """Returns, per slice, the median of the baseline divided by the median of the candidate.

    Args:
        baseline: Milliseconds per run, one list per slice.
        candidate: Likewise, the same slices.
    """
    return [statistics.median(base) / statistics.median(other) for base, other in zip(baseline, candidate, strict=True)]


def paired_speedup(baseline: Sequence[Sequence[float]], candidate: Sequence[Sequence[float]]) -> float:
    """Returns the median over slices of (median of the baseline / median of the candidate).

    Args:
        baseline: Milliseconds per run, one list per slice.
        candidate: Likewise, the same slices.
    """
    return statistics.median(paired_ratios(baseline, candidate))


def speedup_interval(
    baseline: Sequence[Sequence[float]], candidate: Sequence[Sequence[float]], seed: int = 0
) -> tuple[float, float]:
    """Returns the 95 % bootstrap interval of `paired_speedup`, slices being drawn with replacement.

    Source: Efron, "Bootstrap methods: another look at the jackknife" (1979), percentile intervals.

    Args:
        baseline: Milliseconds per run, one list per slice.
        candidate: Likewise, the same slices.
        seed: Of the draws.
    """
    ratios = np.array(paired_ratios(baseline, candidate))
    draws = np.random.default_rng(seed).integers(0, len(ratios), (_BOOTSTRAP_DRAWS, len(ratios)))
    low, high = np.percentile(np.median(ratios[draws], axis=1), [2.5, 97.5])
    return float(low), float(high)


def latency_summary(slices: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Returns median, p10, p90, p99 (milliseconds), the number of runs, and every sample as `raw`.

    Args:
        slices: Milliseconds per run, one list per slice.
    """
    raw = [value for values in slices for value in values]
    p10, median, p90, p99 = np.percentile(raw, [10, 50, 90, 99])
    return {
        "median": round(float(median), 6),
        "p10": round(float(p10), 6),
        "p90": round(float(p90), 6),
        "p99": round(float(p99), 6),
        "runs": len(raw),
        "raw": [[round(value, 6) for value in values] for values in slices],
    }
