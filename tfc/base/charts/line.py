"""Curves over rounds, bytes or time as SVG. The standard library alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tfc.base.charts.axes import Scale, framed
from tfc.base.charts.groups import colour_of
from tfc.base.charts.labels import Box, Spot, along, placed
from tfc.base.charts.svg import AXIS, LETTER, dashes_of, document, marker, text_at

_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 16, 14, 52
_ROW, _SWATCH, _GAP = 20, 30, 22
_NEAR, _BESIDE = 20, 70
_DOTTED = f'stroke="{AXIS}" stroke-width="1.5" stroke-dasharray="2 3"'
_MOST_POINTS = 60
"""Points of a curve that are marked: more would cover one another."""

Values = Sequence[float]


@dataclass(frozen=True)
class Curve:
    """One line.

    Attributes:
        label: What it stands for.
        xs: Horizontal values.
        ys: Vertical values, as many.
        texts: What is shown of each point on hover, as many.
        group: Number of its colour and marker.
        thin: Further lines behind it in its colour, such as the seeds that it is the mean of: horizontal and vertical
            values of each.
        bold: Whether it is to stand out.
    """

    label: str
    xs: Values
    ys: Values
    texts: Sequence[str]
    group: int
    thin: Sequence[tuple[Values, Values]] = ()
    bold: bool = False


@dataclass(frozen=True)
class Axis:
    """The settings of one axis.

    Attributes:
        label: Quantity and unit.
        log: Whether it is logarithmic; all values are more than 0 then.
        integer: Whether its values are whole numbers.
        low: Where it starts; None: a little before the smallest value.
        high: Where it ends; None: a little after the largest.
    """

    label: str
    log: bool = False
    integer: bool = False
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Layout:
    """Size of a figure, and placement of its lines' labels.

    Attributes:
        width: Units across.
        height: Units downwards, legend excluded.
        direct: Whether names stand at the ends of lines; else there is a legend above.
    """

    width: float = 560
    height: float = 350
    direct: bool = False


def _scale(axis: Axis, values: Values, start: float, end: float) -> Scale:
    smallest, largest = min(values), max(values)
    if axis.log:
        factor = (largest / smallest) ** 0.04 if largest > smallest else 1.5
        low, high = smallest / factor, largest * factor
    else:
        # The margin is of the shown values, however far below or above other values lie.
        bottom = smallest if axis.low is None else max(smallest, axis.low)
        top = largest if axis.high is None else min(largest, axis.high)
        margin = max(top - bottom, 0.0) * 0.05 or abs(largest) * 0.05 or 1.0
        low, high = smallest - margin, largest + margin
    low = low if axis.low is None else axis.low
    high = high if axis.high is None else axis.high
    return Scale(low, high, start, end, axis.log, axis.integer)


def _path(across: Scale, down: Scale, xs: Values, ys: Values, attributes: str) -> str:
    points = "L".join(f"{across.at(x):.1f} {down.at(y):.1f}" for x, y in zip(xs, ys, strict=True))
    return f'<path d="M{points}" fill="none" {attributes}/>'


def _legend(curves: Sequence[Curve], level: tuple[float, str] | None, width: float) -> tuple[list[str], float]:
    """The legend and its height."""
    length = _SWATCH - 8
    entries: list[tuple[str, int | None]] = [(curve.label, curve.group) for curve in curves]
    entries += [] if level is None else [(level[1], None)]
    parts: list[str] = []
    x, y = float(_LEFT), 20.0
    for number, (label, group) in enumerate(entries):
        needed = _SWATCH + len(label) * LETTER
        if x > _LEFT and x + needed > width:
            x, y = float(_LEFT), y + _ROW
        stroke = _DOTTED if group is None else f'stroke="{colour_of(group)}" stroke-width="2"{dashes_of(group)}'
        parts.append(f'<g data-curve="{number}"><path d="M{x:.1f} {y - 4:.1f}h{length}" {stroke}/>')
        parts += [] if group is None else [marker(x + length / 2, y - 4, group, size=0.8)]
        parts.append(text_at(x + _SWATCH - 3, y, label) + "</g>")
        x += needed + _GAP
    return parts, y + 8


def _names(curves: Sequence[Curve], across: Scale, down: Scale, right: float) -> list[str]:
    """The curves' names, each beside the end of its line."""
    lines: list[Spot] = []
    for curve in curves:
        spots = [(across.at(x), down.at(y)) for x, y in zip(curve.xs, curve.ys, strict=True) if down.holds(y)]
        lines += along(spots)
    shown = [curve for curve in curves if down.holds(curve.ys[-1])]
    ends = [(across.at(curve.xs[-1]), down.at(curve.ys[-1])) for curve in shown]
    widths = [len(curve.label) * LETTER for curve in shown]
    boxes = placed(ends, widths, lines, Box(across.start + 4, down.end, right, down.start - 4))
    parts = []
    for curve, (x, y), box in zip(shown, ends, boxes, strict=True):
        near_x, near_y = min(max(x, box.left), box.right), min(max(y, box.top), box.bottom)
        if math.dist((x, y), (near_x, near_y)) > _NEAR:
            parts.append(
                f'<path d="M{x:.1f} {y:.1f}L{near_x:.1f} {near_y:.1f}" stroke="{colour_of(curve.group)}" fill="none"/>'
            )
        weight = ' font-weight="bold"' if curve.bold else ""
        halo = 'stroke="#fff" stroke-width="3" paint-order="stroke"'
        extra = f'fill="{colour_of(curve.group)}" {halo}{weight}'
        parts.append(text_at((box.left + box.right) / 2, box.bottom - 3, curve.label, "middle", extra))
    return parts


def _marked(curve: Curve, across: Scale, down: Scale) -> list[str]:
    """The marks of a curve's points; of many, every n-th before the last."""
    step = math.ceil(len(curve.xs) / _MOST_POINTS)
    shown = (len(curve.xs) - 1) % step
    size = 0.9 if curve.bold else 0.7
    points = list(zip(curve.xs, curve.ys, curve.texts, strict=True))[shown::step]
    return [
        marker(across.at(x), down.at(y), curve.group, text, size)
        for x, y, text in points
        if across.holds(x) and down.holds(y)
    ]


def line_chart(
    title: str,
    x: Axis,
    y: Axis,
    curves: Sequence[Curve],
    *,
    rings: Sequence[tuple[float, float]] = (),
    level: tuple[float, str] | None = None,
    layout: Layout = Layout(),
) -> str:
    """Returns curves with markers, legend or names at the ends, and texts on hover.

    Args:
        title: For readers who can't see the figure.
        x: The horizontal axis.
        y: The vertical one. What lies beyond its limits is not drawn.
        curves: At least one, none of them empty.
        rings: Points to be ringed and joined by a dashed line, ascending.
        level: A height to be marked with a dotted line, and its name.
        layout: Size, and where names stand.
    """
    legend, above = ([], 0.0) if layout.direct else _legend(curves, level, layout.width)
    beside = _BESIDE if layout.direct else _RIGHT
    drawn = [
        pair for curve in curves for xs, ys in ((curve.xs, curve.ys), *curve.thin) for pair in zip(xs, ys, strict=True)
    ]
    down = _scale(y, [each for _, each in drawn], above + layout.height - _BOTTOM, above + _TOP)
    # If a limit removes points, the horizontal axis is scaled to the remaining ones.
    visible = [each for each, height in drawn if down.holds(height)]
    across = _scale(x, visible or [each for each, _ in drawn], _LEFT, layout.width - beside)
    parts = [*legend, *framed(across, down, x.label, y.label)]
    # Lines end at the limits of a nested document: it needs no name, as a clip path would.
    box = f"{across.start:.1f} {down.end:.1f} {across.end - across.start:.1f} {down.start - down.end:.1f}"
    left, top, width, height = box.split()
    parts.append(f'<svg x="{left}" y="{top}" width="{width}" height="{height}" viewBox="{box}" overflow="hidden">')
    for number, curve in enumerate(curves):
        stroke = f'stroke="{colour_of(curve.group)}"'
        parts.append(f'<g data-curve="{number}">')
        for xs, ys in curve.thin:
            parts.append(_path(across, down, xs, ys, f'{stroke} stroke-width=".9" stroke-opacity=".4"'))
        thickness = f'stroke-width="{3.4 if curve.bold else 1.8}"{dashes_of(curve.group)}'
        parts.append(_path(across, down, curve.xs, curve.ys, f"{stroke} {thickness}"))
        parts.append("</g>")
    parts.append("</svg>")
    if level is not None and down.holds(level[0]):
        y_level = down.at(level[0])
        parts.append(f'<path d="M{across.start:.1f} {y_level:.1f}H{across.end:.1f}" {_DOTTED}/>')
        if layout.direct:
            parts.append(text_at(across.start + 6, y_level - 5, level[1], "start", f'fill="{AXIS}" font-size="12"'))
    for number, curve in enumerate(curves):
        parts += [f'<g class="curve" data-curve="{number}">', *_marked(curve, across, down), "</g>"]
    ringed = [(a, b) for a, b in rings if across.holds(a) and down.holds(b)]
    if ringed:
        xs, ys = zip(*ringed, strict=True)
        parts.append(_path(across, down, xs, ys, f'stroke="{AXIS}" stroke-dasharray="6 4"'))
        parts += [
            f'<circle cx="{across.at(a):.1f}" cy="{down.at(b):.1f}" r="10" fill="none" stroke="{AXIS}" '
            'stroke-width="1.5" pointer-events="none"/>'
            for a, b in ringed
        ]
    parts += _names(curves, across, down, layout.width - 4) if layout.direct else []
    return document(above + layout.height, title, parts, layout.width)
