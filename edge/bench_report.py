"""The report of a measurement: one HTML file without external resources. The standard library alone."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from edge.bench_table import BENCH_HEADER, bench_notes, bench_rows, device_name, milliseconds
from edge.operator_profile import OperatorTime
from edge.svg import COLOURS, Bar, Point, bars, scatter

Profiles = Sequence[tuple[str, Sequence[OperatorTime]]]
"""Files' names, and the times of their operators."""

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 0 auto; max-width: 74rem;
  padding: 1rem; }
h1 { font-size: 1.5rem; line-height: 1.2; } h2 { font-size: 1.15rem; margin-top: 2rem; }
figure { margin: 0; } svg { width: 100%; max-width: 56rem; height: auto; }
figcaption, .note { color: #444; font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .85rem; }
th, td { padding: .35rem .5rem; border-bottom: 1px solid #ccc; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
tbody th { font-weight: 600; } thead th { border-bottom: 2px solid #555; }
.warn { border-left: 4px solid #b4501e; padding-left: .7rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; font-size: .9rem; } dd { margin: 0;
  overflow-wrap: anywhere; }
.key span { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 1em; }
@media (max-width: 40rem) { figure.wide { overflow-x: auto; } figure.wide svg { min-width: 42rem; } }
"""


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption, quote=True)}"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _figure(svg: str, caption: str) -> str:
    return f'<figure class="wide">{svg}<figcaption>{escape(caption)}</figcaption></figure>'


def _groups(result: dict[str, Any]) -> dict[str, int]:
    return {name: number for number, name in enumerate(dict.fromkeys(item["runtime"] for item in result["files"]))}


def _key(groups: dict[str, int]) -> str:
    if len(groups) == 1:
        return ""
    parts = (
        f'<span style="background:{COLOURS[number % len(COLOURS)]}"></span>{escape(name)}'
        for name, number in groups.items()
    )
    return f'<p class="key">Interpreter: {"".join(parts)}</p>'


def _label(item: dict[str, Any]) -> str:
    name = str(item["name"])
    return name if len(name) <= 32 else f"{name[:14]}…{name[-17:]}"


def latency_figure(result: dict[str, Any]) -> str:
    """Returns median latencies as bars with whiskers from p10 to p90, SVG.

    Args:
        result: What `edge.bench.bench` returned.
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
        )
        for item in result["files"]
    ]
    return bars("Median latency per file in milliseconds", items)


def accuracy_figures(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns accuracy against latency and against bytes: SVG and caption each; none without accuracies.

    Args:
        result: What `edge.bench.bench` returned.
    """
    measured = [item for item in result["files"] if item["accuracy"] is not None]
    if not measured:
        return []
    groups = _groups(result)

    def points(value: Any) -> list[Point]:
        return [Point(_label(item), value(item), item["accuracy"], groups[item["runtime"]]) for item in measured]

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
    pairs = {"date": result["date"], "data": result["data"] or "none: accuracy was not measured", **result["machine"]}
    pairs |= {"threads": result["threads"], **settings}
    shown = "".join(f"<dt>{escape(str(key))}</dt><dd>{escape(str(value))}</dd>" for key, value in pairs.items())
    hashes = {item["name"]: item["sha256"] for item in result["files"]}
    shown += "".join(f"<dt>SHA-256</dt><dd>{escape(name)}: {value}</dd>" for name, value in hashes.items())
    return f"<dl>{shown}</dl>"


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
        + _figure(bars(f"Time per kind of operator of {name}", items), "As TensorFlow's benchmark tool measured them.")
        + _table(("operator", "kind", "ms", "share"), rows, f"Operators of {name}")
    )


def to_html(result: dict[str, Any], profiles: Profiles = ()) -> str:
    """Returns the report of a measurement.

    Args:
        result: What `edge.bench.bench` returned.
        profiles: Files' names and operators' times, from TensorFlow's benchmark tool.
    """
    notes = "".join(
        f'<p class="{"warn" if note.startswith(("warning", "incomplete", "not measured")) else "note"}">'
        f"{escape(note)}</p>"
        for note in bench_notes(result)
    )
    figures = "".join(_figure(svg, caption) for svg, caption in accuracy_figures(result))
    if not figures:
        figures = '<p class="note">Accuracy: not measured (no --data).</p>'
    latency = _figure(latency_figure(result), "Median latency; the line reaches from the 10th to the 90th percentile.")
    operators = "".join(_profile(name, times) for name, times in profiles)
    title = f"Model files on {device_name(result)}"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main><h1>{escape(title)}</h1>"
        f"{_table(BENCH_HEADER, bench_rows(result), 'Measurements per file')}{notes}"
        f"<h2>Latency</h2>{_key(_groups(result))}{latency}<h2>Accuracy</h2>{figures}{operators}"
        f"<h2>How it was measured</h2>{_environment(result)}</main></body></html>\n"
    )
