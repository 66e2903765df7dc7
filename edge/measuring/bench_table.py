"""Measurements as rows: for a terminal, for CSV, several machines side by side. NumPy alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from edge.running.interpreters import KERNELS
from edge.running.runtime import RUNTIMES
from tfc.base.clean_text import clean, clean_cell
from tfc.base.table import aligned

_TITLES = (
    "file",
    "runtime",
    "bytes",
    "",
    "agreement",
    "load ms",
    "first ms",
    "median ms",
    "p90 ms",
    "p99 ms",
    "MB",
    "speed-up (95 %)",
)
_QUALITY = 3
"""The column that is named for what was measured."""

_LONGEST_NOTE = 10_000
_MICROCONTROLLERS = RUNTIMES["tflm"].package


def _share(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4f}"


def quality_metric(items: Sequence[dict[str, Any]]) -> str:
    """Returns what the files' quality is: `accuracy`, `mean absolute error`, ...; `quality` where files differ.

    Args:
        items: `files` of bench.json; those of older versions have accuracies alone.
    """
    metrics = [(item.get("quality") or {}).get("metric") for item in items]
    known = list(dict.fromkeys(str(metric) for metric in metrics if metric))
    return "accuracy" if not known else known[0] if len(known) == 1 else "quality"


def quality_value(item: dict[str, Any]) -> float | None:
    """Returns a file's accuracy or numeric error; None where it was not measured.

    Args:
        item: Of `files` of bench.json.
    """
    value: float | None = (item.get("quality") or {"value": item["accuracy"]})["value"]
    return value


def _quality(item: dict[str, Any], metric: str) -> str:
    value = quality_value(item)
    if value is None:
        return "not measured"
    own = (item.get("quality") or {}).get("metric", "accuracy")
    number = f"{value:.4f}" if own.endswith("accuracy") else f"{value:.4g}"
    return number if metric != "quality" else f"{number} {own}"


def bench_header(result: dict[str, Any]) -> tuple[str, ...]:
    """Returns the titles of the columns of `bench_rows`.

    Args:
        result: What `edge.bench_files` returned.
    """
    return (*_TITLES[:_QUALITY], quality_metric(result["files"]), *_TITLES[_QUALITY + 1 :])


def _agreement(item: dict[str, Any]) -> str:
    """Of classes a share, of numbers how far they are apart."""
    different = item.get("difference", {}).get("judged")
    if item["agreement"] is None and different is not None:
        return f"differs {different:.4f}"
    return _share(item["agreement"])


def milliseconds(value: float) -> str:
    """Returns three decimals, four for less than a tenth.

    Args:
        value: Milliseconds.
    """
    return f"{value:.3f}" if value >= 0.1 else f"{value:.4f}"


def _ratio(value: float) -> str:
    """Two decimals, four for small values."""
    return f"{value:.2f}" if value >= 0.1 else f"{value:.4f}"


def bench_rows(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """Returns one row of texts per file and runtime, under `bench_header`.

    Args:
        result: What `edge.bench_files` returned.
    """
    rows: list[tuple[str, ...]] = []
    metric = quality_metric(result["files"])
    for item in result["files"]:
        latency, (low, high) = item["latency_ms"], item["speedup_interval"]
        memory = item["peak_memory_mb"]
        rows.append(
            (
                item["name"],
                item["runtime"],
                f"{item['bytes']:,}",
                _quality(item, metric),
                _agreement(item),
                f"{item['load_ms']:.2f}",
                f"{item['first_ms']:.3f}",
                milliseconds(latency["median"]),
                milliseconds(latency["p90"]),
                milliseconds(latency["p99"]),
                "-" if memory is None else f"{memory:.0f}",
                f"{_ratio(item['speedup'])}x ({_ratio(low)}-{_ratio(high)})",
            )
        )
    return rows


def bench_notes(result: dict[str, Any]) -> list[str]:
    """Returns notes that explain the rows, a sentence or two each.

    Args:
        result: What `edge.bench_files` returned.
    """
    settings, files = result["settings"], result["files"]
    versions = dict.fromkeys(f"{item['runtime']} {item['runtime_version']}" for item in files)
    kernels = "" if settings["kernels"] == next(iter(KERNELS)) else f", {settings['kernels']} kernels"
    batch = "" if settings["batch"] == 1 else f", latencies of batches of {settings['batch']}"
    in_runtime = f" in {result['baseline_runtime']}" if len(versions) > 1 else ""
    notes = [
        f"{', '.join(versions)}; {result['threads']} thread(s){kernels}{batch}; {device_name(result)}. "
        f"Speed-up against {result['baseline']}{in_runtime}: median over slices of the ratio of medians, and its 95 % "
        "interval. Agreement: share of inputs with the same class as in the file's own f32 if measured, else in the "
        "baseline. MB: peak memory of the file's process, the interpreter included."
    ]
    notes += quality_notes(result)
    state = _state(result)
    if state:
        notes.append(state)
    arenas = [f"{item['name']} {item['arena_bytes']:,}" for item in files if item["arena_bytes"] is not None]
    if arenas:
        notes.append(f"Arena bytes that a microcontroller must reserve: {', '.join(arenas)}.")
    notes += [note for note in (_rates(files), _energies(files), _decoding(files)) if note]
    if any(item["runtime"] == _MICROCONTROLLERS for item in files):
        notes.append(
            f"{_MICROCONTROLLERS} computes with its reference kernels on this machine (a host figure): its times "
            "compare files with one another and do not predict a microcontroller's."
        )
    notes += [f"not measured in {each['runtime']}: {each['reason']}" for each in result["refused"]]
    if result["state"]["throttled"]:
        notes.append(
            "warning: the processor was throttled during the measurement; ratios are valid, milliseconds are not."
        )
    if not result["complete"]:
        notes.append("incomplete: interrupted; figures are for the finished slices only.")
    return notes


def _rates(files: Sequence[dict[str, Any]]) -> str:
    """MACs, and MACs per second at the median."""
    told = [
        f"{item['name']} {item['macs'] / 1e6:,.3f} M, {item['macs'] / item['latency_ms']['median'] / 1e6:,.3f} G/s"
        for item in files
        if item.get("macs")
    ]
    return f"MACs of an inference, and per second at the median: {'; '.join(told)}." if told else ""


def _energies(files: Sequence[dict[str, Any]]) -> str:
    told = [f"{item['name']} {item['energy_mj']:,.4g}" for item in files if "energy_mj" in item]
    return f"Millijoules of an inference, by --energy-command: {', '.join(told)}." if told else ""


def _decoding(files: Sequence[dict[str, Any]]) -> str:
    """What look-up tables cost at run time: the difference to the same model's int8 file on a microcontroller."""
    by_name = {(item["name"], item["runtime"]): item["latency_ms"]["median"] for item in files}
    told = []
    for (name, runtime), median in by_name.items():
        plain = by_name.get((name.replace("-lut.tflite", "-int8.tflite"), runtime))
        if name.endswith("-lut.tflite") and runtime == _MICROCONTROLLERS and plain is not None:
            told.append(f"{name} {milliseconds(max(0.0, median - plain))} ms of {milliseconds(median)}")
    return f"Decoding of look-up tables, against int8: {', '.join(told)}." if told else ""


def quality_notes(result: dict[str, Any]) -> list[str]:
    """Returns notes on what was measured with the data, and why it was not; none without data.

    Args:
        result: What `edge.bench_files` returned.
    """
    notes = [f"{note}." for note in result.get("data_notes", ())]
    reasons: dict[str, list[str]] = {}
    for item in result["files"]:
        quality, different = item.get("quality") or {}, item.get("difference", {})
        told = []
        if quality.get("reason"):
            told.append(f"accuracy is not measured: {quality['reason']}")
        if quality.get("left_out"):
            told.append(
                f"{quality['metric']} leaves out {quality['left_out']:,} positions without a class (negative, or 255)"
            )
        if quality.get("output"):
            fits = f"; {', '.join(quality['also'])} would fit the labels as well" if quality.get("also") else ""
            told.append(f"{quality['metric']} is that of the output {quality['output']}{fits}")
        if "root_mean_square" in quality:
            told.append(f"root mean square error {quality['root_mean_square']:.4g}, in the unit of y as the mean error")
        others = [f"{name} {value:.4f}" for name, value in different.items() if name != "judged"]
        if others:
            told.append(f"other outputs differ from {item['agreement_with']} by {', '.join(others)}")
        for each in told:
            reasons.setdefault(each, []).append(item["name"])
    if any(item.get("difference") for item in result["files"]):
        notes.append("Outputs that are numbers differ by (root mean square difference / standard deviation).")
    return notes + [f"{', '.join(dict.fromkeys(names))}: {told}." for told, names in reasons.items()]


def device_name(result: dict[str, Any]) -> str:
    """Returns the name of a measurement's machine: its host if measured over ssh, else its processor.

    Args:
        result: What `edge.bench_files` returned.
    """
    machine = result["machine"]
    return str(result.get("host") or f"{machine['processor']} ({machine['architecture']})")


def _state(result: dict[str, Any]) -> str:
    before, after = result["state"]["before"], result["state"]["after"]
    units = {"governor": "", "frequency_mhz": " MHz", "temperature_celsius": " °C"}
    parts = []
    for name, unit in units.items():
        first, last = before[name], after[name]
        if first is None and last is None:
            continue
        label = name.partition("_")[0]
        parts.append(f"{label} {first}{unit}" + ("" if first == last else f", then {last}{unit}"))
    return (
        f"Before and after: {'; '.join(parts)}."
        if parts
        else "The system reports no governor, frequency or temperature."
    )


def format_bench(result: dict[str, Any]) -> str:
    """Returns a measurement as a table for a terminal.

    Args:
        result: What `edge.bench_files` returned.

    Examples:
        >>> import edge
        >>> print(edge.format_bench(edge.read_bench("bench.json")))
        file ... runtime ... bytes ... median ms ... speed-up (95 %)
        ...
    """
    return "\n".join(
        [
            aligned(bench_header(result), bench_rows(result)),
            *(clean(note, _LONGEST_NOTE) for note in bench_notes(result)),
        ]
    )


def to_csv(result: dict[str, Any]) -> str:
    """Returns one row per file and runtime, without the raw samples.

    Args:
        result: What `edge.bench_files` returned.
    """
    flat = []
    for item in result["files"]:
        row = dict(item)
        quality, _ = row.pop("quality", None) or {}, row.pop("difference", None)
        row |= {"metric": quality.get("metric"), "quality": quality_value(item)}
        latency, interval = row.pop("latency_ms"), row.pop("speedup_interval")
        row |= {f"{name}_ms": latency[name] for name in ("median", "p10", "p90", "p99")}
        flat.append({**row, "runs": latency["runs"], "speedup_low": interval[0], "speedup_high": interval[1]})
    out = io.StringIO()
    writer = csv.DictWriter(out, flat[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if value is None else clean_cell(value) for name, value in row.items()} for row in flat)
    return out.getvalue()


def format_comparison(results: Sequence[dict[str, Any]]) -> str:
    """Returns several measurements side by side: one row per file, one column per machine and runtime.

    Files are matched by their SHA-256; `-` marks a machine without a measurement.

    Args:
        results: What `edge.bench_files` returned.

    Examples:
        >>> import edge
        >>> here = edge.read_bench("bench.json")
        >>> print(edge.format_comparison([here, here]))
        file ... bytes ... [1] median ms ... [2] median ms
        ...
    """
    places = [
        (number, runtime)
        for number, result in enumerate(results)
        for runtime in dict.fromkeys(item["runtime"] for item in result["files"])
    ]
    found: dict[str, dict[tuple[int, str], dict[str, Any]]] = {}
    for number, result in enumerate(results):
        for item in result["files"]:
            found.setdefault(item["sha256"], {})[number, item["runtime"]] = item

    def cell(item: dict[str, Any] | None) -> str:
        return "-" if item is None else f"{milliseconds(item['latency_ms']['median'])} ({_ratio(item['speedup'])}x)"

    rows = []
    metric = quality_metric([item for result in results for item in result["files"]])
    for items in found.values():
        first = next(iter(items.values()))
        shown = (cell(items.get(place)) for place in places)
        rows.append((first["name"], f"{first['bytes']:,}", _quality(first, metric), *shown))
    columns = [f"[{column + 1}] median ms" for column in range(len(places))]
    lines = [aligned(("file", "bytes", metric, *columns), rows, left=1)]
    for column, (number, runtime) in enumerate(places):
        result = results[number]
        lines.append(
            f"[{column + 1}] {runtime} on {device_name(result)}: {result['date']}, {result['threads']} thread(s), "
            f"{result['settings']['kernels']} kernels; in brackets: speed-up against {result['baseline']} in "
            f"{result['baseline_runtime']} there" + ("" if result["complete"] else "; incomplete")
        )
    return "\n".join([lines[0], *(clean(line, _LONGEST_NOTE) for line in lines[1:])])
