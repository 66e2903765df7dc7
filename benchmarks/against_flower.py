"""A round of FedAvg here against Flower's simulation with Keras: seconds, peak memory, bytes, measured side by side.

    python -m venv flower-env && flower-env/bin/pip install "flwr[simulation]==1.42.0" tensorflow-cpu==2.21.0
    python benchmarks/against_flower.py --flower-python flower-env/bin/python [--repeats 3] [--rounds 6]

The same work on both sides: the model, the clients' examples, batch size, epochs, Adam and its learning rate, each
client's validation, float32 weights both ways. The two take turns, ours first in every other repeat. Seconds are of a
whole round without the evaluation on the test set: the first round, in which either side builds its graphs, and the
median of the others. Memory is the peak of the sum over all processes of a side (proportional set size, so shared pages
count once), looked at four times a second, data loading and evaluation included. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from record import save

from tfc import config
from tfc.simulation.configured_data import load_clients, load_dataset

PRESETS = ("fashion-resnet8", "fashion-resnet20")
MARK = "TFC_BENCHMARK_SIDE"
"""Environment variable by which the processes of a side are recognised, whoever started them."""


def memory_of(mark: str) -> int:
    """Bytes that all processes with the mark hold now, shared pages divided among them."""
    total = 0
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark:
                total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return total


def run_side(command: list[str], extra: dict[str, str]) -> int:
    """Runs one side to its end and returns its peak memory in bytes.

    Raises:
        SystemExit: If it fails; shows what it said.
    """
    mark = uuid.uuid4().hex
    environment = {**os.environ, **extra, MARK: mark}
    peak, ended = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.25):
            peak = max(peak, memory_of(mark))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    finally:
        ended.set()
        watcher.join()
    if found.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{found.stderr[-3000:]}")
    return peak


def write_data(experiment: config.ExperimentConfig, rounds: int, path: Path) -> None:
    """Writes the clients' examples and the settings for the other environment."""
    dataset = load_dataset(experiment)
    arrays: dict[str, Any] = {}
    for number, client in enumerate(load_clients(experiment, dataset)):
        for part in ("x_train", "y_train", "x_validation", "y_validation"):
            arrays[f"{part}_{number}"] = getattr(client, part)
    np.savez(
        path,
        model=experiment.model.name,
        num_classes=dataset.num_classes,
        num_clients=experiment.data.num_clients,
        rounds=rounds,
        batch_size=experiment.training.batch_size,
        epochs=experiment.training.plain_epochs + experiment.training.clustered_epochs,
        learning_rate=experiment.training.learning_rate,
        x_test=dataset.x_test,
        y_test=dataset.y_test,
        **arrays,
    )


def ours(preset: str, rounds: int, folder: Path) -> dict[str, Any]:
    """Runs `tfc run` and reads its metrics."""
    settings = ["--set", "method=fedavg", "--set", f"rounds={rounds}"]
    peak = run_side([sys.executable, "-m", "tfc", "run", preset, *settings, "--out", str(folder)], {})
    with (folder / "metrics.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        "seconds": [float(row["seconds"]) for row in rows],
        "accuracies": [float(row["accuracy"]) for row in rows],
        "downlink_bytes": [int(row["downlink_bytes"]) for row in rows],
        "uplink_bytes": [int(row["uplink_bytes"]) for row in rows],
        "peak_bytes": peak,
    }


def flower(python: Path, data: Path, out: Path, threads: int) -> dict[str, Any]:
    """Runs the other side in its own environment."""
    root = Path(__file__).parent.parent
    script = Path(__file__).with_name("flower_fedavg.py")
    command = [str(python), str(script), str(data), str(out), "--threads", str(threads)]
    peak = run_side(command, {"PYTHONPATH": str(root), "FLWR_TELEMETRY_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0"})
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return {**found, "peak_bytes": peak}


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the repeats of a side."""
    return {
        "first_round_seconds": round(statistics.median(run["seconds"][0] for run in runs), 2),
        "round_seconds": round(statistics.median(statistics.median(run["seconds"][1:]) for run in runs), 2),
        "peak_mb": round(statistics.median(run["peak_bytes"] for run in runs) / 1e6),
        "mb_per_round": round((runs[0]["downlink_bytes"][1] + runs[0]["uplink_bytes"][1]) / 1e6, 3),
        "last_accuracy": round(statistics.mean(run["accuracies"][-1] for run in runs), 4),
    }


def compare(preset: str, python: Path, repeats: int, rounds: int, threads: int) -> dict[str, Any]:
    """Measures both sides in turn."""
    experiment = config.load(preset, ["method=fedavg"])
    mine: list[dict[str, Any]] = []
    theirs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = folder / "data.npz"
        write_data(experiment, rounds, data)
        for repeat in range(repeats):
            sides: list[Callable[[], None]] = [
                lambda: mine.append(ours(preset, rounds, folder / f"run{len(mine)}")),
                lambda: theirs.append(flower(python, data, folder / "flower.json", threads)),
            ]
            for side in sides if repeat % 2 == 0 else reversed(sides):
                side()
            print(preset, repeat + 1, summary(mine[-1:]), summary(theirs[-1:]), sep="\n  ", flush=True)
    ratios = [
        statistics.median(a["seconds"][1:]) / statistics.median(b["seconds"][1:])
        for a, b in zip(mine, theirs, strict=True)
    ]
    return {
        "ours": summary(mine),
        "flower": summary(theirs),
        "round_ours_to_flower": round(statistics.median(ratios), 3),
        "by_repeat": [round(ratio, 3) for ratio in ratios],
        "flower_versions": theirs[0]["versions"],
    }


def main() -> None:
    """Measures both presets and writes `results/against_flower.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flower-python", type=Path, required=True, help="interpreter that has flwr and tensorflow")
    parser.add_argument("--presets", nargs="+", default=list(PRESETS), help="presets, run with FedAvg")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=6, help="rounds of each run, the first counted apart")
    parser.add_argument("--threads", type=int, default=1, help="threads of TensorFlow in each of Flower's actors")
    options = parser.parse_args()
    if options.rounds < 2:
        parser.error("--rounds: at least 2, since the first is counted apart")
    result = {
        preset: compare(preset, options.flower_python, options.repeats, options.rounds, options.threads)
        for preset in options.presets
    }
    print(json.dumps(result, indent=2))
    command = f"python benchmarks/against_flower.py --flower-python PYTHON --repeats {options.repeats}"
    print(save("against_flower", f"{command} --rounds {options.rounds}", result))


if __name__ == "__main__":
    main()
