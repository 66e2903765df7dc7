"""The content of summary.json."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from tfc.base.machine import describe_machine
from tfc.base.version import __version__
from tfc.config import ExperimentConfig
from tfc.config.keys import IN_MEMORY
from tfc.data.dataset import Dataset
from tfc.registries import METHODS
from tfc.simulation.folder import RoundMetrics
from tfc.simulation.totals import ratios, run_totals

OWN_DATA = (IN_MEMORY, "npz", "images")
"""Data sets of the user's: whether a program made them up is not known."""


def counted_by_formula(config: ExperimentConfig) -> bool:
    """Returns whether the uplink is counted by a formula: tensors, not payloads, cross the boundary.

    Args:
        config: Method and aggregation.
    """
    return METHODS[config.method].counts_by_formula or config.aggregation != "mean"


def peak_rss_mb(worker_pids: Sequence[int]) -> float:
    """Peak memory of this process and of workers on this machine, in MB (10^6 bytes).

    Args:
        worker_pids: The workers' process ids.
    """

    def peak(pid: int) -> int:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
        except (OSError, StopIteration):
            return int(psutil.Process(pid).memory_info().rss)

    return sum(map(peak, (os.getpid(), *worker_pids))) / 1e6


def versions() -> dict[str, str]:
    """Returns the versions of Python, of what computes, and of this package."""
    names = ["tensorflow", "tensorflow-federated", "tensorflow-model-optimization", "numpy"]
    packages = {name: importlib.metadata.version(name) for name in names}
    return {"python": platform.python_version(), **packages, "fedcompress": __version__}


class ModelSizes(NamedTuple):
    """Sizes of a model, for what FedAvg would send.

    Attributes:
        parameters: Number of its parameters, frozen ones included.
        moved: Number of those that training moves.
        start_bytes: Bytes of the others, once for each client that took part.
    """

    parameters: int
    moved: int
    start_bytes: int


def summarise(
    config: ExperimentConfig,
    dataset: Dataset,
    sizes: ModelSizes,
    rounds: tuple[RoundMetrics, ...],
    seconds: float,
    rss_mb: float,
) -> dict[str, Any]:
    """Returns the content of summary.json.

    Args:
        config: The experiment.
        dataset: Its data.
        sizes: Of the model.
        rounds: Rows of metrics.csv.
        seconds: Wall time of the run.
        rss_mb: Peak memory, MB.
    """
    return {
        "method": config.method,
        "aggregation": config.aggregation,
        **run_totals(rounds),
        **ratios(rounds, sizes.moved, sizes.start_bytes),
        "uplink_counted_by": "formula" if counted_by_formula(config) else "payloads",
        "parameters": sizes.parameters,
        "moved_parameters": sizes.moved,
        "start_bytes": sizes.start_bytes,
        "seconds": round(seconds, 1),
        "peak_rss_mb": round(rss_mb, 1),
        "uplink": METHODS[config.method].uplink_form or config.communication.uplink,
        "dataset": config.data.dataset,
        "synthetic": None if config.data.dataset in OWN_DATA else dataset.synthetic,
        "model": config.model.name,
        "seed": config.seed,
        "machine": describe_machine(),
        "versions": versions(),
    }
