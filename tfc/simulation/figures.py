"""Figures of one run, or of several in comparison, with matplotlib's object interface (no global state, no screen).

A run draws its own figures before it counts as finished. Which runs a comparison groups, and what it measures them by,
is decided above (`tfc.report.figures`); here arrives what is to be drawn.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tfc.base.atomic_write import atomic_write
from tfc.base.charts.groups import SHAPES, colour_of, shape_of
from tfc.simulation.folder import FinishedRun
from tfc.simulation.progress import POINTS_BELOW, Progress

_MARKERS = dict(zip(SHAPES, "os^DvPp", strict=True))
"""Matplotlib's letters for the shapes."""

_PANELS = 4


@dataclass(frozen=True)
class Shown:
    """What a set of figures shows.

    Attributes:
        curves: One entry per curve, in the order of their colours.
        target: Accuracy that a dotted line marks: the baseline's minus a point; None for no line.
        front: Points (MB of both directions in all, accuracy) of the Pareto front; empty for none.
    """

    curves: Sequence[Progress]
    target: float | None = None
    front: Sequence[tuple[float, float]] = ()


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


def _legend(figure: Figure) -> None:
    if any(axes.get_legend_handles_labels()[0] for axes in figure.axes):
        figure.legend(loc="outside lower center", ncols=2, frameon=False)


def _styles() -> Iterable[dict[str, Any]]:
    for group in itertools.count():
        yield {"color": colour_of(group), "marker": _MARKERS[shape_of(group)], "markersize": 4}


def _accuracy_label(shown: Shown) -> str:
    return shown.curves[0].accuracy_label


def _rounds(curve: Progress) -> range:
    return range(1, len(curve.accuracies) + 1)


def _plot_accuracies(axes: Axes, xs: Sequence[float], curve: Progress, style: dict[str, Any]) -> None:
    """Draws the mean, and as a band what several runs span."""
    axes.plot(xs, curve.accuracies, label=curve.label, **style)
    if len(curve.runs) > 1:
        low, high = zip(*curve.accuracy_range, strict=True)
        axes.fill_between(xs, low, high, color=style["color"], alpha=0.15, linewidth=0)


def _mark_target(axes: Axes, target: float | None) -> None:
    if target is not None:
        axes.axhline(target, color="#555555", linewidth=0.8, linestyle=":", label="FedAvg minus a point")


def _logarithmic(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")


def accuracy_per_round(shown: Shown) -> Figure:
    """Test accuracy after each round; with several seeds their mean and range."""
    figure, axes = _axes("Accuracy per round", "round", _accuracy_label(shown))
    for curve, style in zip(shown.curves, _styles(), strict=False):
        _plot_accuracies(axes, _rounds(curve), curve, style)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(figure)
    return figure


def accuracy_per_megabyte(shown: Shown) -> Figure:
    """Test accuracy against all bytes sent so far (logarithmic); rings: the Pareto front of accuracy and bytes."""
    figure, axes = _axes("Accuracy against traffic", "MB sent so far, both directions (log)", _accuracy_label(shown))
    for curve, style in zip(shown.curves, _styles(), strict=False):
        _plot_accuracies(axes, [sent / 1e6 for sent in curve.bytes_so_far], curve, style)
    _mark_target(axes, shown.target)
    if shown.front:
        totals, reached = zip(*shown.front, strict=True)
        ring: dict[str, Any] = {"marker": "o", "markersize": 11, "markerfacecolor": "none", "color": "#333333"}
        label = f"Pareto front (last {shown.curves[0].last_rounds} rounds)"
        axes.plot(totals, reached, linestyle="--", label=label, **ring)
    _logarithmic(axes)
    _legend(figure)
    return figure


def accuracy_per_hour(shown: Shown) -> Figure:
    """Test accuracy against simulated hours on the links and devices that the runs are configured for (logarithmic)."""
    figure, axes = _axes("Accuracy against simulated time", "simulated hours so far (log)", _accuracy_label(shown))
    timed = [curve for curve in shown.curves if curve.is_timed]
    if not timed:
        axes.text(0.5, 0.5, "not recorded", ha="center", transform=axes.transAxes)
        axes.set_axis_off()
        return figure
    for curve, style in zip(timed, _styles(), strict=False):
        _plot_accuracies(axes, curve.hours_so_far, curve, style)
    _mark_target(axes, shown.target)
    _logarithmic(axes)
    _legend(figure)
    return figure


def bytes_per_round(shown: Shown) -> Figure:
    """Bytes of each direction in each round."""
    figure, axes = _axes("Traffic per round", "round", "kB per round, all clients (log)")
    for curve, style in zip(shown.curves, _styles(), strict=False):
        up, down = (
            curve.per_round(lambda row: row.uplink_bytes / 1e3),
            curve.per_round(lambda row: row.downlink_bytes / 1e3),
        )
        axes.plot(_rounds(curve), up, label=f"{curve.label}: up", **style)
        axes.plot(_rounds(curve), down, label=f"{curve.label}: down", linestyle="--", **style)
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(figure)
    return figure


def clusters_and_quality(shown: Shown) -> Figure:
    """Number of clusters and representation quality score after each round."""
    figure, axes = _axes("Clusters and representation quality", "round", "representation quality score")
    clusters = axes.twinx()
    clusters.set_ylabel("clusters (dashed)")
    clusters.spines[["top"]].set_visible(False)
    for curve, style in zip(shown.curves, _styles(), strict=False):
        scores, counts = curve.per_round(lambda row: row.quality_score), curve.per_round(lambda row: row.num_clusters)
        if any(scores):  # some methods collect none
            axes.plot(_rounds(curve), scores, label=curve.label, **style)
        if any(counts):
            clusters.step(_rounds(curve), counts, where="mid", linestyle="--", color=style["color"])
    clusters.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(figure)
    return figure


def examples_of_clients(shown: Shown) -> Figure:
    """Examples of each class that each client holds, first seeds; runs with the same partition share a panel."""
    names: dict[tuple[tuple[int, ...], ...], list[str]] = {}
    for curve in shown.curves:
        names.setdefault(curve.runs[0].class_counts, []).append(curve.runs[0].name)
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


FIGURES: dict[str, Callable[[Shown], Figure]] = {
    "accuracy_per_hour": accuracy_per_hour,
    "accuracy_per_megabyte": accuracy_per_megabyte,
    "accuracy_per_round": accuracy_per_round,
    "bytes_per_round": bytes_per_round,
    "clusters_and_quality": clusters_and_quality,
    "examples_of_clients": examples_of_clients,
}
"""Figures by file name."""


def save_all(shown: Shown, folder: Path, formats: Sequence[str] = ("png",)) -> list[Path]:
    """Draws all figures into a folder.

    Args:
        shown: What they show.
        folder: Where NAME.FORMAT go.
        formats: `png`, `svg`, `pdf`.

    Returns:
        Their paths.

    Raises:
        OSError: If they can't be written.
    """
    paths = []
    for name, draw in FIGURES.items():
        figure = draw(shown)
        for suffix in formats:
            path = folder / f"{name}.{suffix}"
            with atomic_write(path) as temporary:
                figure.savefig(temporary, format=suffix)
            paths.append(path)
    return paths


def save_run_figures(run: FinishedRun, folder: Path) -> list[Path]:
    """Draws all figures of a single run into a folder as PNG.

    Args:
        run: The run.
        folder: Where NAME.png go.

    Returns:
        Their paths.

    Raises:
        OSError: If they can't be written.
    """
    target = run.reached - POINTS_BELOW if run.is_baseline else None
    return save_all(Shown([Progress((run,))], target), folder)
