"""Figures of a whole run that follow from the rows of metrics.csv: written to summary.json, derived anew on reading.

They are said once, here: `tfc.simulation.summary` writes them, and `tfc.simulation.folder` refuses a summary that
disagrees with its own metrics.csv.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfc.codec.message_spec import CLIENT_SCALARS, float32_message_bytes
from tfc.simulation.round_metrics import RoundMetrics

LAST_ROUNDS = 3
"""How many of a run's last rounds its accuracy is the mean of: a single round's is noisy."""

_TOLERANCES = {"seconds": 0.051, "accuracy": 2e-6, "ratio": 1e-4}
"""How far a rounded figure may be from the derived one, by the last word of its name; all others are equal."""


def mean_accuracy(rounds: Sequence[RoundMetrics], last: int) -> float:
    """Returns the mean accuracy of the last rounds, 0 to 1, rounded to six digits.

    Args:
        rounds: Rows of metrics.csv, at least one.
        last: How many rounds; all where there are fewer.
    """
    accuracies = [row.accuracy for row in rounds[-last:]]
    return round(sum(accuracies) / len(accuracies), 6)


def run_totals(rounds: Sequence[RoundMetrics]) -> dict[str, Any]:
    """Returns what the rows say of the whole run.

    Args:
        rounds: Rows of metrics.csv, at least one.
    """
    return {
        "rounds": len(rounds),
        "final_accuracy": rounds[-1].accuracy,
        "last3_accuracy": mean_accuracy(rounds, LAST_ROUNDS),
        "best_accuracy": max(row.accuracy for row in rounds),
        "uplink_bytes": sum(row.uplink_bytes for row in rounds),
        "downlink_bytes": sum(row.downlink_bytes for row in rounds),
        "simulated_seconds": round(sum(row.simulated_seconds for row in rounds), 1),
        "num_clusters": rounds[-1].num_clusters,
    }


def fedavg_bytes(rounds: Sequence[RoundMetrics], moved: int, start_bytes: int = 0) -> tuple[int, int]:
    """Returns what FedAvg would send: every parameter as float32, for the same clients and rounds; frozen ones once.

    Args:
        rounds: Rows of metrics.csv.
        moved: Number of parameters that training moves.
        start_bytes: Bytes of the others, once for each client that took part.

    Returns:
        Bytes up, and bytes down.
    """
    clients = sum(row.clients_ok + row.clients_failed for row in rounds)
    answers = sum(row.clients_ok for row in rounds)
    up = answers * float32_message_bytes(moved, CLIENT_SCALARS)
    return up, clients * float32_message_bytes(moved, 0) + start_bytes


def ratios(rounds: Sequence[RoundMetrics], moved: int, start_bytes: int = 0) -> dict[str, Any]:
    """Returns FedAvg's bytes, and how many times more they are than the bytes sent; None where nothing was sent.

    Args:
        rounds: Rows of metrics.csv.
        moved: Number of parameters that training moves.
        start_bytes: Bytes of the others, once for each client that took part.
    """
    totals = run_totals(rounds)
    up, down = totals["uplink_bytes"], totals["downlink_bytes"]
    fedavg_up, fedavg_down = fedavg_bytes(rounds, moved, start_bytes)
    return {
        "fedavg_bytes": fedavg_up + fedavg_down,
        "communication_ratio": _ratio(fedavg_up + fedavg_down, up + down),
        "uplink_ratio": _ratio(fedavg_up, up),
        "downlink_ratio": _ratio(fedavg_down, down),
    }


def _ratio(reference: int, sent: int) -> float | None:
    return round(reference / sent, 4) if sent else None


def checked_totals(summary: Mapping[str, Any], rounds: Sequence[RoundMetrics]) -> dict[str, Any]:
    """Returns a summary with every figure that follows from metrics.csv derived from there.

    The number of parameters is the summary's own; where an old one has none, so are FedAvg's bytes.

    Args:
        summary: Content of summary.json, of the right types.
        rounds: Rows of metrics.csv.

    Raises:
        ValueError: If the two disagree; names the figure and both values.
    """
    derived = run_totals(rounds)
    sent = derived["uplink_bytes"] + derived["downlink_bytes"]
    if "parameters" in summary:
        derived |= ratios(rounds, summary.get("moved_parameters", summary["parameters"]), summary.get("start_bytes", 0))
    else:
        derived["communication_ratio"] = _ratio(summary["fedavg_bytes"], sent)
    for name, value in derived.items():
        if name in summary and not _equal(name, summary[name], value):
            raise ValueError(f"{name} is {summary[name]} in summary.json, but metrics.csv amounts to {value}")
    return {**summary, **{name: value for name, value in derived.items() if name in summary}}


def _equal(name: str, said: Any, derived: Any) -> bool:
    if said is None or derived is None:
        return said is derived
    allowed = _TOLERANCES.get(name.rpartition("_")[2], 0.0)
    return bool(abs(said - derived) <= allowed * max(1.0, abs(derived)))
