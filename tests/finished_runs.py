"""Runs as their folders would have them, without any training."""

import statistics
from dataclasses import replace

from tfc import config
from tfc.simulation.folder import RoundMetrics, read_run
from tfc.simulation.folder_writer import RunFolder


def finished(folder, name, accuracies, bytes_per_round, seed=0, hours=0.0, **settings):
    """A run with these accuracies and bytes, half of them up."""
    experiment = replace(config.load("demo", [f"{key}={value}" for key, value in settings.items()]), seed=seed)
    experiment = replace(experiment, rounds=len(accuracies))
    run = RunFolder(folder / name)
    run.write_text("config.toml", config.to_toml(experiment))
    half = bytes_per_round // 2
    for number, accuracy in enumerate(accuracies, 1):
        run.add_round(
            RoundMetrics(number, accuracy, 1.0, 0, 0.0, half, half, 0, 0.0, 3, 0, 1.0, simulated_seconds=3600 * hours)
        )
    sent = half * len(accuracies)
    run.write_summary(
        {
            "method": experiment.method,
            "aggregation": experiment.aggregation,
            "rounds": len(accuracies),
            "final_accuracy": accuracies[-1],
            "last3_accuracy": statistics.fmean(accuracies[-3:]),
            "num_clusters": 0,
            "uplink_bytes": sent,
            "downlink_bytes": sent,
            "fedavg_bytes": 1_000_000,
            "communication_ratio": 1_000_000 / (2 * sent),
            "uplink": "float32",
            "versions": {},
            "seed": seed,
        }
    )
    return read_run(folder / name)
