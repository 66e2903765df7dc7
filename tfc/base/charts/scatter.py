"""Points over a logarithmic axis as SVG. The standard library alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tfc.base.charts.axes import Scale, framed
from tfc.base.charts.svg import WIDTH, document, marker, text_at

_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 14, 52
_HEIGHT = 380


@dataclass(frozen=True)
class Point:
    """One point of a scatter plot.

    Attributes:
        label: What it stands for.
        x: Horizontal value, more than 0 (the axis is logarithmic).
        y: Vertical value.
        group: Number of its colour and marker.
        detail: What is shown on hover; else label and values.
    """

    label: str
    x: float
    y: float
    group: int = 0
    detail: str = ""


def scatter(title: str, x_label: str, y_label: str, points: Sequence[Point]) -> str:
    """Returns points over a logarithmic horizontal axis.

    Args:
        title: For readers who can't see the figure.
        x_label: Quantity and unit of the horizontal axis.
        y_label: Of the vertical axis.
        points: The points.
    """
    xs, ys = [point.x for point in points], [point.y for point in points]
    margin = max((max(ys) - min(ys)) * 0.15, 0.005)
    across = Scale(min(xs) / 1.6, max(xs) * 1.6, _LEFT, WIDTH - _RIGHT, log=True)
    down = Scale(min(ys) - margin, max(ys) + margin, _HEIGHT - _BOTTOM, _TOP)
    parts = framed(across, down, x_label, y_label)
    written: list[tuple[float, float, str]] = []
    for point in sorted(points, key=lambda each: each.y, reverse=True):
        x, y = across.at(point.x), down.at(point.y)
        parts.append(marker(x, y, point.group, point.detail or f"{point.label}: {point.x:g}, {point.y:g}", 1.2))
        # Labels of neighbours move down until they no longer cover one another.
        height = y + 4
        if any(abs(x - where) < 30 and abs(y - other) < 30 and text == point.label for where, other, text in written):
            continue  # the same file in another interpreter
        while any(abs(height - other) < 15 and abs(x - where) < 200 for where, other, _ in written):
            height += 15
        written.append((x, height, point.label))
        right = x > WIDTH * 0.7
        parts.append(text_at(x - 10 if right else x + 10, height, point.label, "end" if right else "start"))
    return document(_HEIGHT, title, parts)
