"""Figures of runs in comparison: runs that differ in nothing but their seed are one curve, their mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from tfc.report.seed_groups import pareto_front, seed_groups, target_accuracy
from tfc.simulation import figures
from tfc.simulation.folder import FinishedRun


def _compared(runs: Sequence[FinishedRun]) -> figures.Shown:
    groups = seed_groups(runs)
    front = pareto_front(groups) if len(groups) > 1 else []
    return figures.Shown(
        groups,
        target_accuracy(groups),
        [(group.total_bytes / 1e6, group.reached) for group in front],
    )


def accuracy_per_round(runs: Sequence[FinishedRun]) -> Figure:
    """Test accuracy after each round; with several seeds their mean and range."""
    return figures.accuracy_per_round(_compared(runs))


def accuracy_per_megabyte(runs: Sequence[FinishedRun]) -> Figure:
    """Test accuracy against all bytes sent so far (logarithmic); rings: the Pareto front of accuracy and bytes.

    Examples:
        >>> import tfc
        >>> figure = tfc.accuracy_per_megabyte([tfc.read_run("runs/tiny")])
        >>> figure.savefig("accuracy.png")
    """
    return figures.accuracy_per_megabyte(_compared(runs))


def accuracy_per_hour(runs: Sequence[FinishedRun]) -> Figure:
    """Test accuracy against simulated hours on the links and devices that the runs are configured for (logarithmic)."""
    return figures.accuracy_per_hour(_compared(runs))


def bytes_per_round(runs: Sequence[FinishedRun]) -> Figure:
    """Bytes of each direction in each round."""
    return figures.bytes_per_round(_compared(runs))


def clusters_and_quality(runs: Sequence[FinishedRun]) -> Figure:
    """Number of clusters and representation quality score after each round.

    Examples:
        >>> import tfc
        >>> figure = tfc.clusters_and_quality([tfc.read_run("runs/tiny")])
        >>> figure.savefig("clusters.png")
    """
    return figures.clusters_and_quality(_compared(runs))


def examples_of_clients(runs: Sequence[FinishedRun]) -> Figure:
    """Examples of each class that each client holds, first seeds; runs with the same partition share a panel."""
    return figures.examples_of_clients(_compared(runs))


def save_figures(runs: Sequence[FinishedRun], folder: Path) -> list[Path]:
    """Draws all figures into a folder as PNG, SVG and PDF.

    Args:
        runs: One run, or several to compare.
        folder: Where NAME.png, NAME.svg and NAME.pdf go.

    Returns:
        Their paths.
    """
    return figures.save_all(_compared(runs), folder, ("png", "svg", "pdf"))
