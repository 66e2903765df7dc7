"""What is at the place where a run is to be: nothing, a run to go on with, or something that has to stay."""

from __future__ import annotations

import os
from pathlib import Path

from tfc import config as configuration
from tfc.base.atomic_write import is_temporary
from tfc.base.errors import ConfigError, RunError
from tfc.base.run_files import CHECKPOINTS, CONFIG, PAYLOADS, SUMMARY
from tfc.config import ExperimentConfig
from tfc.simulation.lock import LOCK


def differences(old: ExperimentConfig, new: ExperimentConfig) -> list[str]:
    """Returns what differs between two configurations and changes results, `key = OLD, now NEW` each.

    Args:
        old: Of a run that was started.
        new: Of the run that is asked for.
    """
    before, after = (
        configuration.flat(configuration.to_dict(configuration.for_comparison(each))) for each in (old, new)
    )
    return [f"{name} = {before[name]!r}, now {after[name]!r}" for name in before if before[name] != after[name]]


def _is_empty(path: Path) -> bool:
    """Whether a folder holds nothing, or only what a run left that was killed before its first file."""
    return path.is_dir() and all(entry.name == LOCK or is_temporary(entry) for entry in path.iterdir())


def _require_writable(path: Path) -> None:
    """Refuses a place that can't be written before anything is computed."""
    there = path
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise RunError(f"{path}: cannot be written: {there} is {'read-only' if there.is_dir() else 'not a folder'}")


def resumes(out: Path, config: ExperimentConfig, *, force: bool, record_payloads: bool) -> bool:
    """Decides what becomes of a run's place; changes nothing.

    Args:
        out: The run's folder.
        config: The experiment.
        force: Whether an existing run there is replaced.
        record_payloads: Whether payloads are kept.

    Returns:
        Whether an unfinished run there goes on; otherwise the run starts with its first round.

    Raises:
        RunError: If something is there that has to stay: no run, or without `force` a finished run, or an unfinished
            one of other settings, named with both values; or if nothing can be written there.
    """
    _require_writable(out)
    if not out.exists() or _is_empty(out):
        return False
    if not (out / CONFIG).is_file():
        if force:
            raise RunError(f"{out} is not a run (it has no {CONFIG}): --force will not remove it")
        raise RunError(f"{out} already exists and is not a run: choose another --out")
    if force:
        return False
    if (out / SUMMARY).is_file():
        raise RunError(f"{out} already exists: choose another --out, or replace it with --force")
    try:
        started = configuration.load(str(out / CONFIG))
    except ConfigError as error:
        raise RunError(f"{out} can't go on: {error}; start anew with --force") from error
    changed = differences(started, config)
    recorded = (out / PAYLOADS).is_dir()
    if recorded != record_payloads and (out / CHECKPOINTS).is_dir():
        changed.append(
            f"{'with' if recorded else 'without'} --record-payloads, now {'without' if recorded else 'with'}"
        )
    if changed:
        raise RunError(
            f"{out} was started with other settings: {'; '.join(changed)}: go on with its own, choose another --out, "
            "or start anew with --force"
        )
    return True
