"""Several runs, one at a time: every combination of some keys' values. Unfinished runs are resumed."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tfc import config as configuration
from tfc.base.errors import ConfigError, RunError, TfcError
from tfc.base.run_files import CONFIG, SUMMARY
from tfc.config import ExperimentConfig
from tfc.config.keys import MODEL_SUFFIXES
from tfc.simulation.folder import FinishedRun, read_run
from tfc.simulation.resumption import differences, resumes


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep.

    Attributes:
        name: Name of its folder: the values that vary.
        config: The experiment.
    """

    name: str
    config: ExperimentConfig


def parse_axis(text: str) -> tuple[str, list[str]]:
    """Parses `key=value,value,...`.

    Args:
        text: What the user typed.

    Raises:
        ConfigError: If there is no key or no value.
    """
    key, equals, values = text.partition("=")
    found = [value for value in values.split(",") if value]
    if key in ("method", "seed"):
        raise ConfigError(f"--vary {text}: use --{key}s")
    if not equals or not key or not found:
        raise ConfigError(f"--vary takes key=value,value,... such as clustering.max_clusters=16,32; found {text!r}")
    return key, found


def plan(source: str, overrides: Sequence[str], axes: Sequence[tuple[str, Sequence[str]]]) -> list[PlannedRun]:
    """Lists the runs of a sweep: every combination of the axes' values, the last axis fastest.

    Args:
        source: Name of a preset, or path of a TOML file.
        overrides: `key=value` texts for all runs.
        axes: Keys and their values; the first part of a run's name is the first axis' value.

    Raises:
        ConfigError: If a key or a value is not allowed.
    """
    taken = {key for key, _ in axes}
    for override in overrides:
        if override.partition("=")[0] in taken:
            raise ConfigError(f"--set {override}: the sweep varies this key; use --methods, --seeds or --vary")
    runs = []
    for values in itertools.product(*(values for _, values in axes)):
        settings = [f"{key}={value}" for (key, _), value in zip(axes, values, strict=True)]
        parts = [
            value if key == "method" else f"{key.rpartition('.')[2]}{value}"
            for (key, _), value in zip(axes, values, strict=True)
        ]
        name = re.sub(r"[^\w.+-]", "_", "-".join(parts)) or "run"
        runs.append(PlannedRun(name, configuration.load(source, [*overrides, *settings])))
    return runs


def run_all(runs: Sequence[PlannedRun], out: Path, *, progress: bool = True) -> list[FinishedRun]:
    """Runs all unfinished runs, one at a time; those already started are resumed.

    Args:
        runs: From `plan`.
        out: Folder of the runs' folders.
        progress: Whether progress bars are shown.

    Returns:
        All runs.

    Raises:
        RunError: If a folder holds a run with other settings.
        TfcError: If a run can't be made.
    """
    left = [planned for planned in runs if not _is_finished(planned, out / planned.name)]
    _check_all(left, out)
    from tfc.simulation.loop import run  # which takes seconds to import: what is refused is refused before

    for planned in left:
        run(planned.config, out / planned.name, progress=progress)
    return [read_run(out / planned.name) for planned in runs]


def _is_finished(planned: PlannedRun, path: Path) -> bool:
    """Whether a run is finished; raises RunError where it has other settings."""
    if not (path / SUMMARY).is_file():
        return False
    # Loaded, not compared as texts: keys that are missing in older files have their defaults.
    changed = differences(configuration.load(str(path / CONFIG)), planned.config)
    if changed:
        raise RunError(
            f"{path} is a finished run with other settings: {'; '.join(changed)}: choose another --out, or remove it"
        )
    return True


def _check_all(runs: Sequence[PlannedRun], out: Path) -> None:
    """Refuses what can be refused of all runs before the first one starts: folders, data, partitions, own models."""
    from tfc.simulation.configured_data import load_clients, load_dataset, with_fold

    datasets, models = {}, set()
    for planned in runs:
        config = planned.config
        try:
            resumes(out / planned.name, config, force=False, record_payloads=False)
            data = with_fold(config)
            if data not in datasets:
                datasets = {data: load_dataset(config)}  # one at a time: they may be large
            dataset = datasets[data]
            load_clients(config, dataset)
            key = (config.model.name, data)
            if config.model.name.endswith(MODEL_SUFFIXES) and key not in models:
                from tfc.simulation.experiment import expected_data, model_builder

                model_builder(config, expected_data(dataset))
                models.add(key)
        except TfcError as error:
            raise type(error)(f"{planned.name}: {error}") from error
