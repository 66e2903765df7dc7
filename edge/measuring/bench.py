"""Latency and accuracy of model files on this machine, in alternating slices. NumPy and an interpreter alone."""

from __future__ import annotations

import contextlib
import datetime
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from edge.measuring.bench_result import Answered, MeasuredFile, file_results
from edge.measuring.energy import millijoules_per_run, read_joules
from edge.measuring.interleaving import BenchSettings, Progress, interleaved_latencies, latency_summary
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
    first_ms: float


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
                process = stack.enter_context(MeasuredProcess(path, runtime.name, settings.interpreter_options))
                first_ms = process.call("first")  # some refuse a model only when it runs
            except (ModelFileError, RuntimeMissingError) as error:
                errors.append(error)
                refused.append({"name": path.name, "runtime": runtime.package, "reason": str(error)})
                continue
            entries.append(_Entry(path, runtime, process, first_ms))
        if len(errors) == len(runtimes):
            raise errors[0]
    return entries, refused


def _check_input_shapes(entries: Sequence[_Entry]) -> None:
    shapes = {entry.process.input_shapes for entry in entries}
    if len(shapes) > 1:
        told = [", ".join(map(str, each)) for each in sorted(shapes)]
        raise EdgeError(f"the files take inputs of different shapes: {' and '.join(told)}")


def _answers(entries: Sequence[_Entry], data: Path | None, progress: Progress) -> list[Answered]:
    """What each file answers to the data."""
    found = []
    pixels = any(entry.process.takes_pixels for entry in entries)
    for number, entry in enumerate(entries):
        if data is None:
            found.append(Answered())
            continue
        progress("accuracy", number / len(entries))
        _LOG.info("%s: accuracy", entry.path)
        told, predicted, others = entry.process.answers(data, pixels=pixels)
        found.append(Answered(told["quality"], tuple(told["notes"]), predicted, others))
    return found


def _measured(
    entries: Sequence[_Entry], data: Path | None, settings: BenchSettings, energy: str | None, progress: Progress
) -> tuple[list[MeasuredFile], bool]:
    """What every file shows, and whether all slices were finished."""
    processes = [entry.process for entry in entries]
    for process in processes:
        process.run(max(settings.warm_up_runs, 1))
    memory = [process.call("peak_memory_mb") for process in processes]  # before any data set is in it
    answers = _answers(entries, data, progress)
    slices, complete = interleaved_latencies(processes, settings, progress)
    used: list[float | None] = [None] * len(entries)
    for number, (process, values) in enumerate(zip(processes, slices, strict=True)):
        if energy is not None:
            progress("energy", number / len(entries))
            median = latency_summary(values)["median"]
            used[number] = millijoules_per_run(process, energy, median, max(settings.min_seconds, 1.0))
    files = [
        MeasuredFile(path, runtime, process.load_ms, first_ms, peak, process.arena_bytes, answered, values, joules)
        for (path, runtime, process, first_ms), peak, answered, values, joules in zip(
            entries, memory, answers, slices, used, strict=True
        )
    ]
    return files, complete


def bench_files(
    files: Sequence[str | Path],
    *,
    baseline: str | Path | None = None,
    data: str | Path | None = None,
    runtime: str = "auto",
    settings: BenchSettings | None = None,
    energy_command: str | None = None,
    progress: Progress = lambda what, share: None,
) -> dict[str, Any]:
    """Measures model files side by side, each in a process of its own.

    Args:
        files: The files, packed or not.
        baseline: The file that speed-up refers to; measured too, the first file where None.
        data: NPZ with x (examples, ...), or an array per input, and y (examples, ...) of classes or targets
            (`edge.formats.judgement`); without it quality, accuracy and agreement are None.
        runtime: A key of `RUNTIMES`, `auto` for the first one installed, or `all` for every one that is; speed-up then
            refers to the baseline in the first one.
        settings: How long, and how.
        energy_command: Command of a meter (`edge.measuring.energy`); None for none.
        progress: Told what is being done.

    Returns:
        The content of bench.json: date, machine, state (before, after, throttled), threads, settings, complete, data,
        data_notes (what was done to the data), baseline, baseline_runtime, refused (name, runtime, reason) and, per
        file and runtime, name, path, runtime, runtime_version, sha256, bytes, bytes_deflated, accuracy (None for
        numeric errors), quality {kind, metric, value and, where they apply, root_mean_square, output, reason},
        agreement (of classes), difference (of outputs that are numbers, by name; relative) and agreement_with (see
        `edge.measuring.bench_result.float_reference`), load_ms, first_ms, peak_memory_mb, arena_bytes, latency_ms
        {median, p10, p90, p99, runs, raw}, speedup, speedup_interval, macs (of an inference) and, with a meter,
        energy_mj (millijoules of an inference).

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
    if energy_command is not None:
        read_joules(energy_command)  # a meter that does not work is known at once
    before = machine_state()
    with contextlib.ExitStack() as stack:
        entries, refused = _opened(stack, paths, chosen, settings)
        _check_input_shapes(entries)
        source = None if data is None else Path(data)
        measured, complete = _measured(entries, source, settings, energy_command, progress)
    after = machine_state()
    return {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "state": {"before": before, "after": after, "throttled": was_throttled(before, after)},
        "threads": settings.threads,
        "settings": asdict(settings),
        "complete": complete,
        "data": None if data is None else str(data),
        "data_notes": list(dict.fromkeys(note for file in measured for note in file.answered.notes)),
        "baseline": baseline.name,
        "baseline_runtime": entries[0].runtime.package,
        "refused": refused,
        "files": file_results(measured),
    }
