"""The report of a measurement: one HTML file without external resources. NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from edge.measuring.bench_figures import accuracy_figures, interpreter_key, latency_figure
from edge.measuring.bench_table import bench_header, bench_notes, bench_rows, device_name, quality_metric
from edge.measuring.operator_profile import OperatorTime
from tfc.base.charts.bars import Bar, bars
from tfc.base.charts.page import figure, page, pairs, table

Profiles = Sequence[tuple[str, Sequence[OperatorTime]]]
"""Files' names, and the times of their operators."""


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
        result: What `edge.bench_files` returned.
        profiles: Files' names and operators' times, from TensorFlow's benchmark tool.
    """
    notes = "".join(
        f'<p class="{"warn" if note.startswith(("warning", "incomplete", "not measured")) else "note"}">'
        f"{escape(note)}</p>"
        for note in bench_notes(result)
    )
    figures = "".join(figure(svg, caption, wide=True) for svg, caption in accuracy_figures(result))
    if not figures:
        why = "no --data" if result["data"] is None else "see above"
        figures = f'<p class="note">Accuracy: not measured ({why}).</p>'
    latency = figure(
        latency_figure(result), "Median latency; the line spans the 10th to the 90th percentile.", wide=True
    )
    operators = "".join(_profile(name, times) for name, times in profiles)
    return page(
        f"Model files on {device_name(result)}",
        f"{table(bench_header(result), bench_rows(result), 'Measurements per file')}{notes}"
        f"<h2>Latency</h2>{interpreter_key(result)}{latency}"
        f"<h2>{escape(quality_metric(result['files']).capitalize())}</h2>{figures}{operators}"
        f"<h2>How it was measured</h2>{_environment(result)}",
    )
