"""How much sooner fewer bytes are: simulated time to FedAvg's accuracy minus a point, by link and device.

    python benchmarks/time_to_accuracy.py runs/methods-iid/*

Takes the bytes and accuracies that finished runs measured, and works out with `tfc.simulation.network` how long each
round would take: clients are alike in bytes (a round's bytes by its clients), differ in speed as `[network]` draws
them, and work side by side; the server waits for the slowest. Nothing is trained. The means are over seeds, as in
`tfc compare`.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
from record import save

from tfc import config
from tfc.config import NetworkConfig
from tfc.report.seed_groups import SeedGroup, seed_groups, target_accuracy
from tfc.simulation.folder import FinishedRun, read_runs
from tfc.simulation.network import client_seconds, client_speed

LINKS = {"NB-IoT": (0.06, 0.03), "LTE-M": (1.0, 1.0), "broadband": (5.0, 20.0)}
"""Uplink and downlink in 10^6 bits per second: what the first two can carry at best (3GPP release 13), our default."""
DEVICES = {"slow device": 20.0, "device": 200.0}
"""Training examples per second of the median device."""


def seconds_of_rounds(run: FinishedRun, network: NetworkConfig) -> list[float]:
    """What each round of a finished run would take, everyone taking part.

    Args:
        run: Its configuration says how many clients there are and how often they see their examples.
        network: Links and devices.
    """
    settings = config.load(str(run.path / "config.toml"))
    clients, training = settings.data.num_clients, settings.training
    held = np.sum(run.class_counts, axis=1) if run.class_counts else settings.data.examples_per_client
    epochs = training.plain_epochs + training.clustered_epochs
    trained = (np.broadcast_to(held, clients) * (1 - settings.data.validation_fraction) * epochs).astype(int)
    speeds = [client_speed(network, settings.seed, client) for client in range(clients)]
    return [
        max(
            client_seconds(network, speed, row.downlink_bytes // clients, int(count), row.uplink_bytes // clients)
            for speed, count in zip(speeds, trained, strict=True)
        )
        for row in run.rounds
    ]


def hours_to(group: SeedGroup, accuracy: float, network: NetworkConfig) -> float | None:
    """Hours until the mean curve of a seed group reaches an accuracy; None where it never does."""
    seconds = np.mean([seconds_of_rounds(run, network) for run in group.runs], axis=0)
    return group.used_at(accuracy, [float(value) for value in np.cumsum(seconds) / 3600])


def main() -> None:
    """Works out, prints, writes `results/time_to_accuracy.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    options = parser.parse_args()
    groups = seed_groups(read_runs(options.runs))
    target = target_accuracy(groups)
    if target is None:
        raise SystemExit("one of the rows must be FedAvg's: its accuracy is the measure")
    (reference,) = (group for group in groups if group.is_baseline)
    rows = []
    for (link, (up, down)), (device, speed) in itertools.product(LINKS.items(), DEVICES.items()):
        network = NetworkConfig(uplink_mbps=up, downlink_mbps=down, examples_per_second=speed)
        slowest = hours_to(reference, target, network)
        for group in groups:
            hours = hours_to(group, target, network)
            sooner = None if hours is None or slowest is None else round(slowest / hours, 3)
            rows.append({"link": link, "device": device, "group": group.name, "hours": hours, "times_sooner": sooner})
            print(f"{link:10} {device:12} {group.name:24} {'-' if hours is None else f'{hours:8.3f} h {sooner:7.2f}x'}")
    content = {"target_accuracy": target, "links_mbps": LINKS, "examples_per_second": DEVICES, "rows": rows}
    print(save("time_to_accuracy", "python benchmarks/time_to_accuracy.py runs/methods-iid/*", content))


if __name__ == "__main__":
    main()
