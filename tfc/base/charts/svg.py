"""SVG texts from strings alone (devices have no plotting library): markers, texts, documents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from tfc.base.charts.groups import COLOURS, colour_of, shape_of

WIDTH = 720
"""Default width of a figure, in its units."""
LETTER = 7.5
"""Approximate width of a letter, in the same units."""
GRID, AXIS = "#ddd", "#555"


def _polygon(corners: int, radius: float, turn: float) -> str:
    angles = (2 * math.pi * number / corners + math.radians(turn) for number in range(corners))
    return "M" + "L".join(f"{radius * math.sin(a):.1f} {-radius * math.cos(a):.1f}" for a in angles) + "Z"


_PATHS = {
    "square": _polygon(4, 6, 45),
    "triangle up": _polygon(3, 6, 0),
    "diamond": _polygon(4, 6, 0),
    "triangle down": _polygon(3, 6, 180),
    "plus": "M-5 -2H-2V-5H2V-2H5V2H2V5H-2V2H-5Z",
    "pentagon": _polygon(5, 5.6, 0),
}
"""Shapes around the origin; a circle is an element of its own."""


def dashes_of(group: int) -> str:
    """Returns the dash attribute that distinguishes groups of one colour: empty for the first of them.

    Args:
        group: Its number.
    """
    turn = group // len(COLOURS)
    return f' stroke-dasharray="{8 / turn:g} 3"' if turn else ""


def marker(x: float, y: float, group: int, text: str = "", size: float = 1.0) -> str:
    """Returns the mark of a point, in its group's colour and shape.

    Args:
        x: Where, in the figure's units.
        y: The same, downwards.
        group: Number of colour and shape.
        text: What is shown of the point on hover; without one it is an ornament.
        size: 1 is 12 units across.
    """
    shape = shape_of(group)
    kind = f'class="point" fill="{colour_of(group)}"' if text else f'fill="{colour_of(group)}"'
    content = f"<title>{escape(text)}</title>" if text else ""
    if shape == "circle":
        return f'<circle {kind} cx="{x:.1f}" cy="{y:.1f}" r="{5 * size:.1f}">{content}</circle>'
    scale = "" if size == 1 else f" scale({size:g})"
    return f'<path {kind} transform="translate({x:.1f} {y:.1f}){scale}" d="{_PATHS[shape]}">{content}</path>'


def text_at(x: float, y: float, text: str, anchor: str = "start", extra: str = "") -> str:
    """Returns a text.

    Args:
        x: Where it is anchored, in the figure's units.
        y: Its base line, downwards.
        text: Its letters.
        anchor: "start", "middle" or "end".
        extra: Further attributes, as they are written.
    """
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{" " + extra if extra else ""}>{escape(text)}</text>'


def document(height: float, title: str, parts: Sequence[str], width: float = WIDTH) -> str:
    """Returns a whole figure.

    Args:
        height: Units downwards.
        title: For readers who can't see the figure.
        parts: What is drawn, the topmost last.
        width: Units across.
    """
    name = escape(title, quote=True)
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{name}" font-size="13" '
        f'font-family="sans-serif">{"".join(parts)}</svg>'
    )


def standalone(svg: str) -> str:
    """Returns a figure as a file of its own: on white, whatever is behind it.

    Args:
        svg: From `document`.
    """
    start, _, rest = svg.partition(">")
    name = start.partition('aria-label="')[2].partition('"')[0]
    head = start.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return f'{head}><title>{name}</title><rect width="100%" height="100%" fill="#fff"/>{rest}\n'
