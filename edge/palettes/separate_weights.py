"""Weights that are assigned each by itself, as in k-means: an error of one is not made good by another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.palettes.assignment import Price, cheapest


@dataclass(frozen=True)
class SeparateWeights:
    """An `edge.palettes.assignment.Objective`: the sum of each weight's squared error times what it costs.

    Attributes:
        weights: float64 (groups, rows, columns).
        cost: float64, the same shape: of a squared error of 1.
    """

    weights: np.ndarray
    cost: np.ndarray

    def assign(self, palette: np.ndarray, price: Price) -> np.ndarray:
        """Returns the cheapest value's index for each weight, int64 (groups, rows, columns).

        Args:
            palette: float64 (values,).
            price: Of the bits.
        """
        return cheapest(self.weights, self.cost, palette, price)

    def squared_error(self, values: np.ndarray) -> float:
        """Returns the squared error.

        Args:
            values: float64 (groups, rows, columns): what the weights become.
        """
        return float((self.cost * (self.weights - values) ** 2).sum())

    def best_values(self, assigned: np.ndarray, count: int) -> np.ndarray:
        """Returns the weighted mean of the weights of each index, float64 (values,); NaN where there is none.

        Args:
            assigned: Indices, int64 (groups, rows, columns).
            count: Number of values.
        """
        places = assigned.reshape(-1)
        mass = np.bincount(places, self.cost.reshape(-1), count)
        sums = np.bincount(places, (self.cost * self.weights).reshape(-1), count)
        return np.divide(sums, mass, out=np.full(count, np.nan), where=mass > 0)
