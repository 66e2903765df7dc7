"""Seed groups: runs that differ in nothing but their seed; and their bytes and hours to a target accuracy."""

from __future__ import annotations

import dataclasses
import re
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfc import config as configuration
from tfc.base.errors import ConfigError
from tfc.base.run_files import CONFIG
from tfc.config import ExperimentConfig
from tfc.report.paired import PairedDifference, paired_difference
from tfc.simulation.folder import FinishedRun
from tfc.simulation.progress import POINTS_BELOW, Progress


@dataclass(frozen=True)
class SeedGroup(Progress):
    """One row of a comparison: runs that differ in nothing but their seed.

    Attributes:
        runs: One run per seed.
        name: The runs' common name, without seed.
    """

    name: str

    def mean(self, key: str) -> float:
        """Returns the mean over seeds of a figure of `summary.json`.

        Args:
            key: Its name.
        """
        return statistics.fmean(run.summary[key] for run in self.runs)

    @property
    def reached(self) -> float:
        """The accuracy reached, 0 to 1: mean of each run's last rounds, and of the seeds."""
        return statistics.fmean(run.reached for run in self.runs)

    @property
    def reached_deviation(self) -> float | None:
        """The standard deviation over seeds of the accuracy reached; None for a single run."""
        return statistics.stdev(run.reached for run in self.runs) if len(self.runs) > 1 else None

    @property
    def reached_by_seed(self) -> dict[int, float]:
        """The accuracy reached, by seed."""
        return {int(run.summary["seed"]): run.reached for run in self.runs}

    @property
    def method(self) -> str:
        """The federated method."""
        return str(self.runs[0].summary["method"])

    @property
    def is_baseline(self) -> bool:
        """Whether it is plain FedAvg, the baseline of the others."""
        return self.runs[0].is_baseline

    @property
    def total_bytes(self) -> float:
        """Bytes of both directions, mean over seeds."""
        return self.mean("uplink_bytes") + self.mean("downlink_bytes")

    @property
    def ratio(self) -> float:
        """The communication ratio: FedAvg's bytes divided by the bytes sent."""
        return self.mean("fedavg_bytes") / self.total_bytes

    @property
    def label(self) -> str:
        """Its name in a legend."""
        return self.runs[0].name if len(self.runs) == 1 else f"{self.name} ({len(self.runs)} seeds)"

    def bytes_to(self, accuracy: float) -> float | None:
        """Returns the bytes sent until the mean curve reaches an accuracy for the first time; None where it never does.

        Args:
            accuracy: Share of right answers.
        """
        return self.used_at(accuracy, self.bytes_so_far)

    def hours_to(self, accuracy: float) -> float | None:
        """Returns the simulated hours until the mean curve reaches an accuracy; None where it never does.

        Args:
            accuracy: Share of right answers.
        """
        return self.used_at(accuracy, self.hours_so_far)

    def used_at(self, accuracy: float, so_far: Sequence[float]) -> float | None:
        """Returns the cumulated cost when the mean curve first reaches an accuracy; None where it never does.

        Args:
            accuracy: Share of right answers.
            so_far: Cumulated cost after each round.
        """
        pairs = zip(self.accuracies, so_far, strict=True)
        return next((amount for reached, amount in pairs if reached >= accuracy), None)


def _settings_and_seed(run: FinishedRun) -> tuple[ExperimentConfig | Path, int]:
    """A run's settings without the seed, and its seed. Keys that are missing in older files have their defaults."""
    try:
        config = configuration.load(str(run.path / CONFIG))
    except ConfigError:  # written by another version: a seed group of its own
        return run.path, 0
    return dataclasses.replace(configuration.for_comparison(config), seed=0), config.seed


def seed_groups(runs: Sequence[FinishedRun]) -> list[SeedGroup]:
    """Groups runs that differ in nothing but their seed; a repeated seed starts another group.

    Args:
        runs: Finished runs.

    Returns:
        Seed groups in the order of their first runs.
    """
    groups: dict[tuple[ExperimentConfig | Path, int], list[FinishedRun]] = {}
    repeats: Counter[tuple[ExperimentConfig | Path, int]] = Counter()
    for run in runs:
        settings, seed = _settings_and_seed(run)
        groups.setdefault((settings, repeats[settings, seed]), []).append(run)
        repeats[settings, seed] += 1
    return [
        SeedGroup(tuple(members), re.sub(r"-?seed\d+$", "", members[0].name) or members[0].name)
        for members in groups.values()
    ]


def baseline(groups: Sequence[SeedGroup]) -> SeedGroup | None:
    """Returns the baseline row: the one that is FedAvg, or of several the one that is named so; None without one.

    Args:
        groups: The rows of one comparison.
    """
    found = [group for group in groups if group.is_baseline]
    named = [group for group in found if group.name == "fedavg"]
    return found[0] if len(found) == 1 else named[0] if len(named) == 1 else None


def points_above_baseline(group: SeedGroup, groups: Sequence[SeedGroup]) -> PairedDifference | None:
    """Returns a row's accuracy minus FedAvg's, paired by seed; None for FedAvg's, or where they can't be compared.

    Args:
        group: One row of a comparison.
        groups: All of them.

    Returns:
        In shares of right answers, mean of the last rounds.
    """
    reference = baseline(groups)
    if reference is None or group is reference or differences_from_baseline(group, groups):
        return None
    return paired_difference(group.reached_by_seed, reference.reached_by_seed)


def target_accuracy(groups: Sequence[SeedGroup]) -> float | None:
    """Returns FedAvg's accuracy (mean of its last rounds and of its seeds) minus a point.

    Args:
        groups: The rows of one comparison.

    Returns:
        None unless exactly one of them is FedAvg's.
    """
    found = baseline(groups)
    return found.reached - POINTS_BELOW if found else None


def times_sooner(group: SeedGroup, groups: Sequence[SeedGroup]) -> float | None:
    """Returns how many times sooner than FedAvg a seed group reaches the target, in simulated time.

    None where FedAvg or the group never reaches it.

    Args:
        group: One row of a comparison.
        groups: All of them.
    """
    reference, accuracy = baseline(groups), target_accuracy(groups)
    if reference is None or accuracy is None or not (group.is_timed and reference.is_timed):
        return None
    own, other = group.hours_to(accuracy), reference.hours_to(accuracy)
    return None if own is None or other is None else other / own


def ranked(groups: Sequence[SeedGroup], accuracy: float) -> list[SeedGroup]:
    """Returns groups sorted by their bytes to an accuracy, fewest first; those that never reach it come last.

    Args:
        groups: The rows of one comparison.
        accuracy: Share of right answers.
    """

    def key(group: SeedGroup) -> tuple[bool, float]:
        needed = None if differences_from_baseline(group, groups) else group.bytes_to(accuracy)
        return (needed is None, -group.reached if needed is None else needed)

    return sorted(groups, key=key)


def pareto_front(groups: Sequence[SeedGroup]) -> list[SeedGroup]:
    """Returns the Pareto front, the groups that no other one beats in both bytes and accuracy, fewest bytes first.

    Args:
        groups: The rows of one comparison; accuracy is the mean of the last rounds and of the seeds.
    """
    front: list[SeedGroup] = []
    for group in sorted(groups, key=lambda each: (each.total_bytes, -each.reached)):
        if not front or group.reached > front[-1].reached:
            front.append(group)
    return front


def _compared_settings(run: FinishedRun) -> dict[str, Any]:
    """What runs have to share for their bytes and accuracies to be compared: data, model, participation, rounds."""
    try:
        config = configuration.load(str(run.path / CONFIG))
    except ConfigError:  # written by another version: what its summary says
        return {key: run.summary.get(key) for key in ("rounds", "dataset", "model")}
    settings = configuration.flat(configuration.to_dict(config))
    return {
        name: value
        for name, value in settings.items()
        if name.startswith("data.") or name in ("model.name", "rounds", "clients_per_round")
    }


def differences_from_baseline(group: SeedGroup, groups: Sequence[SeedGroup]) -> list[str]:
    """Returns the settings in which a row can't be compared with FedAvg's, each as `key = VALUE, there VALUE`.

    Args:
        group: One row of a comparison.
        groups: All of them; without exactly one of FedAvg's there is nothing to compare with.
    """
    reference = baseline(groups)
    if reference is None or group is reference:
        return []
    own, other = _compared_settings(group.runs[0]), _compared_settings(reference.runs[0])
    return [
        f"{name} = {own[name]!r}, there {other[name]!r}" for name in own if name in other and own[name] != other[name]
    ]
