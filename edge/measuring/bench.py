"""Latency and accuracy of model files on this machine, in alternating slices. NumPy and an interpreter alone."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import logging
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.measuring.interleaving import (
    BenchSettings,
    Progress,
    interleaved_latencies,
    latency_summary,
    paired_speedup,
    speedup_interval,
)
from edge.measuring.measured_process import MeasuredProcess
from edge.running.runtime import Runtime, find_runtimes
from tfc.base.errors import DataFileError, EdgeError, ModelFileError, RuntimeMissingError
from tfc.base.machine import describe_machine, machine_state, was_throttled

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Entry:
    """A file in an interpreter: what one process measures."""

    path: Path
    runtime: Runtime
    process: MeasuredProcess


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


def _opened(
    stack: contextlib.ExitStack, paths: Sequence[Path], runtimes: Sequence[Runtime], settings: BenchSettings
) -> tuple[list[_Entry], list[dict[str, str]]]:
    """Opens every file in every interpreter; lists refused pairs.

    A refusal is an error if there is one interpreter, or if all of several refuse a file.
    """
    entries, refused = [], []
    for path in paths:
        errors: list[EdgeError] = []
        for runtime in runtimes:
            try:
                process = MeasuredProcess(path, runtime.name, settings.interpreter_options)
            except (ModelFileError, RuntimeMissingError) as error:
                errors.append(error)
                refused.append({"name": path.name, "runtime": runtime.package, "reason": str(error)})
                continue
            entries.append(_Entry(path, runtime, stack.enter_context(process)))
        if len(errors) == len(runtimes):
            raise errors[0]
    return entries, refused


def bench_files(
    files: Sequence[str | Path],
    *,
    baseline: str | Path | None = None,
    data: str | Path | None = None,
    runtime: str = "auto",
    settings: BenchSettings | None = None,
    progress: Progress = lambda what, share: None,
) -> dict[str, Any]:
    """Measures model files side by side, each in a process of its own.

    Args:
        files: The files, packed or not.
        baseline: The file that speed-up refers to; measured too, the first file where None.
        data: NPZ with x (examples, ...) float32 and y (examples,); without it accuracy and agreement are None.
        runtime: A key of `RUNTIMES`, `auto` for the first one installed, or `all` for every one that is; speed-up then
            refers to the baseline in the first one.
        settings: How long, and how.
        progress: Told what is being done.

    Returns:
        The content of bench.json: date, machine, state (before, after, throttled), threads, settings, complete, data,
        baseline, baseline_runtime, refused (name, runtime, reason) and, per file and runtime, name, path, runtime,
        runtime_version, sha256, bytes, bytes_deflated, accuracy, agreement and agreement_with (see `float_reference`),
        load_ms, first_ms, peak_memory_mb, arena_bytes, latency_ms {median, p10, p90, p99, runs, raw}, speedup,
        speedup_interval.

    Raises:
        EdgeError: If a file, the data or the runtime do not allow it.

    Examples:
        >>> import json
        >>> from pathlib import Path
        >>> import edge
        >>> quick = edge.BenchSettings(min_runs=5, min_seconds=0, slices=2)
        >>> result = edge.bench_files(["out/tiny-f32.tflite", "out/tiny-int8.tflite"], settings=quick)
        >>> result["baseline"], [measured["name"] for measured in result["files"]]
        ('tiny-f32.tflite', ['tiny-f32.tflite', 'tiny-int8.tflite'])
        >>> _ = Path("bench.json").write_text(json.dumps(result))
    """
    settings = settings or BenchSettings()
    if not files:
        raise EdgeError("no file to measure")
    baseline = Path(baseline or files[0])
    paths = list(dict.fromkeys([baseline, *map(Path, files)]))
    chosen = find_runtimes(runtime)
    before = machine_state()
    with contextlib.ExitStack() as stack:
        entries, refused = _opened(stack, paths, chosen, settings)
        processes = [entry.process for entry in entries]
        shapes = {process.input_shape for process in processes}
        if len(shapes) > 1:
            raise EdgeError(f"the files take inputs of different shapes: {', '.join(map(str, sorted(shapes)))}")
        source = None if data is None else str(data)
        first_ms = [process.call("first") for process in processes]
        for process in processes:
            process.run(max(settings.warm_up_runs, 1))
        memory = [process.call("peak_memory_mb") for process in processes]  # before a data set is loaded into it
        predictions, classes = [], np.zeros(0, np.int64)
        for number, process in enumerate(processes if source else []):
            progress("accuracy", number / len(processes))
            _LOG.info("%s: accuracy", entries[number].path)
            answer = process.call("predict", data=source)
            predictions.append(np.array(answer["predicted"]))
            classes = np.array(answer["classes"])
        samples, complete = interleaved_latencies(processes, settings, progress)
    after = machine_state()

    results = []
    for number, entry in enumerate(entries):
        content = entry.path.read_bytes()
        # Its own float file in the same interpreter; the baseline if that is not measured.
        beside = [other.path if other.runtime == entry.runtime else Path() for other in entries]
        reference = float_reference(entry.path, beside)
        accuracy = agreement = None
        if predictions:
            accuracy = round(float((predictions[number] == classes).mean()), 6)
            agreement = round(float((predictions[number] == predictions[reference]).mean()), 6)
        low, high = speedup_interval(samples[0], samples[number]) if number else (1.0, 1.0)
        results.append(
            {
                "name": entry.path.name,
                "path": str(entry.path),
                "runtime": entry.runtime.package,
                "runtime_version": entry.runtime.version,
                "sha256": hashlib.sha256(content).hexdigest(),
                "bytes": len(content),
                "bytes_deflated": len(zlib.compress(content, 9)),
                "accuracy": accuracy,
                "agreement": agreement,
                "agreement_with": entries[reference].path.name,
                "load_ms": round(entry.process.load_ms, 3),
                "first_ms": round(first_ms[number], 3),
                "peak_memory_mb": None if memory[number] is None else round(memory[number], 1),
                "arena_bytes": entry.process.arena_bytes,
                "latency_ms": latency_summary(samples[number]),
                "speedup": round(paired_speedup(samples[0], samples[number]), 4) if number else 1.0,
                "speedup_interval": [round(low, 4), round(high, 4)],
            }
        )
    return {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "state": {"before": before, "after": after, "throttled": was_throttled(before, after)},
        "threads": settings.threads,
        "settings": asdict(settings),
        "complete": complete,
        "data": source,
        "baseline": baseline.name,
        "baseline_runtime": entries[0].runtime.package,
        "refused": refused,
        "files": results,
    }


def read_bench(path: str | Path) -> dict[str, Any]:
    """Reads what `edge bench --json` wrote.

    Args:
        path: The file.

    Raises:
        DataFileError: If it is missing or something else.

    Examples:
        >>> import edge
        >>> result = edge.read_bench("bench.json")
        >>> result["files"][0]["latency_ms"]["median"] > 0
        True
    """
    path = Path(path)
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataFileError(f"{path}: not a readable file of 'edge bench --json': {error}") from error
    if not isinstance(result, dict) or not {"machine", "settings", "files", "refused"} <= result.keys():
        raise DataFileError(f"{path}: not what this version's 'edge bench --json' writes; measure again")
    return result
