"""Figures of the HTML report, as SVG: means over seeds with the seeds behind them, values on hover."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tfc.base.charts.line import Axis, Curve, line_chart
from tfc.report.seed_groups import Arm, pareto_front, target_accuracy
from tfc.run.folder import FinishedRun, RoundMetrics

Value = Callable[[RoundMetrics], float]


@dataclass(frozen=True)
class ReportFigure:
    """A figure, or why there is none.

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


def point_texts(arm: Arm) -> list[str]:
    """Returns what is shown of an arm's rounds on hover: run, round, accuracy, MB, hours where they were counted.

    Args:
        arm: One row of a comparison.
    """
    texts = []
    hours = arm.hours_so_far if arm.is_timed else []
    rounds = zip(arm.accuracies, arm.accuracy_range, arm.bytes_so_far, strict=True)
    for number, (accuracy, (low, high), sent) in enumerate(rounds, 1):
        seeds = f" (seeds {low:.4f} to {high:.4f})" if len(arm.runs) > 1 else ""
        time = f"; {hours[number - 1]:.3f} simulated h" if hours else ""
        texts.append(f"{arm.label}; round {number}; accuracy {accuracy:.4f}{seeds}; {sent / 1e6:.3f} MB so far{time}")
    return texts


def _positive(curve: Curve, *, horizontal: bool) -> Curve:
    """Without what a logarithmic axis has no place for."""
    keep = [value > 0 for value in (curve.xs if horizontal else curve.ys)]
    thin = [
        tuple(zip(*((x, y) for x, y in zip(*line, strict=True) if (x if horizontal else y) > 0), strict=True))
        for line in curve.thin
    ]
    return replace(
        curve,
        xs=list(itertools.compress(curve.xs, keep)),
        ys=list(itertools.compress(curve.ys, keep)),
        texts=list(itertools.compress(curve.texts, keep)),
        thin=[(line[0], line[1]) for line in thin if line],
    )


def _accuracy_curves(arms: Sequence[Arm], so_far: Callable[[FinishedRun], Sequence[float]] | None) -> list[Curve]:
    """Accuracies over what was used up so far, or over rounds: mean and seeds."""
    curves = []
    for group, arm in enumerate(arms):
        lines = []
        for run in arm.runs:
            ys = [row.accuracy for row in run.rounds]
            lines.append((_rounds(ys) if so_far is None else so_far(run), ys))
        means = arm.accuracies
        xs = [sum(column) / len(column) for column in zip(*(line[0] for line in lines), strict=False)]
        thin = lines if len(lines) > 1 else ()
        curve = Curve(arm.label, xs[: len(means)], means, point_texts(arm), group, thin)
        curves.append(curve if so_far is None else _positive(curve, horizontal=True))
    return curves


def _megabytes_so_far(run: FinishedRun) -> list[float]:
    return list(itertools.accumulate((row.uplink_bytes + row.downlink_bytes) / 1e6 for row in run.rounds))


def _hours_so_far(run: FinishedRun) -> list[float]:
    return list(itertools.accumulate(row.simulated_seconds / 3600 for row in run.rounds))


def _accuracy_axis(arms: Sequence[Arm]) -> tuple[Axis, str]:
    """The axis of accuracies, from a little below what any seed has in its second half; and what to say of it."""
    everything = [pair for arm in arms for pair in arm.accuracy_range]
    settled = [pair for arm in arms for pair in arm.accuracy_range[len(arm.accuracies) // 2 :]]
    lowest, highest = min(low for low, _ in settled), max(high for _, high in everything)
    start = math.floor(100 * (lowest - 0.25 * (highest - lowest) - 0.01)) / 100
    if start <= min(low for low, _ in everything):
        return Axis("test accuracy"), ""
    return Axis("test accuracy", low=start), f" The axis starts at {start:.2f}: earlier rounds may lie below it."


def accuracy_per_megabyte(arms: Sequence[Arm]) -> ReportFigure:
    """Returns accuracy against traffic with the Pareto front.

    Args:
        arms: The rows of one comparison, in the order of their colours.
    """
    axis, remark = _accuracy_axis(arms)
    target = target_accuracy(arms)
    front = pareto_front(arms) if len(arms) > 1 else []
    svg = line_chart(
        "Test accuracy against megabytes sent",
        Axis("MB sent so far, both directions, all clients (logarithmic)", log=True),
        axis,
        _accuracy_curves(arms, _megabytes_so_far),
        rings=[(arm.total_bytes / 1e6, arm.mean("last3_accuracy")) for arm in front],
        level=None if target is None else (target, "FedAvg minus a point"),
    )
    rings = (
        " Rings joined by a dashed line: the Pareto front; no other row has both fewer bytes in all and a higher mean "
        "accuracy of the last three rounds."
        if front
        else ""
    )
    return ReportFigure(
        "Accuracy against traffic",
        svg,
        f"Up and to the left is better. Every payload of every client and round is counted, headers included; "
        f"MB = 10^6 bytes.{rings}{remark}",
    )


def accuracy_per_round(arms: Sequence[Arm]) -> ReportFigure:
    """Returns accuracy after each round.

    Args:
        arms: The rows of one comparison, in the order of their colours.
    """
    axis, remark = _accuracy_axis(arms)
    seeds = " Thin lines: single seeds; thick ones: their mean." if any(len(arm.runs) > 1 for arm in arms) else ""
    return ReportFigure(
        "Accuracy per round",
        line_chart("Test accuracy after each round", Axis("round", integer=True), axis, _accuracy_curves(arms, None)),
        f"Share of the test set that the global model gets right after each round.{seeds}{remark}",
    )


def accuracy_per_hour(arms: Sequence[Arm]) -> ReportFigure:
    """Returns accuracy against simulated time.

    Args:
        arms: The rows of one comparison, in the order of their colours.
    """
    heading = "Accuracy against simulated time"
    curves = _accuracy_curves(arms, _hours_so_far)
    timed = [curve for arm, curve in zip(arms, curves, strict=True) if arm.is_timed]
    missing = [arm.label for arm in arms if not arm.is_timed]
    untimed = f" Not counted by the version that made them: {', '.join(missing)}." if missing else ""
    if not timed:
        return ReportFigure(heading, "", "Simulated time was not counted by the version that made these runs.")
    axis, remark = _accuracy_axis([arm for arm in arms if arm.is_timed])
    target = target_accuracy(arms)
    return ReportFigure(
        heading,
        line_chart(
            "Test accuracy against simulated hours",
            Axis("simulated hours so far (logarithmic)", log=True),
            axis,
            timed,
            level=None if target is None else (target, "FedAvg minus a point"),
        ),
        "Simulated, not measured: counted bytes and examples, divided by the speeds of links and devices that the runs "
        f"are configured for ([network]).{untimed}{remark}",
    )


def _per_round(heading: str, y: Axis, arms: Sequence[Arm], value: Value, unit: str, caption: str) -> ReportFigure:
    """A figure of every round over rounds; arms that have nothing but zeros are left out."""
    curves = []
    for group, arm in enumerate(arms):
        means = arm.per_round(value)
        if not any(means):
            continue
        texts = [f"{arm.label}; round {number}; {mean:,.6g} {unit}" for number, mean in enumerate(means, 1)]
        lines = [[value(row) for row in run.rounds] for run in arm.runs] if len(arm.runs) > 1 else []
        curve = Curve(arm.label, _rounds(means), means, texts, group, [(_rounds(line), line) for line in lines])
        curves.append(_positive(curve, horizontal=False) if y.log else curve)
    if not curves:
        return ReportFigure(heading, "", f"{caption} None of the runs has any.")
    missing = len(arms) - len(curves)
    left_out = f" {missing} of {len(arms)} have none." if missing else ""
    return ReportFigure(heading, line_chart(heading, Axis("round", integer=True), y, curves), caption + left_out)


def report_figures(arms: Sequence[Arm]) -> list[ReportFigure]:
    """Returns all figures over rounds, bytes and time.

    Args:
        arms: The rows of one comparison, in the order of their colours.
    """
    kilobytes = Axis("kB per round, all clients (logarithmic)", log=True)
    return [
        accuracy_per_megabyte(arms),
        accuracy_per_round(arms),
        _per_round(
            "Uplink per round",
            kilobytes,
            arms,
            lambda row: row.uplink_bytes / 1e3,
            "kB up",
            "From clients to the server, all clients together; kB = 1,000 bytes.",
        ),
        _per_round(
            "Downlink per round",
            kilobytes,
            arms,
            lambda row: row.downlink_bytes / 1e3,
            "kB down",
            "From the server to clients, once per client that is sent it; kB = 1,000 bytes.",
        ),
        accuracy_per_hour(arms),
        _per_round(
            "Number of clusters",
            Axis("clusters per kernel", integer=True),
            arms,
            lambda row: row.num_clusters,
            "clusters",
            "Clusters of the broadcast that follows each round; with several seeds their mean.",
        ),
        _per_round(
            "Representation quality",
            Axis("quality score"),
            arms,
            lambda row: row.quality_score,
            "(quality score)",
            "Effective rank of the clients' embeddings, the mean over clients: exp of the entropy of normalised "
            "singular values.",
        ),
    ]
