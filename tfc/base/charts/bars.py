"""Horizontal bars with whiskers as SVG. The standard library alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from tfc.base.charts.groups import colour_of
from tfc.base.charts.svg import LETTER, WIDTH, document, text_at

_BAR, _GAP, _TOP = 20, 14, 14


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
