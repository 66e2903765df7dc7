"""Accuracy and traffic of the methods on `fashion-resnet8`, over seeds.

    python benchmarks/reference_task.py --runs runs/reference [--seeds 0 1 2]

Runs what is not finished in the folder (about 3 minutes each on 2 cores), then writes `results/fashion-resnet8.json`:
per method and seed the mean accuracy of the last three rounds, bytes and ratio, and their means over seeds; for the
method as published also the bytes as the paper counts them.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from record import save

from tfc import config
from tfc.replay import replay
from tfc.run_folder import FinishedRun, read_run
from tfc.simulation import run

ARMS: dict[str, tuple[str, list[str]]] = {
    "fedavg": ("fashion-resnet8", ["method=fedavg"]),
    "fedcompress": ("fashion-resnet8", []),
}
ABLATIONS: dict[str, tuple[str, list[str]]] = {
    "trained-through": ("fashion-resnet8", ["training.plain_epochs=1", "training.clustered_epochs=1"]),
    "as-published": ("fashion-resnet8-paper", []),
}


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
    parser.add_argument("--runs", type=Path, default=Path("runs/reference"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    rows = {
        arm: row([finished(options.runs, arm, seed, *settings) for seed in options.seeds])
        for arm, settings in ARMS.items()
    }
    ablations = {
        arm: row([finished(options.runs, arm, options.seeds[0], *settings)]) for arm, settings in ABLATIONS.items()
    }
    # The paper counts deflated files of the models' weights.
    published = options.runs / f"as-published-seed{options.seeds[0]}"
    ablations["as-published"]["deflated_weights_bytes"] = sum(
        row.deflated_bytes for row in replay(published, deflate=True)
    )
    for arm, figures in {**rows, **ablations}.items():
        print(arm, figures["mean"])
    command = f"python benchmarks/reference_task.py --seeds {' '.join(map(str, options.seeds))}"
    print(save("fashion-resnet8", command, {"methods": rows, "ablations": ablations}))


if __name__ == "__main__":
    main()
