"""Frequency tables of the entropy coder, two bytes each. NumPy alone; the graph uses the same constants.

A table describes steps around zero by three numbers: how often the step is zero, how often another one is positive, and
how fast the frequencies of magnitudes fall. Symbols: 0 is step 0, 2 m - 1 is step +m, 2 m is step -m, and the last
symbol escapes to a 16-bit number. Everything is integer arithmetic: both ends compute the same 4096ths.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from tfc.codec.rans import FREQUENCY_TOTAL

ZERO_LEVELS, SIGN_LEVELS, SHAPE_LEVELS = 128, 32, 16
TABLE_BYTES = 2
COST_UNIT = 256
"""Costs are in 1/256 bit."""

_ESCAPE_COST = 26 * COST_UNIT
_SHAPES = (
    (0.0, 1), (0.01, 2), (0.03, 2), (0.07, 2), (0.12, 3), (0.18, 4), (0.27, 5), (0.4, 7),
    (0.55, 11), (0.7, 18), (0.85, 31), (0.93, 31), (1.0, 4), (1.0, 8), (1.0, 16),
)  # fmt: skip
"""Ratio of the frequencies of successive magnitudes, and the largest magnitude with a frequency; the sixteenth shape
is flat over all magnitudes."""


def _cost(frequencies: np.ndarray) -> np.ndarray:
    """Bits of symbols with these 4096ths, in units of 1/256."""
    return np.round(COST_UNIT * np.log2(FREQUENCY_TOTAL / np.maximum(frequencies, 2**-20))).astype(np.int64)


class TableParts(NamedTuple):
    """The three parts of which tables are made, as int64 constants.

    Attributes:
        zero: (128,), 4096ths of step 0 by level; the last level leaves no room for another step.
        positive: (32,), 4096ths of a positive sign among other steps, by level.
        magnitudes: (16, largest_step), 4096ths of each magnitude from 1 by shape.
        largest: (16,), largest magnitude of each shape.
        zero_cost: (2, 128), cost of step 0 and of another step by level.
        sign_cost: (2, 32), cost of a positive and of a negative sign by level.
        magnitude_cost: (largest_step + 1, 16), cost of each magnitude from 1 by shape; the last row is of escapes.
    """

    zero: np.ndarray
    positive: np.ndarray
    magnitudes: np.ndarray
    largest: np.ndarray
    zero_cost: np.ndarray
    sign_cost: np.ndarray
    magnitude_cost: np.ndarray


@cache
def table_parts(largest_step: int) -> TableParts:
    """Computes the constants; see `docs/wire-format.md`.

    Args:
        largest_step: Largest magnitude with a symbol of its own.
    """
    levels = np.arange(ZERO_LEVELS)
    zero = np.round(FREQUENCY_TOTAL / (1 + 2 ** (8 - 20 * levels / (ZERO_LEVELS - 2)))).astype(np.int64)
    zero[-1] = FREQUENCY_TOTAL
    positive = np.round(FREQUENCY_TOTAL / (1 + 2 ** (7.75 - np.arange(SIGN_LEVELS) / 2))).astype(np.int64)
    magnitudes, largest = [], []
    for ratio, highest in (*_SHAPES, (1.0, largest_step)):
        powers = np.where(np.arange(largest_step) < highest, float(ratio) ** np.arange(largest_step), 0.0)
        magnitudes.append(np.floor(FREQUENCY_TOTAL * powers / powers.sum()).astype(np.int64))
        largest.append(highest)
    shapes = np.stack(magnitudes)
    magnitude_cost = np.where(np.arange(largest_step) < np.array(largest)[:, None], _cost(shapes + 0.5), _ESCAPE_COST)
    return TableParts(
        zero,
        positive,
        shapes,
        np.array(largest, np.int64),
        np.stack([_cost(zero), _cost(FREQUENCY_TOTAL - zero)]),
        np.stack([_cost(positive), _cost(FREQUENCY_TOTAL - positive)]),
        np.concatenate([magnitude_cost, np.full((SHAPE_LEVELS, 1), _ESCAPE_COST)], axis=1).T,
    )


class StepCounts(NamedTuple):
    """How often what happened in some contexts, int64.

    Attributes:
        zero: (...,), steps of zero.
        positive: (...,), steps with a symbol of their own above zero.
        negative: (...,), those below zero.
        magnitudes: (..., largest_step + 1), steps by magnitude from 1; the last is of escapes.
    """

    zero: np.ndarray
    positive: np.ndarray
    negative: np.ndarray
    magnitudes: np.ndarray


def step_counts(counts: np.ndarray) -> StepCounts:
    """Sums up a histogram of symbols.

    Args:
        counts: int64 (..., 2 largest_step + 2).
    """
    positive, negative = counts[..., 1:-1:2], counts[..., 2:-1:2]
    magnitudes = np.concatenate([positive + negative, counts[..., -1:]], axis=-1)
    return StepCounts(counts[..., 0], positive.sum(axis=-1), negative.sum(axis=-1), magnitudes)


def choose_tables(counts: StepCounts, largest_step: int) -> tuple[np.ndarray, np.ndarray]:
    """Chooses the cheapest table for each context.

    Args:
        counts: What happened.
        largest_step: Largest magnitude with a symbol of its own.

    Returns:
        Tables, int64 (...,) below 2^16, and the cost of their symbols, int64 (...,) in 1/256 bit.
    """
    parts = table_parts(largest_step)
    others = counts.magnitudes.sum(axis=-1)
    zero = counts.zero[..., None] * parts.zero_cost[0] + others[..., None] * parts.zero_cost[1]
    sign = counts.positive[..., None] * parts.sign_cost[0] + counts.negative[..., None] * parts.sign_cost[1]
    shape = counts.magnitudes @ parts.magnitude_cost
    # A row without another step says so; one without anything, too.
    level = np.where(others > 0, zero[..., :-1].argmin(axis=-1), ZERO_LEVELS - 1)
    zero_cost = np.where(others > 0, zero[..., :-1].min(axis=-1), 0)
    chosen = (level * SIGN_LEVELS + sign.argmin(axis=-1)) * SHAPE_LEVELS + shape.argmin(axis=-1)
    return chosen, zero_cost + sign.min(axis=-1) + shape.min(axis=-1)


def frequencies_of(chosen: np.ndarray, largest_step: int) -> np.ndarray:
    """Returns the frequencies that tables stand for.

    Args:
        chosen: int64 (tables,), below 2^16.
        largest_step: Largest magnitude with a symbol of its own.

    Returns:
        int64 (tables, 2 largest_step + 2); each row adds up to 4096.
    """
    parts = table_parts(largest_step)
    level = chosen // (SIGN_LEVELS * SHAPE_LEVELS)
    positive = parts.positive[chosen // SHAPE_LEVELS % SIGN_LEVELS][:, None]
    shape = chosen % SHAPE_LEVELS
    largest = parts.largest[shape][:, None]
    rest = FREQUENCY_TOTAL - 1 - 2 * largest
    zero = np.minimum(parts.zero[level][:, None], rest)
    present = np.arange(largest_step) < largest
    up = np.where(present, 1 + (rest - zero) * positive * parts.magnitudes[shape] // FREQUENCY_TOTAL**2, 0)
    down = (rest - zero) * (FREQUENCY_TOTAL - positive) * parts.magnitudes[shape] // FREQUENCY_TOTAL**2
    down = np.where(present, 1 + down, 0)
    steps = np.stack([up, down], axis=-1).reshape(len(chosen), 2 * largest_step)
    steps = np.where(level[:, None] == ZERO_LEVELS - 1, 0, steps)
    escape = np.where(level == ZERO_LEVELS - 1, 0, 1)[:, None]
    zero = FREQUENCY_TOTAL - escape - steps.sum(axis=1, keepdims=True)
    return np.concatenate([zero, steps, escape], axis=1)
