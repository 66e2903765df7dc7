"""How groups are told apart in figures, SVG and matplotlib alike: colours and shapes. The standard library alone."""

from __future__ import annotations

COLOURS = ("#0b61a4", "#b4501e", "#16826e", "#1a1a1a", "#c2185b", "#3d1a8f", "#5a3d00")
"""Colours with a contrast above 4.5 to 1 on white, distinguishable also with protanopia or deuteranopia (a test
simulates them)."""

SHAPES = ("circle", "square", "triangle up", "diamond", "triangle down", "plus", "pentagon")
"""Shapes of points."""


def colour_of(group: int) -> str:
    """Returns a group's colour.

    Args:
        group: Its number; they repeat.
    """
    return COLOURS[group % len(COLOURS)]


def shape_of(group: int) -> str:
    """Returns the shape of a group's points.

    Shapes go round once per round of the colours, one further, so that no two of the first 49 groups look the same.

    Args:
        group: Its number.
    """
    return SHAPES[(group + group // len(COLOURS)) % len(SHAPES)]
