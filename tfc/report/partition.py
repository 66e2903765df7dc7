"""The partition: examples per client and class, as SVG for the report."""

from __future__ import annotations

from collections.abc import Sequence

from tfc.base.charts.svg import AXIS, document, text_at
from tfc.report.curves import ReportFigure
from tfc.report.thinning import kept, remark
from tfc.simulation.folder import FinishedRun

_WIDTH, _LEFT, _TOP, _BOTTOM, _SCALE = 560, 60, 12, 56, 90
_MOST_HEIGHT, _MOST_ROW = 340, 26
_MOST_TITLES = 1500
"""Largest number of cells with values on hover; in a larger partition cells are too small to point at."""
_MOST_CLIENTS, _MOST_CLASSES = 340, 100
_EMPTY, _FULL = (240, 245, 251), (8, 48, 107)
_PANELS = 4


def _shade(share: float) -> str:
    return "#" + "".join(f"{round(low + (high - low) * share):02x}" for low, high in zip(_EMPTY, _FULL, strict=True))


def _every(count: int) -> int:
    """The rows or columns with a label: at most a dozen."""
    return max(1, -(-count // 12))


def heat_map(title: str, counts: Sequence[Sequence[int]]) -> str:
    """Returns one row per client, one column per class, darker for more examples; the scale starts at 0.

    Args:
        title: For readers who can't see the figure.
        counts: Examples: one row per client, one column per class.
    """
    rows, columns = kept(len(counts), _MOST_CLIENTS), kept(len(counts[0]), _MOST_CLASSES)
    clients, classes = len(rows), len(columns)
    most = max(max(row) for row in counts) or 1
    row_height = min(_MOST_ROW, _MOST_HEIGHT / clients)
    width = (_WIDTH - _LEFT - _SCALE) / classes
    floor = _TOP + clients * row_height
    parts = []
    told = clients * classes <= _MOST_TITLES
    kind = ' class="point"' if told else ""
    for y, client in enumerate(rows):
        parts.append('<g class="curve">')
        for x, label in enumerate(columns):
            count = counts[client][label]
            content = f"<title>client {client}; class {label}; {count:,} examples</title>" if told else ""
            parts.append(
                f'<rect{kind} x="{_LEFT + x * width:.1f}" y="{_TOP + y * row_height:.1f}" '
                f'width="{width:.1f}" height="{row_height:.1f}" fill="{_shade(count / most)}">{content}</rect>'
            )
        parts.append("</g>")
        if y % _every(clients) == 0:
            parts.append(text_at(_LEFT - 6, _TOP + (y + 0.5) * row_height + 4, str(client), "end"))
    for x in range(0, classes, _every(classes)):
        parts.append(text_at(_LEFT + (x + 0.5) * width, floor + 18, str(columns[x]), "middle"))
    parts.append(text_at((_LEFT + _WIDTH - _SCALE) / 2, floor + 40, "class", "middle"))
    middle = (_TOP + floor) / 2
    parts.append(text_at(16, middle, "client", "middle", f'transform="rotate(-90 16 {middle:.0f})"'))
    steps = 5
    for step in range(steps):
        y = _TOP + step * 22
        share = 1 - step / (steps - 1)
        parts.append(
            f'<rect x="{_WIDTH - _SCALE + 16}" y="{y}" width="18" height="22" fill="{_shade(share)}" stroke="{AXIS}" '
            'stroke-width=".4"/>'
        )
        parts.append(text_at(_WIDTH - _SCALE + 40, y + 15, f"{round(share * most):,}"))
    return document(max(floor + _BOTTOM, _TOP + steps * 22 + 10), title, parts, _WIDTH)


def partition_figures(runs: Sequence[FinishedRun]) -> list[ReportFigure]:
    """Returns one figure per partition, at most four; runs with the same one share it.

    Args:
        runs: Finished runs.
    """
    names: dict[tuple[tuple[int, ...], ...], list[str]] = {}
    unknown = []
    for run in runs:
        if run.class_counts:
            names.setdefault(run.class_counts, []).append(run.name)
        else:
            unknown.append(run.name)
    figures = []
    for counts, members in list(names.items())[:_PANELS]:
        more = f" and {len(members) - 3} more" if len(members) > 3 else ""
        caption = f"Training and validation examples of each client, by class. Runs: {', '.join(members[:3])}{more}."
        caption += remark(len(counts), "clients", _MOST_CLIENTS) + remark(len(counts[0]), "classes", _MOST_CLASSES)
        figures.append(ReportFigure("Examples of clients", heat_map("Examples of each class", counts), caption))
    if len(names) > _PANELS:
        figures.append(
            ReportFigure("Examples of clients", "", f"{len(names) - _PANELS} more partitions are not drawn.")
        )
    if unknown:
        said = "these runs" if len(unknown) == len(runs) else ", ".join(unknown)
        figures.append(ReportFigure("Examples of clients", "", f"Not recorded by the version that made {said}."))
    return figures
