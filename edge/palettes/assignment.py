"""What an assignment of weights to a palette costs, and the cheapest value for a weight.

Source: Chou, Lookabaugh and Gray, "Entropy-constrained vector quantization", IEEE Trans. ASSP 37 (1989).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np


class Price(NamedTuple):
    """What an assignment costs besides its error.

    Attributes:
        per_bit: In units of the squared error.
        bits: float64 (values,): of an index to each value of the palette.
    """

    per_bit: float
    bits: np.ndarray


class Objective(Protocol):
    """A kernel that is to be assigned to a palette: its squared error, and how it is made small."""

    def assign(self, palette: np.ndarray, price: Price) -> np.ndarray:
        """Returns an index of the palette for each weight, int64 (groups, rows, columns)."""

    def squared_error(self, values: np.ndarray) -> float:
        """Returns the squared error of values in place of the weights, float64 (groups, rows, columns)."""

    def best_values(self, assigned: np.ndarray, count: int) -> np.ndarray:
        """Returns the values with the least squared error for an assignment; NaN where nothing is assigned."""


def cheapest(targets: np.ndarray, weight: np.ndarray, palette: np.ndarray, price: Price) -> np.ndarray:
    """Returns the index of the cheapest value for each target, int64 in the targets' shape.

    Args:
        targets: float64, any shape.
        weight: float64, broadcasts to it: what a squared error costs.
        palette: float64 (values,).
        price: Of the bits.
    """
    cost = weight[..., None] * (targets[..., None] - palette) ** 2 + price.per_bit * price.bits
    found: np.ndarray = cost.argmin(axis=-1)
    return found


def entropy(assigned: np.ndarray, count: int) -> float:
    """Returns the entropy of indices, in bits.

    Args:
        assigned: Indices, any shape, not empty.
        count: Number of values that they may have.
    """
    shares = np.bincount(assigned.reshape(-1), minlength=count) / assigned.size
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum())


def ideal_bits(assigned: np.ndarray, count: int) -> np.ndarray:
    """Returns the bits of each index, float64 (values,); those of half an occurrence where there is none.

    Args:
        assigned: Indices, any shape, not empty.
        count: Number of values that they may have.
    """
    counts = np.bincount(assigned.reshape(-1), minlength=count)
    found: np.ndarray = -np.log2(np.maximum(counts, 0.5) / assigned.size)
    return found
