"""Figures of one run and of several, drawn with matplotlib's object interface (no global state, no screen)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tfc.base.atomic_write import atomic_write
from tfc.base.charts.groups import SHAPES, colour_of, shape_of
from tfc.report.seed_groups import SeedGroup, pareto_front, seed_groups, target_accuracy
from tfc.run.folder import FinishedRun

_MARKERS = dict(zip(SHAPES, "os^DvPp", strict=True))
"""Matplotlib's letters for the shapes."""

_PANELS = 4


def _axes(title: str, x_label: str, y_label: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, 4.0), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _styles() -> Iterable[dict[str, Any]]:
    for group in itertools.count():
        yield {"color": colour_of(group), "marker": _MARKERS[shape_of(group)], "markersize": 4}


def _rounds(group: SeedGroup) -> range:
    return range(1, len(group.accuracies) + 1)


def _band(axes: Axes, x: Sequence[float], group: SeedGroup, colour: str) -> None:
    """What the seeds span."""
    if len(group.runs) > 1:
        low, high = zip(*group.accuracy_range, strict=True)
        axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)


def accuracy_per_round(runs: Sequence[FinishedRun]) -> Figure:
    """Test accuracy after each round; with several seeds their mean, and what they span."""
    figure, axes = _axes("Accuracy per round", "round", "test accuracy")
    for group, style in zip(seed_groups(runs), _styles(), strict=False):
        axes.plot(_rounds(group), group.accuracies, label=group.label, **style)
        _band(axes, _rounds(group), group, style["color"])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def accuracy_per_megabyte(runs: Sequence[FinishedRun]) -> Figure:
    """Test accuracy against all bytes sent so far (logarithmic); rings: the Pareto front of accuracy and bytes."""
    figure, axes = _axes("Accuracy against traffic", "MB sent so far, both directions (log)", "test accuracy")
    groups = seed_groups(runs)
    for group, style in zip(groups, _styles(), strict=False):
        megabytes = [sent / 1e6 for sent in group.bytes_so_far]
        axes.plot(megabytes, group.accuracies, label=group.label, **style)
        _band(axes, megabytes, group, style["color"])
    target = target_accuracy(groups)
    if target is not None:
        axes.axhline(target, color="#555555", linewidth=0.8, linestyle=":", label="FedAvg minus a point")
    front = pareto_front(groups)
    if len(groups) > 1:
        totals, reached = (
            [group.total_bytes / 1e6 for group in front],
            [group.mean("last3_accuracy") for group in front],
        )
        ring: dict[str, Any] = {"marker": "o", "markersize": 11, "markerfacecolor": "none", "color": "#333333"}
        axes.plot(totals, reached, linestyle="--", label="Pareto front (last 3 rounds)", **ring)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def accuracy_per_hour(runs: Sequence[FinishedRun]) -> Figure:
    """Test accuracy against simulated hours on the links and devices that the runs are configured for (logarithmic)."""
    figure, axes = _axes("Accuracy against simulated time", "simulated hours so far (log)", "test accuracy")
    groups = seed_groups(runs)
    timed = [group for group in groups if group.is_timed]
    if not timed:
        axes.text(0.5, 0.5, "not recorded", ha="center", transform=axes.transAxes)
        axes.set_axis_off()
        return figure
    for group, style in zip(timed, _styles(), strict=False):
        axes.plot(group.hours_so_far, group.accuracies, label=group.label, **style)
        _band(axes, group.hours_so_far, group, style["color"])
    target = target_accuracy(groups)
    if target is not None:
        axes.axhline(target, color="#555555", linewidth=0.8, linestyle=":", label="FedAvg minus a point")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def bytes_per_round(runs: Sequence[FinishedRun]) -> Figure:
    """Bytes of each direction in each round."""
    figure, axes = _axes("Traffic per round", "round", "kB per round, all clients (log)")
    for group, style in zip(seed_groups(runs), _styles(), strict=False):
        up, down = (
            group.per_round(lambda row: row.uplink_bytes / 1e3),
            group.per_round(lambda row: row.downlink_bytes / 1e3),
        )
        axes.plot(_rounds(group), up, label=f"{group.label}: up", **style)
        axes.plot(_rounds(group), down, label=f"{group.label}: down", linestyle="--", **style)
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def clusters_and_quality(runs: Sequence[FinishedRun]) -> Figure:
    """Number of clusters and representation quality score after each round."""
    figure, axes = _axes("Clusters and representation quality", "round", "representation quality score")
    clusters = axes.twinx()
    clusters.set_ylabel("clusters (dashed)")
    clusters.spines[["top"]].set_visible(False)
    for group, style in zip(seed_groups(runs), _styles(), strict=False):
        scores, counts = group.per_round(lambda row: row.quality_score), group.per_round(lambda row: row.num_clusters)
        if any(scores):  # some methods collect none
            axes.plot(_rounds(group), scores, label=group.label, **style)
        if any(counts):
            clusters.step(_rounds(group), counts, where="mid", linestyle="--", color=style["color"])
    clusters.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def examples_of_clients(runs: Sequence[FinishedRun]) -> Figure:
    """Examples of each class that each client holds, first seeds; runs with the same partition share a panel."""
    names: dict[tuple[tuple[int, ...], ...], list[str]] = {}
    for group in seed_groups(runs):
        names.setdefault(group.runs[0].class_counts, []).append(group.runs[0].name)
    names = dict(itertools.islice(names.items(), _PANELS))
    figure = Figure(figsize=(6.4, 4.0), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for axes, (counts, members) in zip(panels, names.items(), strict=True):
        axes.set_title(", ".join(members[:2]) + (", ..." if len(members) > 2 else ""), fontsize="small", wrap=True)
        if not counts:
            axes.text(0.5, 0.5, "not recorded", ha="center", transform=axes.transAxes)
            axes.set_axis_off()
            continue
        # The scale starts at 0, so that equal shares look equal.
        image = axes.imshow(counts, aspect="auto", cmap="viridis", vmin=0, interpolation="nearest")
        axes.set_xlabel("class")
        axes.set_ylabel("client")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True))
        figure.colorbar(image, ax=axes, label="examples, training and validation")
    return figure


FIGURES: dict[str, Callable[[Sequence[FinishedRun]], Figure]] = {
    "accuracy_per_hour": accuracy_per_hour,
    "accuracy_per_megabyte": accuracy_per_megabyte,
    "accuracy_per_round": accuracy_per_round,
    "bytes_per_round": bytes_per_round,
    "clusters_and_quality": clusters_and_quality,
    "examples_of_clients": examples_of_clients,
}
"""Figures by file name: runs -> figure."""


def save_figures(runs: Sequence[FinishedRun], folder: Path) -> list[Path]:
    """Draws all figures into a folder as PNG.

    Args:
        runs: One run, or several to compare.
        folder: Where NAME.png go.

    Returns:
        Their paths.
    """
    paths = []
    for name, draw in FIGURES.items():
        path = folder / f"{name}.png"
        with atomic_write(path) as temporary:
            draw(runs).savefig(temporary)
        paths.append(path)
    return paths
