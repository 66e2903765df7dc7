"""Collects the runs of a sweep into one results file, and prints its table.

    tfc sweep benchmarks/sweeps/methods-iid.toml --out runs/methods-iid
    python benchmarks/collect_runs.py benchmarks/sweeps/methods-iid.toml runs/methods-iid

Every run that the sweep names must be there with the configuration that it names; with --partial, those that are
there are taken, and the others named. `results/SWEEP.json` holds the runs' summaries, accuracy and bytes of each round,
and the means over seeds; with --accuracies also the bytes that each arm's mean curve needs to these.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from record import save

from tfc import config
from tfc.config import ExperimentConfig
from tfc.report.seed_groups import points_above_baseline, seed_groups, target_accuracy
from tfc.report.tables import mean_table
from tfc.simulation.folder import FinishedRun, read_runs
from tfc.simulation.sweep_file import plan_file


def essential(experiment: ExperimentConfig) -> ExperimentConfig:
    """Leaves out what changes no result, or what a method does not look at: FedAvg neither clusters nor codes."""
    experiment = config.for_comparison(experiment)
    if experiment.method != "fedavg":
        return experiment
    defaults = ExperimentConfig()
    return dataclasses.replace(
        experiment,
        clustering=defaults.clustering,
        communication=defaults.communication,
        server=defaults.server,
    )


def collected(sweep: Path, runs: Path, *, partial: bool, smooth: int) -> tuple[list[FinishedRun], list[str]]:
    """Reads all runs of a sweep and checks that they are what it names.

    Returns:
        The runs, and the names of missing ones.

    Raises:
        SystemExit: If one has other settings, or is missing and must not be.
    """
    found, missing = [], []
    for planned in plan_file(sweep):
        if partial and not (runs / planned.name / "summary.json").is_file():
            missing.append(planned.name)
            continue
        (run,) = read_runs([runs / planned.name], smooth)
        if essential(config.load(str(run.path / "config.toml"))) != essential(planned.config):
            raise SystemExit(f"{run.path} has other settings than {sweep} names")
        found.append(run)
    return found, missing


def per_run(run: FinishedRun) -> dict[str, Any]:
    """Summary, accuracies and bytes of one run."""
    return {
        **run.summary,
        "accuracy_of_rounds": [round(value, 6) for value in run.accuracies],
        "clusters_of_rounds": [row.num_clusters for row in run.rounds],
        "bytes_of_rounds": [row.uplink_bytes + row.downlink_bytes for row in run.rounds],
    }


def main() -> None:
    """Collects, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument(
        "--accuracies", type=float, nargs="+", default=[], help="also the bytes until the mean curve reaches these"
    )
    parser.add_argument(
        "--smooth", type=int, default=1, metavar="ROUNDS", help="average accuracies over so many rounds, as tfc compare"
    )
    parser.add_argument("--partial", action="store_true", help="take the runs that are there")
    options = parser.parse_args()
    runs, missing = collected(options.sweep, options.runs, partial=options.partial, smooth=options.smooth)
    groups = seed_groups(runs)
    target = target_accuracy(groups)
    table = mean_table(runs)
    print(table.to_markdown())
    means = {
        group.name: {
            "seeds": len(group.runs),
            f"last{group.last_rounds}_accuracy": round(group.reached, 6),
            "deviation": group.reached_deviation,
            "points_to_fedavg": points_above_baseline(group, groups),
            "uplink_bytes": group.mean("uplink_bytes"),
            "downlink_bytes": group.mean("downlink_bytes"),
            "ratio": round(group.ratio, 4),
            "bytes_to_target": None if target is None else group.bytes_to(target),
            "bytes_to_accuracies": {str(accuracy): group.bytes_to(accuracy) for accuracy in options.accuracies},
        }
        for group in groups
    }
    command = f"tfc sweep {options.sweep} --out {options.runs} && python benchmarks/collect_runs.py {options.sweep} "
    accuracies = f" --accuracies {' '.join(map(str, options.accuracies))}" if options.accuracies else ""
    smooth = f" --smooth {options.smooth}" if options.smooth > 1 else ""
    content = {
        "missing": missing,
        "target_accuracy": target,
        "means": means,
        "runs": {run.name: per_run(run) for run in runs},
    }
    print(save(options.sweep.stem, command + str(options.runs) + accuracies + smooth, content))


if __name__ == "__main__":
    main()
