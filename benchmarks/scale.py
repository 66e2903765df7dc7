"""Memory and time of a round by number of clients and by size of the model, on synthetic data.

    python benchmarks/scale.py [--quick] [--method fedavg] [--rounds 4] [--long 0]

Each figure is of a process of its own: a client has one batch of noise (8 images to train on, 1 to validate), so that
what grows is the number of clients and the model. Recorded are the peak and the last resident memory of Python and of
TFF's worker (VmHWM, RSS), and the median time of a round but the first, by the clock and of the processors. `--long
200` also runs 200 rounds of 10 clients and compares the peak after round 10 with the peak at the end. Times by the
clock mean something on an idle machine only.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from record import save

from tfc.config.keys import CLIENTS_AT_A_TIME

ROWS: list[tuple[int, int, str]] = [
    (10, 10, "resnet8"),
    (50, 50, "resnet8"),
    (100, 100, "resnet8"),
    (1000, 50, "resnet8"),
    (1000, 1000, "resnet8"),
    (10, 10, "resnet20"),
    (100, 100, "resnet20"),
    (10, 10, "mobilenet"),
    (100, 100, "mobilenet"),
]
"""Clients, clients per round, model (0.08, 0.27 and 3.2 million parameters)."""
QUICK = [(10, 10, "resnet8"), (50, 50, "resnet8"), (1000, 50, "resnet8")]
EACH, BATCH = 9, 8
TIMES = ("seconds", "cpu_seconds")


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def status_mb(pid: int, key: str) -> float:
    """A line of /proc/PID/status, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(key))


def measure(clients: int, per_round: int, model: str, method: str, rounds: int, concurrent: int) -> dict[str, Any]:
    """Runs some rounds in this process."""
    from tfc import config
    from tfc.data.partition import Clients, iid
    from tfc.federated.client_data import client_data, client_data_type
    from tfc.models.model_contract import ExpectedData
    from tfc.registries import METHODS
    from tfc.simulation.experiment import build_ood, model_builder
    from tfc.simulation.round import sampled_clients
    from tfc.workers.local import local_worker

    size, channels = (96, 3) if model == "mobilenet" else (32, 3)
    experiment = config.from_dict(
        {
            "method": method,
            "clients_per_round": per_round,
            "data": {"num_clients": clients, "dataset": "cifar10"},
            "model": {"name": model},
            "training": {"batch_size": BATCH, "plain_epochs": 1},
            "server": {"epochs": 1, "ood_examples": 64},
        }
    )
    shape = (size, size, channels)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (clients * EACH, *shape), np.uint8)
    y = rng.integers(0, 10, clients * EACH).astype(np.int32)
    held = Clients(x, y, iid(y, clients, EACH, 0), 1 / EACH, 0)
    model_fn = model_builder(experiment, ExpectedData(shape, 10))
    rows = []
    with local_worker(max_concurrent_clients=concurrent) as worker:
        process = METHODS[method](
            model_fn,
            client_data_type(shape, np.uint8),
            experiment,
            build_ood(experiment, shape),
        )
        state = process.initialize()
        pids = {"python": os.getpid(), "worker": worker.pid}
        used = sum(map(cpu_seconds, pids.values()))
        for number in range(1, rounds + 1):
            started = time.monotonic()
            sampled = sampled_clients(experiment, number)
            data = [client_data(held[client], client, number) for client in sampled]
            state = process.next(state, data).state
            del data
            before, used = used, sum(map(cpu_seconds, pids.values()))
            rows.append(
                {"seconds": time.monotonic() - started, "cpu_seconds": used - before}
                | {f"{name}_peak_mb": status_mb(pid, "VmHWM") for name, pid in pids.items()}
                | {f"{name}_rss_mb": psutil.Process(pid).memory_info().rss / 1e6 for name, pid in pids.items()}
            )
    peaks = [row["python_peak_mb"] + row["worker_peak_mb"] for row in rows]
    return {
        "clients": clients,
        "clients_per_round": per_round,
        "model": model,
        "parameters": model_fn().count_params(),
        "data_mb": round(x.nbytes / 1e6, 1),
        "rounds": rounds,
        **{f"{name}_per_round": round(statistics.median(row[name] for row in rows[1:]), 2) for name in TIMES},
        **{name: round(value, 1) for name, value in rows[-1].items() if name not in TIMES},
        "peak_mb": round(peaks[-1], 1),
        "python_and_worker_peak_mb_by_round": {
            number: [round(rows[number - 1][f"{name}_peak_mb"], 1) for name in pids]
            for number in (1, 2, 5, 10, 20, 50, 100, 200)
            if number <= rounds
        },
        "growth_after_round_10": round(peaks[-1] / peaks[min(9, len(peaks) - 1)] - 1, 4),
    }


def in_own_process(arguments: dict[str, Any]) -> dict[str, Any]:
    """Measures in a process of its own, so that peaks are its own; one that ends early is a row that says so."""
    done = subprocess.run([sys.executable, __file__, "--one", json.dumps(arguments)], stdout=subprocess.PIPE, text=True)
    row: dict[str, Any] = {**arguments, "ended_with": done.returncode}
    if not done.returncode:
        row = json.loads(done.stdout.splitlines()[-1])
    print(row, flush=True)
    return row


def main() -> None:
    """Measures and writes `results/scale.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three rows")
    parser.add_argument("--method", default="fedavg")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--long", type=int, default=0, metavar="ROUNDS", help="also a long run of 10 clients")
    parser.add_argument("--max-concurrent-clients", type=int, default=CLIENTS_AT_A_TIME)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(**json.loads(options.one))))
        return
    common = {"method": options.method, "concurrent": options.max_concurrent_clients}
    plan = [(*row, options.rounds) for row in (QUICK if options.quick else ROWS)]
    if options.long:
        plan.append((10, 10, "resnet8", options.long))
    rows = [
        in_own_process({"clients": clients, "per_round": sampled, "model": model, "rounds": rounds, **common})
        for clients, sampled, model, rounds in plan
    ]
    print(save("scale", " ".join(["python benchmarks/scale.py", *sys.argv[1:]]), {**common, "rows": rows}))


if __name__ == "__main__":
    main()
