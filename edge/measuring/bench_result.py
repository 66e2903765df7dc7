"""What bench.json holds of each file, made of what its process showed; and bench.json read again. NumPy alone."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge.formats.costs import costs_of
from edge.formats.judgement import agreement, relative_difference
from edge.formats.packing import is_packed, unpack
from edge.formats.tflite_reader import TfliteView
from edge.measuring.interleaving import latency_summary, paired_speedup, speedup_interval
from edge.running.runtime import Runtime
from tfc.base.errors import DataFileError
from tfc.base.schema import Check, either, flag, listed, number, optional, read_json, record, text, whole


@dataclass(frozen=True)
class Answered:
    """What a file answers to data; empty without data.

    Attributes:
        quality: As in bench.json: `edge.formats.judgement.as_json`.
        notes: What was done to the data for this file.
        predicted: Classes as integers or numbers as float32, (examples, ...).
        others: By name the outputs that are not judged, (examples, ...).
    """

    quality: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    predicted: np.ndarray | None = None
    others: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class MeasuredFile:
    """What one file showed in one interpreter.

    Attributes:
        path: The file.
        runtime: The interpreter.
        load_ms: Milliseconds from its name to allocated tensors.
        first_ms: Milliseconds of the first run.
        peak_memory_mb: Largest resident memory of its process in MB; None where the system does not tell.
        arena_bytes: What a microcontroller reserves; None for other interpreters.
        answered: What it answers to the data.
        slices: Milliseconds per run, one list per slice.
        energy_mj: Millijoules per run; None without a meter.
    """

    path: Path
    runtime: Runtime
    load_ms: float
    first_ms: float
    peak_memory_mb: float | None
    arena_bytes: int | None
    answered: Answered
    slices: Sequence[Sequence[float]]
    energy_mj: float | None = None


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


def _reference_of(file: MeasuredFile, files: Sequence[MeasuredFile]) -> MeasuredFile:
    """Its own float file in the same interpreter; the baseline where that is not there."""
    beside = [other.path if other.runtime == file.runtime else Path() for other in files]
    return files[float_reference(file.path, beside)]


def _agreement(file: Answered, reference: Answered) -> dict[str, Any]:
    """Agreement of classes, and relative differences of numbers by name of the output, `judged` for the judged one."""
    if file.predicted is None or reference.predicted is None:
        return {"agreement": None}
    share = agreement(file.predicted, reference.predicted)
    different = {} if share is not None else {"judged": relative_difference(file.predicted, reference.predicted)}
    for name, values in file.others.items():
        if name in reference.others:
            different[name] = relative_difference(values, reference.others[name])
    told = {name: round(value, 6) for name, value in different.items() if value is not None and np.isfinite(value)}
    return {"agreement": None if share is None else round(share, 6), **({"difference": told} if told else {})}


def _accuracy(quality: dict[str, Any] | None) -> float | None:
    share: float | None = None if quality is None or quality["kind"] == "numeric" else quality["value"]
    return share


def _speedup(baseline: MeasuredFile, file: MeasuredFile) -> dict[str, Any]:
    if file is baseline:
        return {"speedup": 1.0, "speedup_interval": [1.0, 1.0]}
    low, high = speedup_interval(baseline.slices, file.slices)
    speedup = paired_speedup(baseline.slices, file.slices)
    return {"speedup": round(speedup, 4), "speedup_interval": [round(low, 4), round(high, 4)]}


def file_results(files: Sequence[MeasuredFile]) -> list[dict[str, Any]]:
    """Returns the entries of `files` in bench.json, one per file and interpreter (`edge.bench_files` lists them).

    Args:
        files: What was measured, the baseline first.
    """
    results = []
    for file in files:
        content, reference = file.path.read_bytes(), _reference_of(file, files)
        results.append(
            {
                "name": file.path.name,
                "path": str(file.path),
                "runtime": file.runtime.package,
                "runtime_version": file.runtime.version,
                "sha256": hashlib.sha256(content).hexdigest(),
                "bytes": len(content),
                "bytes_deflated": len(zlib.compress(content, 9)),
                "accuracy": _accuracy(file.answered.quality),
                "quality": file.answered.quality,
                **_agreement(file.answered, reference.answered),
                "agreement_with": reference.path.name,
                "load_ms": round(file.load_ms, 3),
                "first_ms": round(file.first_ms, 3),
                "peak_memory_mb": None if file.peak_memory_mb is None else round(file.peak_memory_mb, 1),
                "arena_bytes": file.arena_bytes,
                "latency_ms": latency_summary(file.slices),
                **_speedup(files[0], file),
                "macs": costs_of(TfliteView(unpack(content) if is_packed(content) else content)).macs,
                **({} if file.energy_mj is None else {"energy_mj": round(file.energy_mj, 6)}),
            }
        )
    return results


_MILLISECONDS = number(0, 1e9, above=True)
_SHARE = optional(number(0, 1))
_VALUE = either(number(), flag(), optional(text()))
_STATE = record(
    {
        "governor": optional(text()),
        "frequency_mhz": optional(number(0)),
        "temperature_celsius": optional(number(-300, 1000)),
    },
    rest=_VALUE,
)
_SPEEDUP = number(0, 1e9, above=True)
_QUALITY = optional(
    record(
        {"kind": optional(text(60)), "metric": optional(text(60)), "value": optional(number())},
        {
            "root_mean_square": optional(number(0)),
            "output": text(),
            "reason": text(10_000),
            "left_out": whole(),
            "also": listed(text(), most=10_000),
        },
    )
)


def _latency(value: object, place: str) -> object:
    """Latencies are in order: a median beyond its own quantiles is no measurement."""
    found = _LATENCY(value, place)
    if not found["p10"] <= found["median"] <= found["p90"] <= found["p99"]:
        raise ValueError(f"{place}: p10, median, p90 and p99 must ascend")
    return found


_LATENCY = record(
    {
        **dict.fromkeys(("median", "p10", "p90", "p99"), _MILLISECONDS),
        "runs": whole(1),
        "raw": listed(listed(_MILLISECONDS), most=100_000),
    }
)
_FILE = record(
    {
        "name": text(),
        "path": text(4096),
        "runtime": text(),
        "runtime_version": text(),
        "sha256": text(64),
        "bytes": whole(1),
        "bytes_deflated": whole(1),
        "accuracy": _SHARE,
        "agreement": _SHARE,
        "agreement_with": text(),
        "load_ms": number(0),
        "first_ms": number(0),
        "peak_memory_mb": optional(number(0)),
        "arena_bytes": optional(whole()),
        "latency_ms": _latency,
        "speedup": _SPEEDUP,
        "speedup_interval": listed(_SPEEDUP, 2, 2),
    },
    {"quality": _QUALITY, "difference": record({}, rest=number(0)), "macs": whole(), "energy_mj": number(0)},
)
_BENCH: Check = record(
    {
        "date": text(60),
        "machine": record({"processor": text(), "architecture": text()}, rest=_VALUE),
        "state": record({"before": _STATE, "after": _STATE, "throttled": optional(flag())}),
        "threads": whole(1, 4096),
        "settings": record({"kernels": text(60), "batch": whole(1)}, rest=_VALUE),
        "complete": flag(),
        "data": optional(text(4096)),
        "baseline": text(),
        "baseline_runtime": text(),
        "refused": listed(record({"name": text(), "runtime": text(), "reason": text(10_000)}), most=10_000),
        "files": listed(_FILE, least=1, most=10_000),
    },
    {"host": optional(text()), "data_notes": listed(text(10_000), most=10_000)},
)


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
    return dict(read_json(Path(path), _BENCH, DataFileError, "a readable file of 'edge bench --json'"))
