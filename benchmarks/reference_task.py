"""Accuracy and traffic of the methods on a reference task, over seeds.

    python benchmarks/reference_task.py [--task fashion-resnet8] [--runs runs/reference] [--seeds 0 1 2]
    python benchmarks/reference_task.py --task fashion-resnet20 --runs runs/reference20 --seeds 0

Runs what is not finished in the folder (about 3 minutes each on 2 cores, 8 for resnet20), then writes
`results/TASK.json`: per method and seed the mean accuracy of the last three rounds, bytes and ratio, and their means
over seeds; for fashion-resnet8 also ablations on the first seed, and for the method as published the bytes as the paper
counts them.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from record import save

from tfc import config
from tfc.replay.replay import replay
from tfc.simulation.folder import FinishedRun, read_run
from tfc.simulation.loop import run

ARMS: dict[str, list[str]] = {"fedavg": ["method=fedavg"], "fedcompress": []}
ABLATIONS: dict[str, dict[str, tuple[str, list[str]]]] = {
    "fashion-resnet8": {
        "trained-through": ("fashion-resnet8", ["training.plain_epochs=1", "training.clustered_epochs=1"]),
        "as-published": ("fashion-resnet8-paper", []),
    },
    "fashion-resnet20": {},
}
"""By task: runs on the first seed, by name: preset and changed keys."""


def finished(folder: Path, arm: str, seed: int, preset: str, settings: list[str]) -> FinishedRun:
    """Returns a run, made now where it is not there yet; its payloads are kept."""
    out = folder / f"{arm}-seed{seed}"
    if not (out / "summary.json").is_file():
        run(config.load(preset, [*settings, f"seed={seed}"]), out, force=True, record_payloads=arm != "fedavg")
    return read_run(out)


def row(runs: list[FinishedRun]) -> dict[str, Any]:
    """Means over seeds, and the figures of each."""
    keys = ("last3_accuracy", "uplink_bytes", "downlink_bytes", "communication_ratio", "num_clusters")
    seeds = [{key: item.summary[key] for key in ("seed", *keys)} for item in runs]
    return {"mean": {key: round(statistics.mean(seed[key] for seed in seeds), 4) for key in keys}, "seeds": seeds}


def main() -> None:
    """Runs, summarises and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="fashion-resnet8", choices=sorted(ABLATIONS))
    parser.add_argument("--runs", type=Path, default=Path("runs/reference"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    task, first = options.task, options.seeds[0]
    rows = {
        arm: row([finished(options.runs, arm, seed, task, settings) for seed in options.seeds])
        for arm, settings in ARMS.items()
    }
    ablations = {arm: row([finished(options.runs, arm, first, *what)]) for arm, what in ABLATIONS[task].items()}
    if "as-published" in ablations:
        # The paper counts deflated files of the models' weights.
        ablations["as-published"]["deflated_weights_bytes"] = sum(
            each.deflated_bytes for each in replay(options.runs / f"as-published-seed{first}", deflate=True)
        )
    for arm, figures in {**rows, **ablations}.items():
        print(arm, figures["mean"])
    seeds = " ".join(map(str, options.seeds))
    command = f"python benchmarks/reference_task.py --task {task} --runs {options.runs} --seeds {seeds}"
    print(save(task, command, {"methods": rows, "ablations": ablations}))


if __name__ == "__main__":
    main()
