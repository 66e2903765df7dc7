"""Codebooks and other parameters as whole numbers of steps from what the receiver holds. NumPy alone.

A step is a power of two, so that value = held + number * step has one rounding and both ends get the same bits.
"""

from __future__ import annotations

import numpy as np

SMALLEST_EXPONENT, LARGEST_EXPONENT = -100, 100
FINEST_BITS = 10
"""No step is smaller than 2^-10 of the largest value, however small the change is."""
CODEBOOK_BITS = 8
"""A codebook's step is its largest centroid's power of two divided by 2^8, or more where it changes a lot."""
COARSEST_BITS = 14
"""No change takes more bits: numbers of steps are 16-bit ones."""
UPDATE_BITS = 6
"""Centroids of an update are 8-bit numbers of steps of their largest one's power of two divided by 2^6."""
SMALLEST_SCALE = -10
"""Exponent below which a relative parameter's own magnitude does not matter any more (BatchNorm's epsilon rules)."""


def exponents_of(values: np.ndarray) -> np.ndarray:
    """Returns floor(log2(magnitude)) of each value from its bits, within the format's limits.

    Args:
        values: float32, any shape.

    Returns:
        int64, the same shape.
    """
    bits = np.abs(np.asarray(values, np.float32)).view(np.int32)
    return np.clip((bits >> 23).astype(np.int64) - 127, SMALLEST_EXPONENT, LARGEST_EXPONENT)


def power_of_two(exponents: np.ndarray | np.int64) -> np.ndarray:
    """Returns exact float32 powers of two.

    Args:
        exponents: int64, between -126 and 127, any shape.
    """
    return ((np.asarray(exponents, np.int64) + 127) << 23).astype(np.int32).view(np.float32)


def largest_exponent(values: np.ndarray) -> int:
    """Returns the exponent of the largest magnitude; the smallest there is without values.

    Args:
        values: float32, any shape.
    """
    return int(exponents_of(np.abs(values).max(initial=0.0).astype(np.float32)))


def scales(held: np.ndarray, *, relative: bool) -> np.ndarray:
    """Returns what a parameter's steps are multiplied by at each place.

    Args:
        held: float32 values that the receiver holds.
        relative: Whether precision follows each value's own magnitude.

    Returns:
        float32 powers of two, the same shape.
    """
    exponents = np.maximum(exponents_of(held), SMALLEST_SCALE) if relative else np.zeros(np.shape(held), np.int64)
    return power_of_two(exponents)


def step_exponent(values: np.ndarray, held: np.ndarray, bits: int, *, relative: bool) -> int:
    """Chooses a parameter's step: its largest change takes `bits` bits beside the sign.

    Args:
        values: float32, what is to be sent.
        held: float32 of the same shape, what the receiver holds.
        bits: Precision of the largest change.
        relative: Whether precision follows each value's own magnitude.
    """
    scale = scales(held, relative=relative)
    largest = largest_exponent(values / scale)
    change = largest_exponent((values - held) / scale)
    if relative:
        # One variance that jumps must not coarsen all others: its number of steps is escaped instead. And where all of
        # them shrink, as those do that stood at their start, precision follows what they become, as far as 16-bit
        # numbers of steps reach down from what is held, which is less than two of its powers of two.
        change = min(change, 0, max(2 * largest, bits - COARSEST_BITS))
    chosen = max(change + 1 - bits, largest - FINEST_BITS)
    return min(max(chosen, SMALLEST_EXPONENT), LARGEST_EXPONENT)


def to_steps(values: np.ndarray, held: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Returns the number of steps to each value, rounded half to even, within 16 bits.

    Args:
        values: float32.
        held: float32.
        step: float32 powers of two.
    """
    return np.clip(np.rint((values - held) / step), -32767, 32767).astype(np.int64)


def at_least(held: np.ndarray, step: np.ndarray, *, relative: bool) -> np.ndarray:
    """Returns the least value that a receiver takes: a variance keeps two steps, or an eighth of its power of two.

    Args:
        held: float32 values that the receiver holds.
        step: float32, what a step is worth at each place.
        relative: Whether they are variances.
    """
    if not relative:
        return np.full(np.shape(held), -np.inf, np.float32)
    return np.minimum(scales(held, relative=True) / 8, 2 * step)


def from_steps(steps: np.ndarray, held: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Returns the values that a receiver gets.

    Args:
        steps: int64.
        held: float32.
        step: float32 powers of two.

    Returns:
        float32.
    """
    values = held + steps.astype(np.float32) * step
    # TensorFlow's kernels flush what is smaller.
    return np.where(np.abs(values) < np.finfo(np.float32).tiny, np.float32(0), values)
