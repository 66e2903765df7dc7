"""Latency and accuracy of .tflite files on this machine, in alternating slices. NumPy and an interpreter alone."""

from __future__ import annotations

import datetime
import os
import platform
import statistics
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import EdgeError
from edge.files import read_examples
from edge.runtime import TfliteModel, find_runtime

Progress = Callable[[str, float], None]
"""Called with what is being done and the share that is done, 0 to 1."""


@dataclass(frozen=True)
class BenchSettings:
    """How long is measured.

    Attributes:
        threads: Threads of the interpreter.
        warm_up_runs: Uncounted runs of each file, first.
        min_runs: Counted runs of each file at least.
        min_seconds: Seconds of counted runs of each file at least.
        slices: Number of slices; in each slice every file runs in turn.
    """

    threads: int = 1
    warm_up_runs: int = 10
    min_runs: int = 100
    min_seconds: float = 1.0
    slices: int = 20


def _processor() -> str:
    """x86 names it `model name`, a Raspberry Pi `Model`; a bare `model` is a number."""
    try:
        lines = [line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line]
    except OSError:
        lines = []
    named = {key.strip(): value.strip() for key, value in reversed(lines)}
    return named.get("model name") or named.get("Model") or platform.processor() or platform.machine()


def describe_machine() -> dict[str, Any]:
    """Returns processor, architecture, cores, system, and the versions of Python and NumPy."""
    return {
        "processor": _processor(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def _timed_run_ms(model: TfliteModel) -> float:
    start = time.perf_counter_ns()
    model.invoke()
    return (time.perf_counter_ns() - start) / 1e6


def interleaved_latencies(
    models: Sequence[TfliteModel], settings: BenchSettings, progress: Progress
) -> list[list[list[float]]]:
    """Measures every model in every slice, so that a machine's drift meets all of them alike.

    Args:
        models: Loaded models with their input set.
        settings: How long.
        progress: Told how far it is.

    Returns:
        Milliseconds per run: one list per model, of one list per slice.
    """
    runs_per_slice = []
    for model in models:
        typical = statistics.median(_timed_run_ms(model) for _ in range(max(settings.warm_up_runs, 1)))
        needed = max(settings.min_runs, settings.min_seconds * 1000 / max(typical, 1e-6))
        runs_per_slice.append(max(1, -int(-needed // settings.slices)))
    samples: list[list[list[float]]] = [[] for _ in models]
    for number in range(settings.slices):
        # Every other slice goes backwards, so that no file always follows the same one.
        order = range(len(models)) if number % 2 == 0 else range(len(models) - 1, -1, -1)
        for position in order:
            model = models[position]
            model.invoke()  # the caches still hold the previous model
            samples[position].append([_timed_run_ms(model) for _ in range(runs_per_slice[position])])
        progress("latency", (number + 1) / settings.slices)
    return samples


def paired_speedup(baseline: Sequence[Sequence[float]], candidate: Sequence[Sequence[float]]) -> float:
    """Returns the median over slices of (median of the baseline / median of the candidate).

    Args:
        baseline: Milliseconds per run, one list per slice.
        candidate: Likewise, the same slices.
    """
    ratios = (
        statistics.median(base) / statistics.median(other) for base, other in zip(baseline, candidate, strict=True)
    )
    return statistics.median(ratios)


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
    p10, median, p90 = np.percentile(raw, [10, 50, 90])
    return {
        "median": round(float(median), 6),
        "p10": round(float(p10), 6),
        "p90": round(float(p90), 6),
        "raw": [[round(value, 6) for value in values] for values in slices],
    }


def bench(
    files: Sequence[Path],
    *,
    baseline: Path | None = None,
    data: Path | None = None,
    runtime: str = "auto",
    settings: BenchSettings | None = None,
    progress: Progress = lambda what, share: None,
) -> dict[str, Any]:
    """Measures .tflite files side by side.

    Args:
        files: The files.
        baseline: The file that speed-up refers to; measured too, the first file where None.
        data: NPZ with x (examples, ...) float32 and y (examples,); without it accuracy and agreement are None.
        runtime: A key of `edge.runtime.RUNTIMES`, or `auto`.
        settings: How long.
        progress: Told what is being done.

    Returns:
        The content of bench.json: date, machine, runtime, runtime_version, threads, settings, data, baseline and, per
        file, name, path, bytes, bytes_deflated, accuracy, agreement and agreement_with (see `float_reference`),
        latency_ms {median, p10, p90, raw}, speedup.

    Raises:
        EdgeError: If a file, the data or the runtime do not allow it.
    """
    settings = settings or BenchSettings()
    if settings.threads < 1:
        raise EdgeError(f"--threads must be at least 1; found {settings.threads}")
    if settings.slices < 1 or settings.min_runs < 1 or settings.min_seconds < 0:
        raise EdgeError("at least one slice, one run and no negative time are needed")
    baseline = baseline or files[0]
    paths = list(dict.fromkeys([baseline, *files]))
    chosen = find_runtime(runtime)
    models = [TfliteModel(path, chosen, settings.threads) for path in paths]
    shapes = {model.input_shape for model in models}
    if len(shapes) > 1:
        raise EdgeError(f"the files take inputs of different shapes: {', '.join(map(str, sorted(shapes)))}")
    shape = models[0].input_shape

    predictions: list[np.ndarray] | None = None
    labels = None
    if data is not None:
        x, labels = read_examples(data, shape)
        predictions = []
        for number, model in enumerate(models):
            progress("accuracy", number / len(models))
            predictions.append(model.predict(x).argmax(axis=1))
        example = x[:1]
    else:
        example = np.random.default_rng(0).random((1, *shape), np.float32)
    for model in models:
        model.set_input(example)
    samples = interleaved_latencies(models, settings, progress)

    references = [float_reference(path, paths) for path in paths]
    results = []
    for number, path in enumerate(paths):
        content = path.read_bytes()
        accuracy = agreement = None
        if predictions is not None and labels is not None:
            accuracy = round(float((predictions[number] == labels).mean()), 6)
            agreement = round(float((predictions[number] == predictions[references[number]]).mean()), 6)
        results.append(
            {
                "name": path.name,
                "path": str(path),
                "bytes": len(content),
                "bytes_deflated": len(zlib.compress(content, 9)),
                "accuracy": accuracy,
                "agreement": agreement,
                "agreement_with": paths[references[number]].name,
                "latency_ms": _latency_ms(samples[number]),
                "speedup": round(paired_speedup(samples[0], samples[number]), 4) if number else 1.0,
            }
        )
    return {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "runtime": chosen.package,
        "runtime_version": chosen.version,
        "threads": settings.threads,
        "settings": asdict(settings),
        "data": str(data) if data else None,
        "baseline": baseline.name,
        "files": results,
    }


def format_bench(result: dict[str, Any]) -> str:
    """Returns the result as a table for a terminal.

    Args:
        result: What `bench` returned.
    """

    def share(value: float | None) -> str:
        return "not measured" if value is None else f"{value:.4f}"

    width = max(len("file"), *(len(item["name"]) for item in result["files"]))
    titles = f"{'bytes':>10}  {'accuracy':>12}  {'agreement':>12}  {'median ms':>9}  {'p90 ms':>8}  speed-up"
    head = f"{'file':{width}}  {titles}"
    lines = [head]
    for item in result["files"]:
        latency = item["latency_ms"]
        lines.append(
            f"{item['name']:{width}}  {item['bytes']:>10,}  {share(item['accuracy']):>12}  "
            f"{share(item['agreement']):>12}  {latency['median']:>9.3f}  {latency['p90']:>8.3f}  "
            f"{item['speedup']:>7.2f}x"
        )
    lines.append(
        f"{result['runtime']} {result['runtime_version']}, {result['threads']} thread(s), "
        f"{result['machine']['processor']}; speed-up against {result['baseline']}, agreement with the model's own f32"
    )
    return "\n".join(lines)
