"""How far the speed-ups of `edge bench` differ from run to run, and what measuring costs.

    python benchmarks/bench_repeatability.py MODEL-f32.tflite MODEL-int8.tflite [--runs 10]

Repeatability: the speed-up of the second file over the first, ten times, as `edge bench` finds it (processes kept alive
and alternated), and as two separate measurements one after the other find it, of the same length. The spread is the
90th percentile of the ten by their 10th. Overhead: `edge bench`'s median of the first file by the median of a bare loop
around `invoke` in a process of its own, the two alternating.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from record import save

from edge.measuring.bench import bench_files
from edge.measuring.interleaving import BenchSettings

BARE_LOOP = """
import sys, time
import numpy as np
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
details = interpreter.get_input_details()[0]
interpreter.set_tensor(details["index"], np.random.default_rng(0).random(details["shape"], np.float32))
for _ in range(10):
    interpreter.invoke()
times = []
for _ in range(int(sys.argv[2])):
    start = time.perf_counter_ns()
    interpreter.invoke()
    times.append(time.perf_counter_ns() - start)
print(sorted(times)[len(times) // 2] / 1e6)
"""


def bare_loop_ms(path: Path, runs: int) -> float:
    """Median of a loop that knows nothing of this package."""
    words = [sys.executable, "-c", BARE_LOOP, str(path), str(runs)]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def median_ms(path: Path, settings: BenchSettings) -> float:
    """Median of one file measured alone."""
    return float(bench_files([path], runtime="litert", settings=settings)["files"][0]["latency_ms"]["median"])


def spread(values: list[float]) -> float:
    """90th percentile by the 10th."""
    low, high = np.percentile(values, [10, 90])
    return round(float(high / low), 4)


def main() -> None:
    """Measures and writes `results/bench_repeatability.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("baseline", type=Path)
    parser.add_argument("candidate", type=Path)
    parser.add_argument("--runs", type=int, default=10)
    options = parser.parse_args()
    settings = BenchSettings(min_seconds=2.0)
    interleaved, separate, overhead = [], [], []
    for _ in range(options.runs):
        result = bench_files([options.baseline, options.candidate], runtime="litert", settings=settings)
        interleaved.append(result["files"][1]["speedup"])
        separate.append(median_ms(options.baseline, settings) / median_ms(options.candidate, settings))
        runs = result["files"][0]["latency_ms"]["runs"]
        overhead.append(median_ms(options.baseline, settings) / bare_loop_ms(options.baseline, runs))
    results: dict[str, Any] = {
        "files": [options.baseline.name, options.candidate.name],
        "interleaved": {"spread": spread(interleaved), "speedups": [round(value, 4) for value in interleaved]},
        "separate": {"spread": spread(separate), "speedups": [round(value, 4) for value in separate]},
        "by_bare_loop": {
            "median": round(statistics.median(overhead), 4),
            "ratios": [round(value, 4) for value in overhead],
        },
    }
    print(results)
    command = f"python benchmarks/bench_repeatability.py {options.baseline} {options.candidate} --runs {options.runs}"
    print(save("bench_repeatability", command, results))


if __name__ == "__main__":
    main()
