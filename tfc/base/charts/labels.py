"""Placement of curve labels: beside the curves' ends, away from lines and other labels. The standard library alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

Spot = tuple[float, float]
_HEIGHT = 15.0
_DISTANCES = (12.0, 18.0, 26.0, 36.0, 48.0)
_ANGLES = range(0, 360, 30)
_PER_NAME, _OUTSIDE = 40.0, 1000.0
"""Cost of covering a label, and of leaving the figure; a covered point of a line costs 1, a unit of distance a
tenth."""


@dataclass(frozen=True)
class Box:
    """A rectangle of a figure.

    Attributes:
        left: Its smallest horizontal position.
        top: Its smallest vertical one (they count downwards).
        right: Its largest horizontal position.
        bottom: Its largest vertical one.
    """

    left: float
    top: float
    right: float
    bottom: float

    def covers(self, spot: Spot) -> bool:
        """Returns whether a spot lies within.

        Args:
            spot: Horizontal and vertical position.
        """
        return self.left <= spot[0] <= self.right and self.top <= spot[1] <= self.bottom

    def meets(self, other: Box) -> bool:
        """Returns whether two rectangles overlap.

        Args:
            other: The other one.
        """
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


def along(spots: Sequence[Spot], apart: float = 4.0) -> list[Spot]:
    """Returns spots along a line, at most so far apart.

    Args:
        spots: The line's corners.
        apart: Largest distance of neighbours.
    """
    found = list(spots[:1])
    for (x0, y0), (x1, y1) in itertools.pairwise(spots):
        steps = max(1, math.ceil(math.dist((x0, y0), (x1, y1)) / apart))
        found += [(x0 + (x1 - x0) * step / steps, y0 + (y1 - y0) * step / steps) for step in range(1, steps + 1)]
    return found


def _candidates(end: Spot, width: float) -> list[tuple[float, Box]]:
    """Distance and rectangle of every place for a name."""
    found = []
    for distance, angle in itertools.product(_DISTANCES, _ANGLES):
        dx, dy = math.cos(math.radians(angle)), -math.sin(math.radians(angle))
        x, y = end[0] + distance * dx, end[1] + distance * dy
        # The side that faces the end: a name to the right starts there, one above it is centred.
        left = x - width * (1 - dx) / 2
        top = y - _HEIGHT * (1 - dy) / 2
        found.append((distance, Box(left, top, left + width, top + _HEIGHT)))
    return found


def placed(ends: Sequence[Spot], widths: Sequence[float], lines: Sequence[Spot], bounds: Box) -> list[Box]:
    """Places labels one after the other, each at the least cost; returns their rectangles.

    Args:
        ends: What each name belongs to.
        widths: How wide the names are.
        lines: Spots that are better not covered, from `along`.
        bounds: Rectangle that labels should not leave.
    """
    boxes: list[Box] = []
    for end, width in zip(ends, widths, strict=True):

        def cost(candidate: tuple[float, Box]) -> float:
            distance, box = candidate
            inside = (
                box.left >= bounds.left
                and box.right <= bounds.right
                and box.top >= bounds.top
                and box.bottom <= bounds.bottom
            )
            names = sum(box.meets(other) for other in boxes)
            spots = sum(box.covers(spot) for spot in lines)
            return _PER_NAME * names + spots + distance / 10 + (0 if inside else _OUTSIDE)

        boxes.append(min(_candidates(end, width), key=cost)[1])
    return boxes
