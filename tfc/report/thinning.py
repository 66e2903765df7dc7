"""Thins out what a report can't draw one by one: runs of tens of thousands of rounds, partitions of as many clients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from tfc.base.charts.line import Curve

MOST_POINTS = 1000
"""Points of a curve, rows of a group in the table of rounds, clients and classes of a partition."""

_Item = TypeVar("_Item")


def kept(count: int, most: int = MOST_POINTS) -> list[int]:
    """Returns the positions that are shown of so many: all, or evenly spread ones with the first and the last.

    Args:
        count: How many there are.
        most: How many are shown, at least 2.
    """
    if count <= most:
        return list(range(count))
    return [round(number * (count - 1) / (most - 1)) for number in range(most)]


def thinned(items: Sequence[_Item], most: int = MOST_POINTS) -> list[_Item]:
    """Returns the items that are shown.

    Args:
        items: Any number.
        most: How many are shown.
    """
    return [items[place] for place in kept(len(items), most)]


def thinned_curve(curve: Curve) -> Curve:
    """Returns a curve with the points that are drawn.

    Args:
        curve: Of any number of points.
    """
    return replace(
        curve,
        xs=thinned(curve.xs),
        ys=thinned(curve.ys),
        texts=thinned(curve.texts),
        thin=[(thinned(xs), thinned(ys)) for xs, ys in curve.thin],
    )


def remark(count: int, what: str, most: int = MOST_POINTS) -> str:
    """Returns a sentence that says what is left out; an empty text where nothing is.

    Args:
        count: How many there are.
        what: What they are, in the plural.
        most: How many are shown.
    """
    return f" {most:,} of {count:,} {what} are shown, evenly spread." if count > most else ""
