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

from tfc.codec.whole_file import written_whole
from tfc.run_folder import FinishedRun

# Okabe and Ito's palette, which people with any colour vision can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vPX"


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
    for colour, marker in zip(itertools.cycle(COLOURS), itertools.cycle(MARKERS), strict=False):
        yield {"color": colour, "marker": marker, "markersize": 4}


def _megabytes_so_far(run: FinishedRun) -> list[float]:
    """MB (10^6 bytes) sent in both directions until the end of each round."""
    return [total / 1e6 for total in itertools.accumulate(row.uplink_bytes + row.downlink_bytes for row in run.rounds)]


def accuracy_per_round(runs: Sequence[FinishedRun]) -> Figure:
    """Test accuracy after each round."""
    figure, axes = _axes("Accuracy per round", "round", "test accuracy")
    for run, style in zip(runs, _styles(), strict=False):
        axes.plot([row.round for row in run.rounds], [row.accuracy for row in run.rounds], label=run.name, **style)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def accuracy_per_megabyte(runs: Sequence[FinishedRun]) -> Figure:
    """Test accuracy against all bytes sent so far; the axis of bytes is logarithmic."""
    figure, axes = _axes("Accuracy against traffic", "MB sent so far, both directions (log)", "test accuracy")
    for run, style in zip(runs, _styles(), strict=False):
        axes.plot(_megabytes_so_far(run), [row.accuracy for row in run.rounds], label=run.name, **style)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def bytes_per_round(runs: Sequence[FinishedRun]) -> Figure:
    """Bytes of each direction in each round."""
    figure, axes = _axes("Traffic per round", "round", "kB per round, all clients (log)")
    for run, style in zip(runs, _styles(), strict=False):
        rounds = [row.round for row in run.rounds]
        axes.plot(rounds, [row.uplink_bytes / 1e3 for row in run.rounds], label=f"{run.name}: up", **style)
        down = [row.downlink_bytes / 1e3 for row in run.rounds]
        axes.plot(rounds, down, label=f"{run.name}: down", linestyle="--", **style)
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
    for run, style in zip(runs, _styles(), strict=False):
        rounds = [row.round for row in run.rounds]
        axes.plot(rounds, [row.quality_score for row in run.rounds], label=run.name, **style)
        if any(row.num_clusters for row in run.rounds):
            clusters.step(
                rounds, [row.num_clusters for row in run.rounds], where="mid", linestyle="--", color=style["color"]
            )
    clusters.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def examples_of_clients(runs: Sequence[FinishedRun]) -> Figure:
    """Examples of each class that each client holds; runs with the same partition share a panel."""
    names: dict[tuple[tuple[int, ...], ...], list[str]] = {}
    for run in runs:
        names.setdefault(run.class_counts, []).append(run.name)
    figure = Figure(figsize=(6.4, 4.0), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for axes, (counts, group) in zip(panels, names.items(), strict=True):
        axes.set_title(", ".join(group), fontsize="medium", wrap=True)
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
        with written_whole(path) as temporary:
            draw(runs).savefig(temporary)
        paths.append(path)
    return paths
