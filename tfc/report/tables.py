"""Tables of one run or of several: accuracy, traffic, and bytes to the target accuracy."""

from __future__ import annotations

from collections.abc import Sequence

from tfc.base.table import Table
from tfc.replay.replay import ReplayedRound
from tfc.report.seed_groups import SeedGroup, ranked, seed_groups, target_accuracy, times_sooner
from tfc.simulation.folder import FinishedRun


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.3f}"


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
    rows = tuple(
        (
            run.name + _mark(run),
            str(run.summary["method"]),
            str(run.summary["rounds"]),
            f"{run.summary['final_accuracy']:.4f}",
            f"{run.summary['last3_accuracy']:.4f}",
            str(run.summary["num_clusters"] or "-"),
            _megabytes(run.summary["uplink_bytes"]) + _formula_mark(run),
            _megabytes(run.summary["downlink_bytes"]),
            _ratio(run.summary["communication_ratio"]),
        )
        for run in runs
    )
    return Table(
        "Federated training",
        ("run", "method", "rounds", "accuracy", "last 3 rounds", "clusters", "MB up", "MB down", "ratio"),
        rows,
        "MB = 10^6 bytes of all payloads of all clients and rounds, headers and scalars included. Ratio: the bytes "
        "that FedAvg would send with float32 for every parameter (both directions, same clients and rounds), divided "
        "by the bytes sent. (formula): computed from the sizes of tensors, not counted in payloads.",
    )


def _hours(group: SeedGroup, groups: Sequence[SeedGroup], target: float) -> tuple[str, str]:
    """Cells of a seed group's simulated time to the target."""
    needed, factor = group.hours_to(target) if group.is_timed else None, times_sooner(group, groups)
    missing = "not reached" if group.is_timed else "not counted"
    return (missing if needed is None else f"{needed:.3f}", _ratio(factor))


def mean_table(runs: Sequence[FinishedRun]) -> Table:
    """Returns means over seeds: one row per set of runs that differ in nothing but their seed.

    With exactly one row of FedAvg, rows are ranked by the bytes they need to its accuracy minus a point.

    Args:
        runs: Finished runs.
    """
    groups = seed_groups(runs)
    target = target_accuracy(groups)
    if target is not None:
        groups = ranked(groups, target)
    header = ["runs", "seeds", "last 3 rounds", "MB up", "MB down", "ratio"]
    rows = []
    for group in groups:
        deviation = group.deviation("last3_accuracy")
        spread = "" if deviation is None else f" ± {deviation:.4f}"
        cells = [
            group.name + _mark(group.runs[0]),
            str(len(group.runs)),
            f"{group.mean('last3_accuracy'):.4f}{spread}",
            f"{group.mean('uplink_bytes') / 1e6:.3f}{_formula_mark(group.runs[0])}",
            f"{group.mean('downlink_bytes') / 1e6:.3f}",
            f"{group.ratio:.2f}x",
        ]
        if target is not None:
            needed = group.bytes_to(target)
            cells += ["not reached" if needed is None else f"{needed / 1e6:.3f}", *_hours(group, groups, target)]
        rows.append(tuple(cells))
    note = "Mean and standard deviation over seeds."
    if target is not None:
        header += [f"MB to {target:.4f}", f"h to {target:.4f}", "sooner"]
        note += (
            f" MB to {target:.4f}: both directions, until the mean accuracy of a round first reaches FedAvg's minus "
            "one point; fewest first. h: simulated hours until then on the links and devices of [network]; sooner: "
            "FedAvg's hours divided by the row's."
        )
    return Table("Means over seeds", tuple(header), tuple(rows), note)


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
