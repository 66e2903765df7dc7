"""Figures of a measurement: latencies as bars, accuracy against latency and against bytes. NumPy alone."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

from edge.measuring.bench_table import milliseconds, quality_metric, quality_value
from tfc.base.charts.bars import Bar, bars
from tfc.base.charts.scatter import Point, scatter
from tfc.base.charts.svg import document, marker


def _groups(result: dict[str, Any]) -> dict[str, int]:
    return {name: number for number, name in enumerate(dict.fromkeys(item["runtime"] for item in result["files"]))}


def interpreter_key(result: dict[str, Any]) -> str:
    """Returns what tells which colour is which interpreter, HTML; empty where there is one.

    Args:
        result: What `edge.bench_files` returned.
    """
    groups = _groups(result)
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
    """What is shown of a file on hover."""
    latency = item["latency_ms"]
    low, median, high = (milliseconds(latency[name]) for name in ("p10", "median", "p90"))
    value = quality_value(item)
    quality = f"{quality_metric([item])} {'not measured' if value is None else f'{value:.4f}'}"
    return (
        f"{item['name']}; {item['runtime']}; median {median} ms (p10 {low}, p90 {high}); {item['bytes']:,} bytes; "
        f"{quality}"
    )


def latency_figure(result: dict[str, Any]) -> str:
    """Returns median latencies as bars with whiskers from p10 to p90, SVG.

    Args:
        result: What `edge.bench_files` returned.
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
    """Returns accuracy or numeric error against latency and against bytes: SVG and caption each.

    There are none where nothing was measured, or files were measured in ways that can't be compared.

    Args:
        result: What `edge.bench_files` returned.
    """
    metric = quality_metric(result["files"])
    measured = [(item, value) for item in result["files"] if (value := quality_value(item)) is not None]
    if not measured or metric == "quality":
        return []
    groups, title = _groups(result), metric.capitalize()
    better = "up and to the left" if metric.endswith("accuracy") else "down and to the left"

    def points(place: Callable[[dict[str, Any]], float]) -> list[Point]:
        return [
            Point(_label(item), place(item), value, groups[item["runtime"]], _detail(item)) for item, value in measured
        ]

    by_latency, by_bytes = points(lambda item: item["latency_ms"]["median"]), points(lambda item: item["bytes"] / 1000)
    return [
        (
            scatter(f"{title} against latency", "median latency, ms", metric, by_latency),
            f"{title} against latency (logarithmic): {better} is better.",
        ),
        (
            scatter(f"{title} against file size", "file, kB", metric, by_bytes),
            f"{title} against the file's size (logarithmic, kB = 1,000 bytes): {better} is better.",
        ),
    ]
