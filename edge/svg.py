"""Figures as SVG texts, drawn with nothing but strings: devices have no plotting library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _BAR, _GAP, _LETTER = 720, 20, 14, 7.5
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 14, 52
_HEIGHT = 380
COLOURS = ("#0b61a4", "#b4501e", "#2d7d46", "#7a4fa3", "#8a6d00")
"""Dark enough on white (contrast above 4.5 to 1), and apart for colour-blind readers."""


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
    """

    label: str
    value: float
    low: float
    high: float
    text: str
    group: int = 0


@dataclass(frozen=True)
class Point:
    """One point of a scatter plot.

    Attributes:
        label: What it stands for.
        x: Horizontal value, more than 0 (the axis is logarithmic).
        y: Vertical value.
        group: Number of its colour.
    """

    label: str
    x: float
    y: float
    group: int = 0


def _document(height: float, title: str, parts: Sequence[str]) -> str:
    name = escape(title, quote=True)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{name}" font-size="13" '
        f'font-family="sans-serif"><title>{name}</title>{"".join(parts)}</svg>'
    )


def _text(x: float, y: float, text: str, anchor: str = "start", extra: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {extra}>{escape(text)}</text>'


def bars(title: str, items: Sequence[Bar]) -> str:
    """Returns horizontal bars with whiskers, the axis starting at 0.

    Args:
        title: For readers who can't see the figure.
        items: The bars, from top to bottom.
    """
    longest = max(max(item.high, item.value) for item in items) or 1.0
    labels = max(len(item.label) for item in items) * _LETTER + 10
    scale = (_WIDTH - labels - max(len(item.text) for item in items) * _LETTER - 10) / longest
    parts = []
    for number, item in enumerate(items):
        top = _TOP + number * (_BAR + _GAP)
        middle = top + _BAR / 2
        colour = COLOURS[item.group % len(COLOURS)]
        parts.append(_text(labels - 8, middle + 4, item.label, "end"))
        parts.append(
            f'<rect x="{labels:.1f}" y="{top}" width="{max(item.value * scale, 1):.1f}" height="{_BAR}" '
            f'fill="{colour}">'
            f"<title>{escape(item.label)}: {escape(item.text)}</title></rect>"
        )
        left, right = labels + item.low * scale, labels + item.high * scale
        parts.append(
            f'<path d="M{left:.1f} {middle}H{right:.1f}M{left:.1f} {top + 4}v12M{right:.1f} {top + 4}v12" '
            'stroke="#000" fill="none"/>'
        )
        parts.append(_text(max(right, labels + item.value * scale) + 6, middle + 4, item.text))
    return _document(_TOP + len(items) * (_BAR + _GAP), title, parts)


def _decades(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten within the limits."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    candidates = (digit * 10.0**power for power in range(first, last + 1) for digit in (1, 2, 5))
    return [value for value in candidates if low <= value <= high]


def scatter(title: str, x_label: str, y_label: str, points: Sequence[Point]) -> str:
    """Returns points over a logarithmic horizontal axis.

    Args:
        title: For readers who can't see the figure.
        x_label: Quantity and unit of the horizontal axis.
        y_label: Of the vertical axis.
        points: The points.
    """
    xs, ys = [point.x for point in points], [point.y for point in points]
    low_x, high_x = min(xs) / 1.6, max(xs) * 1.6
    margin = max((max(ys) - min(ys)) * 0.15, 0.005)
    low_y, high_y = min(ys) - margin, max(ys) + margin

    def across(x: float) -> float:
        return _LEFT + (math.log(x / low_x) / math.log(high_x / low_x)) * (_WIDTH - _LEFT - _RIGHT)

    def down(y: float) -> float:
        return _TOP + (high_y - y) / (high_y - low_y) * (_HEIGHT - _TOP - _BOTTOM)

    floor = _HEIGHT - _BOTTOM
    parts = [f'<path d="M{_LEFT} {_TOP}V{floor}H{_WIDTH - _RIGHT}" stroke="#555" fill="none"/>']
    for tick in _decades(low_x, high_x):
        parts.append(f'<path d="M{across(tick):.1f} {_TOP}V{floor}" stroke="#ddd"/>')
        parts.append(_text(across(tick), floor + 18, f"{tick:g}", "middle"))
    for number in range(5):
        value = low_y + (high_y - low_y) * number / 4
        parts.append(f'<path d="M{_LEFT} {down(value):.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>')
        parts.append(_text(_LEFT - 6, down(value) + 4, f"{value:.3f}", "end"))
    parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 12, x_label, "middle"))
    turned = f'transform="rotate(-90 16 {(_TOP + floor) / 2:.0f})"'
    parts.append(_text(16, (_TOP + floor) / 2, y_label, "middle", turned))
    written: list[tuple[float, float, str]] = []
    for point in sorted(points, key=lambda each: each.y, reverse=True):
        x, y = across(point.x), down(point.y)
        colour = COLOURS[point.group % len(COLOURS)]
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{colour}"><title>{escape(point.label)}: {point.x:g}, '
            f"{point.y:g}</title></circle>"
        )
        # Labels of neighbours move down until they no longer cover one another.
        height = y + 4
        if any(abs(x - where) < 30 and abs(y - other) < 30 and text == point.label for where, other, text in written):
            continue  # the same file in another interpreter
        while any(abs(height - other) < 15 and abs(x - where) < 200 for where, other, _ in written):
            height += 15
        written.append((x, height, point.label))
        right = x > _WIDTH * 0.7
        parts.append(_text(x - 10 if right else x + 10, height, point.label, "end" if right else "start"))
    return _document(_HEIGHT, title, parts)
