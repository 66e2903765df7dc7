"""Figures of a measurement: bars with whiskers, points over a logarithmic axis. The standard library alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from tfc.base.charts.axes import Scale, framed
from tfc.base.charts.svg import LETTER, WIDTH, colour_of, document, marker, text_at

_BAR, _GAP = 20, 14
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 14, 52
_HEIGHT = 380


@dataclass(frozen=True)
class Bar:
    """One bar.

    Attributes:
        label: What it stands for.
        value: Its length.
        low: Start of its whisker.
        high: End of its whisker.
        text: What is written behind it.
        group: Number of its colour.
        detail: What is shown on hover; else label and text.
    """

    label: str
    value: float
    low: float
    high: float
    text: str
    group: int = 0
    detail: str = ""


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


def bars(title: str, items: Sequence[Bar]) -> str:
    """Returns horizontal bars with whiskers, the axis starting at 0.

    Args:
        title: For readers who can't see the figure.
        items: The bars, from top to bottom.
    """
    longest = max(max(item.high, item.value) for item in items) or 1.0
    labels = max(len(item.label) for item in items) * LETTER + 10
    scale = (WIDTH - labels - max(len(item.text) for item in items) * LETTER - 10) / longest
    parts = []
    for number, item in enumerate(items):
        top = _TOP + number * (_BAR + _GAP)
        middle = top + _BAR / 2
        parts.append(text_at(labels - 8, middle + 4, item.label, "end"))
        parts.append(
            f'<rect class="point" x="{labels:.1f}" y="{top}" width="{max(item.value * scale, 1):.1f}" height="{_BAR}" '
            f'fill="{colour_of(item.group)}">'
            f"<title>{escape(item.detail or f'{item.label}: {item.text}')}</title></rect>"
        )
        left, right = labels + item.low * scale, labels + item.high * scale
        parts.append(
            f'<path d="M{left:.1f} {middle}H{right:.1f}M{left:.1f} {top + 4}v12M{right:.1f} {top + 4}v12" '
            'stroke="#000" fill="none"/>'
        )
        parts.append(text_at(max(right, labels + item.value * scale) + 6, middle + 4, item.text))
    return document(_TOP + len(items) * (_BAR + _GAP), title, parts)


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
