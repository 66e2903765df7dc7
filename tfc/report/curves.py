"""Figures of the HTML report, as SVG: means over seeds with the seeds behind them, values on hover."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tfc.base.charts.line import Axis, Curve, line_chart
from tfc.report import thinning
from tfc.report.seed_groups import SeedGroup, pareto_front, target_accuracy
from tfc.report.thinning import thinned_curve
from tfc.simulation.folder import FinishedRun, RoundMetrics

Value = Callable[[RoundMetrics], float]


@dataclass(frozen=True)
class ReportFigure:
    """A figure, or the reason why there is none.

    Attributes:
        heading: What it shows, in a few words.
        svg: The drawing; empty where nothing was recorded.
        caption: How to read it, and what is counted.
    """

    heading: str
    svg: str
    caption: str


def _rounds(values: Sequence[float]) -> list[float]:
    return [float(number) for number in range(1, len(values) + 1)]


def _left_out(groups: Sequence[SeedGroup]) -> str:
    """A sentence for figures that don't draw every round."""
    return thinning.remark(max(len(group.accuracies) for group in groups), "rounds")


def point_texts(group: SeedGroup) -> list[str]:
    """Returns the hover texts of a seed group's rounds: run, round, accuracy, MB, and hours where they were counted.

    Args:
        group: One row of a comparison.
    """
    texts = []
    hours = group.hours_so_far if group.is_timed else []
    rounds = zip(group.accuracies, group.accuracy_range, group.bytes_so_far, strict=True)
    for number, (accuracy, (low, high), sent) in enumerate(rounds, 1):
        seeds = f" (seeds {low:.4f} to {high:.4f})" if len(group.runs) > 1 else ""
        time = f"; {hours[number - 1]:.3f} simulated h" if hours else ""
        texts.append(f"{group.label}; round {number}; accuracy {accuracy:.4f}{seeds}; {sent / 1e6:.3f} MB so far{time}")
    return texts


def _positive(curve: Curve, *, horizontal: bool) -> Curve:
    """Drops points that a logarithmic axis can't show."""
    return _kept(curve, lambda x, y: (x if horizontal else y) > 0)


def _finite(curve: Curve) -> Curve:
    """Drops points of rounds in which a model diverged."""
    return _kept(curve, lambda x, y: math.isfinite(y))


def _kept(curve: Curve, shown: Callable[[float, float], bool]) -> Curve:
    keep = [shown(x, y) for x, y in zip(curve.xs, curve.ys, strict=True)]
    thin = [
        tuple(zip(*((x, y) for x, y in zip(*line, strict=True) if shown(x, y)), strict=True)) for line in curve.thin
    ]
    return replace(
        curve,
        xs=list(itertools.compress(curve.xs, keep)),
        ys=list(itertools.compress(curve.ys, keep)),
        texts=list(itertools.compress(curve.texts, keep)),
        thin=[(line[0], line[1]) for line in thin if line],
    )


def _accuracy_curves(
    groups: Sequence[SeedGroup], so_far: Callable[[FinishedRun], Sequence[float]] | None
) -> list[Curve]:
    """Accuracies over cumulated bytes or hours, or over rounds: mean and seeds."""
    curves = []
    for colour, group in enumerate(groups):
        lines = []
        for run in group.runs:
            ys = run.accuracies
            lines.append((_rounds(ys) if so_far is None else so_far(run), ys))
        means = group.accuracies
        xs = [sum(column) / len(column) for column in zip(*(line[0] for line in lines), strict=False)]
        thin = lines if len(lines) > 1 else ()
        curve = Curve(group.label, xs[: len(means)], means, point_texts(group), colour, thin)
        curves.append(thinned_curve(curve if so_far is None else _positive(curve, horizontal=True)))
    return curves


def _megabytes_so_far(run: FinishedRun) -> list[float]:
    return list(itertools.accumulate((row.uplink_bytes + row.downlink_bytes) / 1e6 for row in run.rounds))


def _hours_so_far(run: FinishedRun) -> list[float]:
    return list(itertools.accumulate(row.simulated_seconds / 3600 for row in run.rounds))


def _accuracy_axis(groups: Sequence[SeedGroup]) -> tuple[Axis, str]:
    """The axis of accuracies, from a little below the lowest accuracy of any seed's second half; and a remark on it."""
    everything = [pair for group in groups for pair in group.accuracy_range]
    settled = [pair for group in groups for pair in group.accuracy_range[len(group.accuracies) // 2 :]]
    lowest, highest = min(low for low, _ in settled), max(high for _, high in everything)
    axis = Axis(groups[0].accuracy_label)
    start = math.floor(100 * (lowest - 0.25 * (highest - lowest) - 0.01)) / 100
    if start <= min(low for low, _ in everything):
        return axis, ""
    return replace(axis, low=start), f" The axis starts at {start:.2f}: earlier rounds may lie below it."


def accuracy_per_megabyte(groups: Sequence[SeedGroup]) -> ReportFigure:
    """Returns accuracy against traffic with the Pareto front.

    Args:
        groups: The rows of one comparison, in the order of their colours.
    """
    axis, remark = _accuracy_axis(groups)
    target = target_accuracy(groups)
    front = pareto_front(groups) if len(groups) > 1 else []
    svg = line_chart(
        "Test accuracy against megabytes sent",
        Axis("MB sent so far, both directions, all clients (logarithmic)", log=True),
        axis,
        _accuracy_curves(groups, _megabytes_so_far),
        rings=[(group.total_bytes / 1e6, group.reached) for group in front],
        level=None if target is None else (target, "FedAvg minus a point"),
    )
    rings = (
        " Rings joined by a dashed line: the Pareto front: no other row has both fewer bytes and a higher mean "
        f"accuracy of the last {groups[0].last_rounds} rounds."
        if front
        else ""
    )
    return ReportFigure(
        "Accuracy against traffic",
        svg,
        f"Up and to the left is better. Every payload of every client and round is counted, headers included; "
        f"MB = 10^6 bytes.{rings}{remark}{_left_out(groups)}",
    )


def accuracy_per_round(groups: Sequence[SeedGroup]) -> ReportFigure:
    """Returns accuracy after each round.

    Args:
        groups: The rows of one comparison, in the order of their colours.
    """
    axis, remark = _accuracy_axis(groups)
    seeds = (
        " Thin lines: single seeds; thick lines: their mean." if any(len(group.runs) > 1 for group in groups) else ""
    )
    return ReportFigure(
        "Accuracy per round",
        line_chart("Test accuracy after each round", Axis("round", integer=True), axis, _accuracy_curves(groups, None)),
        f"The global model's accuracy on the test set after each round{groups[0].averaged.rstrip(',')}."
        f"{seeds}{remark}{_left_out(groups)}",
    )


def accuracy_per_hour(groups: Sequence[SeedGroup]) -> ReportFigure:
    """Returns accuracy against simulated time.

    Args:
        groups: The rows of one comparison, in the order of their colours.
    """
    heading = "Accuracy against simulated time"
    curves = _accuracy_curves(groups, _hours_so_far)
    timed = [curve for group, curve in zip(groups, curves, strict=True) if group.is_timed]
    missing = [group.label for group in groups if not group.is_timed]
    untimed = f" Without simulated time, since an older version made them: {', '.join(missing)}." if missing else ""
    if not timed:
        return ReportFigure(heading, "", "The version that made these runs did not count simulated time.")
    axis, remark = _accuracy_axis([group for group in groups if group.is_timed])
    target = target_accuracy(groups)
    return ReportFigure(
        heading,
        line_chart(
            "Test accuracy against simulated hours",
            Axis("simulated hours so far (logarithmic)", log=True),
            axis,
            timed,
            level=None if target is None else (target, "FedAvg minus a point"),
        ),
        "Simulated, not measured: bytes and examples divided by the speeds of links and devices that the runs "
        f"are configured for ([network]).{untimed}{remark}{_left_out(groups)}",
    )


def _per_round(
    heading: str, y: Axis, groups: Sequence[SeedGroup], value: Value, unit: str, caption: str
) -> ReportFigure:
    """A figure of one value over rounds; groups with zeros only are left out."""
    curves = []
    for colour, group in enumerate(groups):
        means = group.per_round(value)
        if not any(mean for mean in means if math.isfinite(mean)):
            continue
        texts = [f"{group.label}; round {number}; {mean:,.6g} {unit}" for number, mean in enumerate(means, 1)]
        lines = [[value(row) for row in run.rounds] for run in group.runs] if len(group.runs) > 1 else []
        curve = Curve(group.label, _rounds(means), means, texts, colour, [(_rounds(line), line) for line in lines])
        curve = _finite(curve)
        curves.append(thinned_curve(_positive(curve, horizontal=False) if y.log else curve))
    if not curves:
        return ReportFigure(heading, "", f"{caption} No run has these values.")
    missing = len(groups) - len(curves)
    left_out = f" {missing} of {len(groups)} rows do not have these values." if missing else ""
    drawing = line_chart(heading, Axis("round", integer=True), y, curves)
    return ReportFigure(heading, drawing, caption + left_out + _left_out(groups))


def report_figures(groups: Sequence[SeedGroup]) -> list[ReportFigure]:
    """Returns all figures over rounds, bytes and time.

    Args:
        groups: The rows of one comparison, in the order of their colours.
    """
    kilobytes = Axis("kB per round, all clients (logarithmic)", log=True)
    return [
        accuracy_per_megabyte(groups),
        accuracy_per_round(groups),
        _per_round(
            "Uplink per round",
            kilobytes,
            groups,
            lambda row: row.uplink_bytes / 1e3,
            "kB up",
            "From clients to the server, all clients together; kB = 1,000 bytes.",
        ),
        _per_round(
            "Downlink per round",
            kilobytes,
            groups,
            lambda row: row.downlink_bytes / 1e3,
            "kB down",
            "From the server to clients, counted for each client that is sent a broadcast; kB = 1,000 bytes.",
        ),
        accuracy_per_hour(groups),
        _per_round(
            "Number of clusters",
            Axis("clusters per kernel", integer=True),
            groups,
            lambda row: row.num_clusters,
            "clusters",
            "Clusters of the broadcast that follows each round; with several seeds their mean.",
        ),
        _per_round(
            "Representation quality",
            Axis("quality score"),
            groups,
            lambda row: row.quality_score,
            "(quality score)",
            "Effective rank of the clients' embeddings, the mean over clients: exp of the entropy of normalised "
            "singular values.",
        ),
    ]
