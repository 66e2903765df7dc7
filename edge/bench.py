"""Latency and accuracy of model files on this machine, in alternating slices. NumPy and an interpreter alone."""

from __future__ import annotations

import contextlib
import csv
import datetime
import hashlib
import io
import statistics
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edge.errors import EdgeError
from edge.machine import describe_machine, machine_state, was_throttled
from edge.measured_process import MeasuredProcess
from edge.runtime import find_runtime

Progress = Callable[[str, float], None]
"""Called with what is being done and the share that is done, 0 to 1."""

_BOOTSTRAP_DRAWS = 1000


@dataclass(frozen=True)
class BenchSettings:
    """How long is measured, and how.

    Attributes:
        threads: Threads of the interpreter.
        delegate: Whether it may hand the graph to its default delegate (XNNPACK).
        warm_up_runs: Uncounted runs of each file, first.
        min_runs: Counted runs of each file at least.
        min_seconds: Seconds of counted runs of each file at least.
        slices: Number of slices; in each slice every file runs in turn.
    """

    threads: int = 1
    delegate: bool = True
    warm_up_runs: int = 10
    min_runs: int = 100
    min_seconds: float = 1.0
    slices: int = 20


class Runner(Protocol):
    """What can be measured."""

    def run(self, count: int) -> list[float]:
        """Returns the milliseconds of each of some runs."""


def interleaved_latencies(
    runners: Sequence[Runner], settings: BenchSettings, progress: Progress
) -> tuple[list[list[list[float]]], bool]:
    """Measures every file in every slice, so that a machine's drift meets all of them alike.

    Args:
        runners: The files' processes, their input set.
        settings: How long.
        progress: Told how far it is.

    Returns:
        Milliseconds per run, one list per file, of one list per finished slice; and whether all slices were finished
        (Ctrl-C ends them early, once there is one).
    """
    runs_per_slice = []
    for runner in runners:
        typical = statistics.median(runner.run(max(settings.warm_up_runs, 1)))
        needed = max(settings.min_runs, settings.min_seconds * 1000 / max(typical, 1e-6))
        runs_per_slice.append(max(1, -int(-needed // settings.slices)))
    samples: list[list[list[float]]] = [[] for _ in runners]
    for number in range(settings.slices):
        # Every other slice goes backwards, so that no file always follows the same one.
        order = range(len(runners)) if number % 2 == 0 else range(len(runners) - 1, -1, -1)
        try:
            # The first run of a turn is not counted: the caches still hold the file before.
            found = {position: runners[position].run(1 + runs_per_slice[position])[1:] for position in order}
        except KeyboardInterrupt:
            if not number:
                raise
            return samples, False
        for position, values in found.items():
            samples[position].append(values)
        progress("latency", (number + 1) / settings.slices)
    return samples, True


def paired_ratios(baseline: Sequence[Sequence[float]], candidate: Sequence[Sequence[float]]) -> list[float]:
    """Returns, per slice, the median of the baseline by the median of the candidate.

    Args:
        baseline: Milliseconds per run, one list per slice.
        candidate: Likewise, the same slices.
    """
    return [statistics.median(base) / statistics.median(other) for base, other in zip(baseline, candidate, strict=True)]


def paired_speedup(baseline: Sequence[Sequence[float]], candidate: Sequence[Sequence[float]]) -> float:
    """Returns the median over slices of (median of the baseline / median of the candidate).

    Args:
        baseline: Milliseconds per run, one list per slice.
        candidate: Likewise, the same slices.
    """
    return statistics.median(paired_ratios(baseline, candidate))


def speedup_interval(
    baseline: Sequence[Sequence[float]], candidate: Sequence[Sequence[float]], seed: int = 0
) -> tuple[float, float]:
    """Returns the 95 % bootstrap interval of `paired_speedup`, slices being drawn with replacement.

    Source: Efron, "Bootstrap methods: another look at the jackknife" (1979), percentile intervals.

    Args:
        baseline: Milliseconds per run, one list per slice.
        candidate: Likewise, the same slices.
        seed: Of the draws.
    """
    ratios = np.array(paired_ratios(baseline, candidate))
    draws = np.random.default_rng(seed).integers(0, len(ratios), (_BOOTSTRAP_DRAWS, len(ratios)))
    low, high = np.percentile(np.median(ratios[draws], axis=1), [2.5, 97.5])
    return float(low), float(high)


def float_reference(path: Path, measured: Sequence[Path]) -> int:
    """Returns the position of the file that a file's predictions are compared with.

    Args:
        path: NAME-VARIANT.tflite.
        measured: All files, the baseline first.

    Returns:
        The position of NAME-f32.tflite in the same folder where it is measured too, else that of the baseline, 0.
    """
    name, _, _ = path.stem.rpartition("-")
    exact = path.with_name(f"{name}-f32.tflite")
    return list(measured).index(exact) if exact in measured else 0


def _latency_ms(slices: Sequence[Sequence[float]]) -> dict[str, Any]:
    raw = [value for values in slices for value in values]
    p10, median, p90, p99 = np.percentile(raw, [10, 50, 90, 99])
    return {
        "median": round(float(median), 6),
        "p10": round(float(p10), 6),
        "p90": round(float(p90), 6),
        "p99": round(float(p99), 6),
        "runs": len(raw),
        "raw": [[round(value, 6) for value in values] for values in slices],
    }


def _checked(settings: BenchSettings) -> BenchSettings:
    if settings.threads < 1:
        raise EdgeError(f"--threads must be at least 1; found {settings.threads}")
    if settings.slices < 1 or settings.min_runs < 1 or not 0 <= settings.min_seconds < 1e6:
        raise EdgeError("at least one slice, one run and a time of 0 to 1,000,000 seconds are needed")
    return settings


def bench(
    files: Sequence[Path],
    *,
    baseline: Path | None = None,
    data: Path | None = None,
    runtime: str = "auto",
    settings: BenchSettings | None = None,
    progress: Progress = lambda what, share: None,
) -> dict[str, Any]:
    """Measures model files side by side, each in a process of its own.

    Args:
        files: The files, packed or not.
        baseline: The file that speed-up refers to; measured too, the first file where None.
        data: NPZ with x (examples, ...) float32 and y (examples,); without it accuracy and agreement are None.
        runtime: A key of `edge.runtime.RUNTIMES`, or `auto`.
        settings: How long, and how.
        progress: Told what is being done.

    Returns:
        The content of bench.json: date, machine, state (before, after, throttled), runtime, runtime_version, threads,
        settings, complete, data, baseline and, per file, name, path, sha256, bytes, bytes_deflated, accuracy, agreement
        and agreement_with (see `float_reference`), load_ms, first_ms, peak_memory_mb, latency_ms {median, p10, p90,
        p99, runs, raw}, speedup, speedup_interval.

    Raises:
        EdgeError: If a file, the data or the runtime do not allow it.
    """
    settings = _checked(settings or BenchSettings())
    baseline = baseline or files[0]
    paths = list(dict.fromkeys([baseline, *files]))
    chosen = find_runtime(runtime)
    before = machine_state()
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(MeasuredProcess(path, chosen.name, settings.threads, delegate=settings.delegate))
            for path in paths
        ]
        shapes = {process.input_shape for process in processes}
        if len(shapes) > 1:
            raise EdgeError(f"the files take inputs of different shapes: {', '.join(map(str, sorted(shapes)))}")
        source = None if data is None else str(data)
        first_ms = [process.call("first") for process in processes]
        for process in processes:
            process.run(max(settings.warm_up_runs, 1))
        memory = [process.call("peak_memory_mb") for process in processes]  # before any data set is in it
        predictions, classes = [], np.zeros(0, np.int64)
        for number, process in enumerate(processes if source else []):
            progress("accuracy", number / len(processes))
            answer = process.call("predict", data=source)
            predictions.append(np.array(answer["predicted"]))
            classes = np.array(answer["classes"])
        samples, complete = interleaved_latencies(processes, settings, progress)
    after = machine_state()

    results = []
    for number, (path, process) in enumerate(zip(paths, processes, strict=True)):
        content = path.read_bytes()
        reference = float_reference(path, paths)
        accuracy = agreement = None
        if predictions:
            accuracy = round(float((predictions[number] == classes).mean()), 6)
            agreement = round(float((predictions[number] == predictions[reference]).mean()), 6)
        low, high = speedup_interval(samples[0], samples[number]) if number else (1.0, 1.0)
        results.append(
            {
                "name": path.name,
                "path": str(path),
                "sha256": hashlib.sha256(content).hexdigest(),
                "bytes": len(content),
                "bytes_deflated": len(zlib.compress(content, 9)),
                "accuracy": accuracy,
                "agreement": agreement,
                "agreement_with": paths[reference].name,
                "load_ms": round(process.load_ms, 3),
                "first_ms": round(first_ms[number], 3),
                "peak_memory_mb": None if memory[number] is None else round(memory[number], 1),
                "latency_ms": _latency_ms(samples[number]),
                "speedup": round(paired_speedup(samples[0], samples[number]), 4) if number else 1.0,
                "speedup_interval": [round(low, 4), round(high, 4)],
            }
        )
    return {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "state": {"before": before, "after": after, "throttled": was_throttled(before, after)},
        "runtime": chosen.package,
        "runtime_version": chosen.version,
        "threads": settings.threads,
        "settings": asdict(settings),
        "complete": complete,
        "data": source,
        "baseline": baseline.name,
        "files": results,
    }


def to_csv(result: dict[str, Any]) -> str:
    """Returns one row per file, with the runtime beside it and without the raw samples.

    Args:
        result: What `bench` returned.
    """
    flat = []
    for item in result["files"]:
        row = {"runtime": result["runtime"], "runtime_version": result["runtime_version"], **item}
        latency, interval = row.pop("latency_ms"), row.pop("speedup_interval")
        row |= {f"{name}_ms": latency[name] for name in ("median", "p10", "p90", "p99")}
        flat.append({**row, "runs": latency["runs"], "speedup_low": interval[0], "speedup_high": interval[1]})
    out = io.StringIO()
    writer = csv.DictWriter(out, flat[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return out.getvalue()


def format_bench(result: dict[str, Any]) -> str:
    """Returns the result as a table for a terminal.

    Args:
        result: What `bench` returned.
    """

    def share(value: float | None) -> str:
        return "not measured" if value is None else f"{value:.4f}"

    without = "" if result["settings"]["delegate"] else ", without delegate"
    width = max(len("file"), *(len(item["name"]) for item in result["files"]))
    titles = (
        f"{'bytes':>10}  {'accuracy':>12}  {'agreement':>12}  {'load ms':>8}  {'median ms':>9}  {'p90 ms':>8}  "
        f"{'p99 ms':>8}  {'MB':>6}  speed-up (95 %)"
    )
    head = f"{'file':{width}}  {titles}"
    lines = [head]
    for item in result["files"]:
        latency = item["latency_ms"]
        lines.append(
            f"{item['name']:{width}}  {item['bytes']:>10,}  {share(item['accuracy']):>12}  "
            f"{share(item['agreement']):>12}  {item['load_ms']:>8.2f}  {latency['median']:>9.3f}  "
            f"{latency['p90']:>8.3f}  {latency['p99']:>8.3f}  {item['peak_memory_mb'] or 0:>6.0f}  "
            f"{item['speedup']:>7.2f}x ({item['speedup_interval'][0]:.2f}-{item['speedup_interval'][1]:.2f})"
        )
    lines.append(
        f"{result['runtime']} {result['runtime_version']}, {result['threads']} thread(s){without}, "
        f"{result['machine']['processor']}; speed-up against {result['baseline']}, agreement with "
        "the file's own f32 where it is measured, else with that"
    )
    if result["state"]["throttled"]:
        lines.append("warning: the processor was throttled meanwhile; ratios hold, milliseconds do not")
    if not result["complete"]:
        lines.append("incomplete: interrupted; figures are of the slices that were finished")
    return "\n".join(lines)
