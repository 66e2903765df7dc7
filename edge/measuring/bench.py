"""Latency and accuracy of model files on this machine, in alternating slices. NumPy and an interpreter alone."""

from __future__ import annotations

import contextlib
import datetime
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edge.measuring.bench_result import MeasuredFile, file_results
from edge.measuring.interleaving import BenchSettings, Progress, interleaved_latencies
from edge.measuring.measured_process import MeasuredProcess
from edge.running.runtime import Runtime, find_runtimes
from tfc.base.errors import EdgeError, ModelFileError, RuntimeMissingError
from tfc.base.machine import describe_machine, machine_state, was_throttled

_LOG = logging.getLogger(__name__)


class _Entry(NamedTuple):
    """A file in an interpreter: what one process measures."""

    path: Path
    runtime: Runtime
    process: MeasuredProcess


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


def _check_input_shapes(entries: Sequence[_Entry]) -> None:
    shapes = {entry.process.input_shape for entry in entries}
    if len(shapes) > 1:
        raise EdgeError(f"the files take inputs of different shapes: {', '.join(map(str, sorted(shapes)))}")


def _predictions(
    entries: Sequence[_Entry], data: Path, progress: Progress
) -> tuple[list[np.ndarray | None], np.ndarray | None]:
    """Predicted classes of each file, and the examples' own classes."""
    predicted: list[np.ndarray | None] = []
    classes = None
    for number, entry in enumerate(entries):
        progress("accuracy", number / len(entries))
        _LOG.info("%s: accuracy", entry.path)
        answer = entry.process.call("predict", data=str(data))
        predicted.append(np.array(answer["predicted"]))
        classes = np.array(answer["classes"])
    return predicted, classes


def _measured(
    entries: Sequence[_Entry], data: Path | None, settings: BenchSettings, progress: Progress
) -> tuple[list[MeasuredFile], np.ndarray | None, bool]:
    """What every file shows, the classes of the data, and whether all slices were finished."""
    processes = [entry.process for entry in entries]
    first_ms = [process.call("first") for process in processes]
    for process in processes:
        process.run(max(settings.warm_up_runs, 1))
    memory = [process.call("peak_memory_mb") for process in processes]  # before any data set is in it
    predicted, classes = ([None] * len(entries), None) if data is None else _predictions(entries, data, progress)
    slices, complete = interleaved_latencies(processes, settings, progress)
    files = [
        MeasuredFile(path, runtime, process.load_ms, first, peak, process.arena_bytes, classes_, values)
        for (path, runtime, process), first, peak, classes_, values in zip(
            entries, first_ms, memory, predicted, slices, strict=True
        )
    ]
    return files, classes, complete


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
        runtime_version, sha256, bytes, bytes_deflated, accuracy, agreement and agreement_with (see
        `edge.measuring.bench_result.float_reference`), load_ms, first_ms, peak_memory_mb, arena_bytes, latency_ms
        {median, p10, p90, p99, runs, raw}, speedup, speedup_interval.

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
        _check_input_shapes(entries)
        source = None if data is None else Path(data)
        measured, classes, complete = _measured(entries, source, settings, progress)
    after = machine_state()
    return {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "state": {"before": before, "after": after, "throttled": was_throttled(before, after)},
        "threads": settings.threads,
        "settings": asdict(settings),
        "complete": complete,
        "data": None if data is None else str(data),
        "baseline": baseline.name,
        "baseline_runtime": entries[0].runtime.package,
        "refused": refused,
        "files": file_results(measured, classes),
    }
