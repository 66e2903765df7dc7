"""The report of a measurement: one HTML file without external resources. The standard library alone."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from edge.measuring.bench_table import BENCH_HEADER, bench_notes, bench_rows, device_name, milliseconds
from edge.measuring.operator_profile import OperatorTime
from tfc.base.charts.bars import Bar, Point, bars, scatter
from tfc.base.charts.page import figure, page, pairs, table
from tfc.base.charts.svg import document, marker

Profiles = Sequence[tuple[str, Sequence[OperatorTime]]]
"""Files' names, and the times of their operators."""


def _groups(result: dict[str, Any]) -> dict[str, int]:
    return {name: number for number, name in enumerate(dict.fromkeys(item["runtime"] for item in result["files"]))}


def _key(groups: dict[str, int]) -> str:
    if len(groups) == 1:
        return ""
    parts = (
        f"<span>{document(12, name, [marker(6, 6, number)], 12)}{escape(name)}</span>"
        for name, number in groups.items()
    )
    return f'<p class="key">Interpreter: {"".join(parts)}</p>'


def _label(item: dict[str, Any]) -> str:
    name = str(item["name"])
    return name if len(name) <= 32 else f"{name[:14]}…{name[-17:]}"


def _detail(item: dict[str, Any]) -> str:
    """A file's hover text."""
    latency = item["latency_ms"]
    low, median, high = (milliseconds(latency[name]) for name in ("p10", "median", "p90"))
    accuracy = "not measured" if item["accuracy"] is None else f"{item['accuracy']:.4f}"
    return (
        f"{item['name']}; {item['runtime']}; median {median} ms (p10 {low}, p90 {high}); {item['bytes']:,} bytes; "
        f"accuracy {accuracy}"
    )


def latency_figure(result: dict[str, Any]) -> str:
    """Returns median latencies as bars with whiskers from p10 to p90, SVG.

    Args:
        result: What `edge.measuring.bench.bench_files` returned.
    """
    groups = _groups(result)
    items = [
        Bar(
            _label(item),
            item["latency_ms"]["median"],
            item["latency_ms"]["p10"],
            item["latency_ms"]["p90"],
            f"{milliseconds(item['latency_ms']['median'])} ms",
            groups[item["runtime"]],
            _detail(item),
        )
        for item in result["files"]
    ]
    return bars("Median latency per file in milliseconds", items)


def accuracy_figures(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns accuracy against latency and against bytes: SVG and caption each; none without accuracies.

    Args:
        result: What `edge.measuring.bench.bench_files` returned.
    """
    measured = [item for item in result["files"] if item["accuracy"] is not None]
    if not measured:
        return []
    groups = _groups(result)

    def points(value: Any) -> list[Point]:
        return [
            Point(_label(item), value(item), item["accuracy"], groups[item["runtime"]], _detail(item))
            for item in measured
        ]

    return [
        (
            scatter(
                "Accuracy against latency",
                "median latency, ms",
                "accuracy",
                points(lambda i: i["latency_ms"]["median"]),
            ),
            "Accuracy against latency (logarithmic): up and to the left is better.",
        ),
        (
            scatter("Accuracy against file size", "file, kB", "accuracy", points(lambda i: i["bytes"] / 1000)),
            "Accuracy against the file's size (logarithmic, kB = 1,000 bytes): up and to the left is better.",
        ),
    ]


def _environment(result: dict[str, Any]) -> str:
    settings = {name: value for name, value in result["settings"].items() if name != "threads"}
    shown = {"date": result["date"], "data": result["data"] or "none: accuracy was not measured", **result["machine"]}
    shown |= {"threads": result["threads"], **settings}
    hashes = {item["name"]: item["sha256"] for item in result["files"]}
    return pairs([*shown.items(), *(("SHA-256", f"{name}: {value}") for name, value in hashes.items())])


def _profile(name: str, operators: Sequence[OperatorTime]) -> str:
    by_kind: dict[str, float] = {}
    for operator in operators:
        by_kind[operator.kind] = by_kind.get(operator.kind, 0.0) + operator.average_ms
    total = sum(by_kind.values()) or 1.0
    items = [
        Bar(kind[:34], value, value, value, f"{value:.3f} ms, {value / total:.0%}")
        for kind, value in sorted(by_kind.items(), key=lambda pair: -pair[1])
    ]
    rows = [
        (operator.name, operator.kind, f"{operator.average_ms:.4f}", f"{operator.average_ms / total:.1%}")
        for operator in operators
    ]
    return (
        f"<h2>Operators of {escape(name)}</h2>"
        + figure(
            bars(f"Time per kind of operator of {name}", items),
            "As TensorFlow's benchmark tool measured them.",
            wide=True,
        )
        + table(("operator", "kind", "ms", "share"), rows, f"Operators of {name}")
    )


def to_html(result: dict[str, Any], profiles: Profiles = ()) -> str:
    """Returns the report of a measurement.

    Args:
        result: What `edge.measuring.bench.bench_files` returned.
        profiles: Files' names and operators' times, from TensorFlow's benchmark tool.
    """
    notes = "".join(
        f'<p class="{"warn" if note.startswith(("warning", "incomplete", "not measured")) else "note"}">'
        f"{escape(note)}</p>"
        for note in bench_notes(result)
    )
    figures = "".join(figure(svg, caption, wide=True) for svg, caption in accuracy_figures(result))
    if not figures:
        figures = '<p class="note">Accuracy: not measured (no --data).</p>'
    latency = figure(
        latency_figure(result), "Median latency; the line spans the 10th to the 90th percentile.", wide=True
    )
    operators = "".join(_profile(name, times) for name, times in profiles)
    return page(
        f"Model files on {device_name(result)}",
        f"{table(BENCH_HEADER, bench_rows(result), 'Measurements per file')}{notes}"
        f"<h2>Latency</h2>{_key(_groups(result))}{latency}<h2>Accuracy</h2>{figures}{operators}"
        f"<h2>How it was measured</h2>{_environment(result)}",
    )
