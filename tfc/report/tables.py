"""Tables of one run or of several: accuracy, traffic, and bytes to the target accuracy."""

from __future__ import annotations

from collections.abc import Sequence

from tfc.base.table import Table, significant
from tfc.replay.replay import ReplayedRound
from tfc.report.paired import PairedDifference
from tfc.report.seed_groups import (
    SeedGroup,
    differences_from_baseline,
    points_above_baseline,
    ranked,
    seed_groups,
    target_accuracy,
    times_sooner,
)
from tfc.simulation.folder import FinishedRun


def _megabytes(count: float) -> str:
    return significant(count / 1e6)


def _formula_mark(run: FinishedRun) -> str:
    return " (formula)" if run.summary.get("uplink_counted_by") == "formula" else ""


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}x"


def _mark(run: FinishedRun) -> str:
    return " (synthetic data)" if run.summary.get("synthetic") else ""


def comparison_table(runs: Sequence[FinishedRun]) -> Table:
    """Returns accuracy and traffic, one row per run.

    Args:
        runs: Finished runs.
    """
    last = f"last {runs[0].last_rounds} rounds"
    rows = tuple(
        (
            run.name + _mark(run),
            str(run.summary["method"]),
            str(run.summary["rounds"]),
            f"{run.summary['final_accuracy']:.4f}",
            f"{run.reached:.4f}",
            str(run.summary["num_clusters"] or "-"),
            _megabytes(run.summary["uplink_bytes"]) + _formula_mark(run),
            _megabytes(run.summary["downlink_bytes"]),
            _ratio(run.summary["communication_ratio"]),
        )
        for run in runs
    )
    return Table(
        "Federated training",
        ("run", "method", "rounds", "accuracy", last, "clusters", "MB up", "MB down", "ratio"),
        rows,
        "MB = 10^6 bytes of all payloads of all clients and rounds, headers and scalars included. Ratio: the bytes "
        "that FedAvg would send with float32 for every parameter (both directions, same clients and rounds), divided "
        "by the bytes sent. (formula): computed from the sizes of tensors, not counted in payloads.",
    )


def _hours(group: SeedGroup, groups: Sequence[SeedGroup], target: float) -> tuple[str, str]:
    """Cells of a seed group's simulated time to the target."""
    needed, factor = group.hours_to(target) if group.is_timed else None, times_sooner(group, groups)
    missing = "not reached" if group.is_timed else "not counted"
    return (missing if needed is None else significant(needed), _ratio(factor))


def _points(difference: PairedDifference | None) -> str:
    """A paired difference in points of accuracy with its interval, bold where that excludes zero."""
    if difference is None:
        return "-"
    text = f"{100 * difference.mean:+.2f}"
    if difference.low is None or difference.high is None:
        return text
    text += f" ({100 * difference.low:+.2f} to {100 * difference.high:+.2f})"
    return f"**{text}**" if difference.excludes_zero else text


def _target_cells(group: SeedGroup, groups: Sequence[SeedGroup], target: float) -> tuple[str, ...]:
    if differences_from_baseline(group, groups):
        return ("not comparable",) * 4
    needed = group.bytes_to(target)
    megabytes = "not reached" if needed is None else _megabytes(needed)
    return (_points(points_above_baseline(group, groups)), megabytes, *_hours(group, groups, target))


def mean_table(runs: Sequence[FinishedRun]) -> Table:
    """Returns means over seeds: one row per set of runs that differ in nothing but their seed.

    With exactly one row of FedAvg, rows are ranked by the bytes they need to its accuracy minus a point. Rows whose
    data, model, participation or rounds differ from FedAvg's are marked and not ranked.

    Args:
        runs: Finished runs.
    """
    groups = seed_groups(runs)
    target = target_accuracy(groups)
    if target is not None:
        groups = ranked(groups, target)
    last = f"last {groups[0].last_rounds} rounds"
    header = ["runs", "seeds", last, "MB up", "MB down", "ratio"]
    rows, remarks = [], []
    for group in groups:
        deviation = group.reached_deviation
        spread = "" if deviation is None else f" ± {deviation:.4f}"
        other = differences_from_baseline(group, groups)
        if other:
            remarks.append(f"{group.name}: {', '.join(other)}")
        cells = [
            group.name + _mark(group.runs[0]) + (" *" if other else ""),
            str(len(group.runs)),
            f"{group.reached:.4f}{spread}",
            _megabytes(group.mean("uplink_bytes")) + _formula_mark(group.runs[0]),
            _megabytes(group.mean("downlink_bytes")),
            f"{group.ratio:.2f}x",
        ]
        if target is not None:
            cells += _target_cells(group, groups, target)
        rows.append(tuple(cells))
    note = "Mean and standard deviation over seeds."
    if target is not None:
        header += ["points to FedAvg", f"MB to {target:.4f}", f"h to {target:.4f}", "sooner"]
        note += (
            f" Points to FedAvg: difference of the {last}' accuracies under equal seeds, with the 95 % interval of "
            "Student's t; bold where it excludes zero, otherwise neither is better."
            f" MB to {target:.4f}: both directions, until the mean accuracy of a round{groups[0].averaged} first "
            "reaches FedAvg's minus one point; fewest first. h: simulated hours until then on the links and devices of "
            "[network]; sooner: FedAvg's hours divided by the row's."
        )
    if remarks:
        note += f" * differs from FedAvg's row in what is compared, so no target is given: {'; '.join(remarks)}."
    return Table("Means over seeds", tuple(header), tuple(rows), note)


def mean_numbers(runs: Sequence[FinishedRun]) -> Table:
    """Returns the means over seeds as plain numbers with a unit in every column's name, for CSV.

    Args:
        runs: Finished runs.
    """
    groups = seed_groups(runs)
    target = target_accuracy(groups)
    rows = []
    for group in ranked(groups, target) if target is not None else groups:
        comparable = target is not None and not differences_from_baseline(group, groups)
        difference = points_above_baseline(group, groups)
        values = (
            group.name,
            group.method,
            len(group.runs),
            group.reached,
            group.reached_deviation,
            group.mean("uplink_bytes"),
            group.mean("downlink_bytes"),
            group.ratio,
            *(difference[:3] if difference else (None, None, None)),
            target,
            group.bytes_to(target) if target is not None and comparable else None,
            group.hours_to(target) if target is not None and comparable and group.is_timed else None,
        )
        rows.append(tuple("" if value is None else str(value) for value in values))
    last = f"last{runs[0].last_rounds}"
    header = (
        "runs", "method", "seeds", f"{last}_accuracy", f"{last}_accuracy_std",
        "uplink_bytes", "downlink_bytes", "ratio",
        "paired_difference", "paired_difference_low", "paired_difference_high",
        "target_accuracy", "bytes_to_target", "hours_to_target",
    )  # fmt: skip
    return Table("Means over seeds", header, tuple(rows))


def replay_table(rounds: Sequence[ReplayedRound], *, deflated: bool) -> Table:
    """Returns the result of a replay, one row per round and one for all.

    Args:
        rounds: From `tfc.replay.replay.replay`.
        deflated: Whether deflated files were measured.
    """

    def verdict(equal: bool) -> str:
        return "equal" if equal else "DIFFERENT"

    def row(name: str, part: Sequence[ReplayedRound]) -> tuple[str, ...]:
        cells = (
            name,
            str(sum(each.uplink_bytes for each in part)),
            str(sum(each.downlink_bytes for each in part)),
            verdict(all(each.broadcast_equal for each in part)),
            verdict(all(each.mean_equal for each in part)),
        )
        return (*cells, str(sum(each.deflated_bytes for each in part))) if deflated else cells

    header = ("round", "bytes up", "bytes down", "broadcast", "mean", *(("deflated weights",) if deflated else ()))
    rows = tuple(row(str(each.round), [each]) for each in rounds)
    return Table("Replayed payloads", header, (*rows, row("all", rounds)))
