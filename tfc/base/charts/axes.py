"""Axes of figures: positions of values, ticks and their labels. The standard library alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tfc.base.charts.svg import AXIS, GRID, text_at

_MOST_TICKS, _MOST_LOG_TICKS = 8, 10
_NICE_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """Places values along one direction of a figure.

    Attributes:
        low: Value at `start`; more than 0 where `log`.
        high: Value at `end`; more than `low`.
        start: Position of `low` in the figure, in its units.
        end: Position of `high`.
        log: Whether equal ratios, not equal differences, are equally far apart.
        integer: Whether only whole numbers get ticks.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    integer: bool = False

    def at(self, value: float) -> float:
        """Returns the position of a value.

        Args:
            value: More than 0 where the scale is logarithmic.
        """
        share = (
            math.log(value / self.low) / math.log(self.high / self.low)
            if self.log
            else (value - self.low) / (self.high - self.low)
        )
        return self.start + share * (self.end - self.start)

    def holds(self, value: float) -> bool:
        """Returns whether a value lies on the scale.

        Args:
            value: Any number.
        """
        return self.low <= value <= self.high

    def ticks(self) -> list[float]:
        """Returns the ticks, at most nine or so, ascending."""
        if self.log:
            decades = self._decades()
            if len(decades) > 1:
                return decades
        return self._even_steps()

    def _decades(self) -> list[float]:
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        found: list[float] = []
        for digits in ((1, 2, 5), (1,)):
            candidates = (digit * 10.0**power for power in range(first, last + 1) for digit in digits)
            found = [value for value in candidates if self.holds(value)]
            if len(found) <= _MOST_LOG_TICKS:
                break
        return found

    def _even_steps(self) -> list[float]:
        rough = (self.high - self.low) / (_MOST_TICKS - 2)
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(nice * power for nice in _NICE_STEPS if nice * power >= rough * (1 - 1e-9))
        if self.integer:
            step = max(1.0, float(math.ceil(step)))
        first = math.ceil(self.low / step - 1e-9)
        count = math.floor(self.high / step + 1e-9) - first + 1
        return [round((first + number) * step, 12) for number in range(count)]


def named(ticks: Sequence[float]) -> list[str]:
    """Returns the ticks' labels, all with as many decimals as the finest needs.

    Args:
        ticks: From `Scale.ticks`.
    """
    if ticks and ticks[-1] / (ticks[0] or 1.0) >= 10 and ticks[0] > 0:  # decades: each as short as it can be
        return [f"{value:,.0f}" if value >= 10 else f"{value:g}" for value in ticks]
    decimals = max((len(f"{value:.6f}".rstrip("0").partition(".")[2]) for value in ticks), default=0)
    return [f"{value:,.{decimals}f}" for value in ticks]


def framed(across: Scale, down: Scale, x_label: str, y_label: str) -> list[str]:
    """Returns grid, tick labels, and the labels of both axes.

    Args:
        across: The horizontal scale, from left to right.
        down: The vertical one: it starts at the bottom, so `start` is the larger position.
        x_label: Quantity and unit of the horizontal axis.
        y_label: Of the vertical axis.
    """
    left, right, floor, top = across.start, across.end, down.start, down.end
    parts = []
    for tick, name in zip(across.ticks(), named(across.ticks()), strict=True):
        x = across.at(tick)
        parts.append(f'<path d="M{x:.1f} {top:.1f}V{floor:.1f}" stroke="{GRID}"/>')
        parts.append(text_at(x, floor + 18, name, "middle"))
    for tick, name in zip(down.ticks(), named(down.ticks()), strict=True):
        y = down.at(tick)
        parts.append(f'<path d="M{left:.1f} {y:.1f}H{right:.1f}" stroke="{GRID}"/>')
        parts.append(text_at(left - 6, y + 4, name, "end"))
    parts.append(f'<path d="M{left:.1f} {top:.1f}V{floor:.1f}H{right:.1f}" stroke="{AXIS}" fill="none"/>')
    parts.append(text_at((left + right) / 2, floor + 40, x_label, "middle"))
    middle = (top + floor) / 2
    parts.append(text_at(16, middle, y_label, "middle", f'transform="rotate(-90 16 {middle:.0f})"'))
    return parts
