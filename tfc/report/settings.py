"""Settings in the report: those in which runs differ, and the runs' machines and versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tomllib

from tfc import config as configuration
from tfc.base.errors import ConfigError
from tfc.base.run_files import CONFIG
from tfc.base.table import Table
from tfc.report.seed_groups import SeedGroup
from tfc.simulation.folder import FinishedRun


def _settings(run: FinishedRun) -> dict[str, Any]:
    """Every setting by its full name; for a file of another version, those in the file."""
    path = run.path / CONFIG
    try:
        return configuration.flat(configuration.to_dict(configuration.load(str(path))))
    except ConfigError:
        return configuration.flat(tomllib.loads(path.read_text(encoding="utf-8")))


def seeds_of(group: SeedGroup) -> str:
    """Returns the seeds of a seed group's runs, separated by commas.

    Args:
        group: One row of a comparison.
    """
    return ", ".join(str(run.summary.get("seed", "not recorded")) for run in group.runs)


def differing_settings(groups: Sequence[SeedGroup]) -> Table:
    """Returns the settings in which groups differ, one row each, one column per group.

    Args:
        groups: The rows of one comparison.
    """
    settings = [_settings(group.runs[0]) for group in groups]
    names = dict.fromkeys(name for each in settings for name in each if name != "seed")
    rows = []
    for name in names:
        values = ["not named" if name not in each else str(each[name]) for each in settings]
        if len(set(values)) > 1:
            rows.append((name, *values))
    rows.append(("seeds", *(seeds_of(group) for group in groups)))
    return Table(
        "Settings that differ",
        ("setting", *(group.name for group in groups)),
        tuple(rows),
        "All other settings are the same. The list includes settings that a method does not use.",
    )


def environments(runs: Sequence[FinishedRun]) -> list[tuple[str, list[tuple[str, object]]]]:
    """Returns the runs' environments: one entry per set of versions and machine.

    Args:
        runs: Finished runs.

    Returns:
        Names of the runs, and names and values of versions and machine.
    """
    found: dict[tuple[tuple[str, object], ...], list[str]] = {}
    for run in runs:
        machine = run.summary.get("machine") or {"machine": "not recorded by the version that made it"}
        # The versions name Python and NumPy already.
        described = {**machine, **run.summary["versions"]}
        found.setdefault(tuple(described.items()), []).append(run.name)
    return [(", ".join(names), list(values)) for values, names in found.items()]


def data_sets(runs: Sequence[FinishedRun]) -> list[str]:
    """Returns the runs' data sets, and whether they are synthetic.

    Args:
        runs: Finished runs.
    """
    said = {True: "synthetic", False: "not synthetic", None: "own data", "": "not recorded whether synthetic"}
    return list(
        dict.fromkeys(
            f"{run.summary.get('dataset', 'not recorded')} ({said[run.summary.get('synthetic', '')]})" for run in runs
        )
    )
