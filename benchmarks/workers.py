"""Time of a round with two workers against one.

    python benchmarks/workers.py [--rounds 3] [--repeats 2]

FedAvg on four clients of `fashion-resnet8` with 500 examples each. Hosts are imitated by cores: a worker that is
pinned to a core stands for a host with one. Setups take turns, each `--repeats` times with fresh
workers; the first round of each, in which workers build their graphs, is not counted. Needs two cores, otherwise idle.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

from record import save

from tfc import config
from tfc.federated.client_data import client_data, client_data_type
from tfc.methods.fedavg import build_fedavg
from tfc.simulation.configured_data import load_clients, load_dataset
from tfc.simulation.experiment import expected_data, model_builder
from tfc.workers.local import WorkerProcess
from tfc.workers.remote import remote_workers

SETUPS: dict[str, list[set[int]]] = {
    "one worker, one core": [{0}],
    "two workers, a core each": [{0}, {1}],
    "one worker, both cores": [{0, 1}],
}


def started_on(cores: set[int]) -> WorkerProcess:
    """Starts a worker whose threads may use these cores alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)  # children inherit it
    try:
        return WorkerProcess(listen="127.0.0.1:0")
    finally:
        os.sched_setaffinity(0, before)


def seconds_of_rounds(workers: list[set[int]], play: Callable[[int], None], rounds: int) -> list[float]:
    """Plays rounds on fresh workers.

    Args:
        workers: The cores of each.
        play: Plays the round of a number.
        rounds: How many count.

    Returns:
        Seconds of each round but the first.
    """
    with contextlib.ExitStack() as stack:
        processes = [started_on(cores) for cores in workers]
        for process in processes:
            stack.callback(process.stop)
        stack.enter_context(remote_workers([process.address for process in processes]))
        seconds = []
        for number in range(rounds + 1):
            start = time.perf_counter()
            play(number)
            seconds.append(time.perf_counter() - start)
    return seconds[1:]


def main() -> None:
    """Measures and writes `results/workers.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    experiment = config.load("fashion-resnet8", ["method=fedavg", "data.num_clients=4", "data.examples_per_client=556"])
    dataset = load_dataset(experiment)
    clients = load_clients(experiment, dataset)
    model_fn = model_builder(experiment, expected_data(dataset))
    data = [client_data(client, number, 1) for number, client in enumerate(clients)]
    samples: dict[str, list[float]] = {name: [] for name in SETUPS}
    process = build_fedavg(model_fn, client_data_type(dataset.input_shape, dataset.x_train.dtype), experiment)
    state: Any = None
    for _ in range(options.repeats):
        for name, workers in SETUPS.items():

            def play(number: int) -> None:
                nonlocal state
                state = process.next(process.initialize() if number == 0 else state, data).state

            samples[name] += seconds_of_rounds(workers, play, options.rounds)
            print(name, [round(value, 2) for value in samples[name]], flush=True)
    medians = {name: statistics.median(values) for name, values in samples.items()}
    one, two, both = medians.values()
    result = {
        "seconds_per_round": {name: round(value, 3) for name, value in medians.items()},
        "throughput_of_two_by_one": round(one / two, 3),
        "throughput_of_two_by_one_on_both_cores": round(both / two, 3),
        "samples_s": {name: [round(value, 3) for value in values] for name, values in samples.items()},
    }
    print(result)
    command = f"python benchmarks/workers.py --rounds {options.rounds} --repeats {options.repeats}"
    print(save("workers", command, result))


if __name__ == "__main__":
    main()
