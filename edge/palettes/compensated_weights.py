"""Weights that are assigned column by column: what one column's errors add is taken from the next ones.

Sources: Frantar, Singh and Alistarh, "Optimal Brain Compression" (arXiv 2208.11580); Frantar et al., "GPTQ" (arXiv
2210.17323), whose factor of the inverse is used here. After the pass, weights are assigned anew one column at a time,
all others given (coordinate descent).

The squared error of a kernel W with values Q is the sum over output channels of importance x (W - Q) C (W - Q)^T, with
the covariance C of the inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edge.palettes.assignment import Price, cheapest

DAMPING = 0.01
"""Of the mean variance of an input, added to all variances: calibration data do not show everything."""

_RIDGE = 1e-9


def damped(covariance: np.ndarray) -> np.ndarray:
    """Returns covariances that can be inverted.

    Args:
        covariance: float64 (groups, columns, columns).
    """
    columns = covariance.shape[-1]
    level = np.einsum("gkk->g", covariance) / columns
    overall = float(level.mean()) or 1.0
    added = DAMPING * np.maximum(level, 1e-3 * overall) + _RIDGE * overall
    return covariance + added[:, None, None] * np.eye(columns)


@dataclass(frozen=True)
class CompensatedWeights:
    """An `edge.palettes.assignment.Objective`.

    Attributes:
        weights: float64 (groups, rows, columns): codes, a row per output channel.
        covariance: float64 (groups, columns, columns), damped.
        importance: float64 (groups, rows): how much a squared error of the channel's output counts.
    """

    weights: np.ndarray
    covariance: np.ndarray
    importance: np.ndarray

    @cached_property
    def _factor(self) -> np.ndarray:
        """The upper triangular U of each group with U^T U = the inverse, as GPTQ uses it."""
        found: np.ndarray = np.linalg.cholesky(np.linalg.inv(self.covariance)).transpose(0, 2, 1)
        return found

    def assign(self, palette: np.ndarray, price: Price) -> np.ndarray:
        """Returns indices of the palette, int64 (groups, rows, columns).

        Args:
            palette: float64 (values,).
            price: Of the bits.
        """
        left, factor = self.weights.copy(), self._factor
        assigned = np.empty(left.shape, np.int64)
        for column in range(left.shape[2]):
            diagonal = factor[:, column, column, None]
            targets = left[:, :, column]
            found = cheapest(targets, self.importance / diagonal**2, palette, price)
            assigned[:, :, column] = found
            errors = (targets - palette[found]) / diagonal
            left[:, :, column + 1 :] -= errors[:, :, None] * factor[:, None, column, column + 1 :]
        return self._descended(assigned, palette, price)

    def _descended(self, assigned: np.ndarray, palette: np.ndarray, price: Price) -> np.ndarray:
        """Assigns every weight once more, the others given: the objective does not rise."""
        errors = self.weights - palette[assigned]
        for column in range(errors.shape[2]):
            covariance = self.covariance[:, column]
            variance = covariance[:, column, None]
            others = (errors @ covariance[:, :, None])[:, :, 0] - variance * errors[:, :, column]
            targets = self.weights[:, :, column] + others / variance
            found = cheapest(targets, self.importance * variance, palette, price)
            assigned[:, :, column] = found
            errors[:, :, column] = self.weights[:, :, column] - palette[found]
        return assigned

    def squared_error(self, values: np.ndarray) -> float:
        """Returns the squared error.

        Args:
            values: float64 (groups, rows, columns): what the weights become.
        """
        errors = self.weights - values
        return float((self.importance * ((errors @ self.covariance) * errors).sum(axis=2)).sum())

    def best_values(self, assigned: np.ndarray, count: int) -> np.ndarray:
        """Returns the values with the least squared error, float64 (values,); NaN where nothing is assigned.

        Args:
            assigned: Indices, int64 (groups, rows, columns).
            count: Number of values.
        """
        system, wanted = np.zeros((count, count)), np.zeros(count)
        for covariance, weights, indices, importance in zip(
            self.covariance, self.weights, assigned, self.importance, strict=True
        ):
            seen = weights @ covariance
            for row, places, weight in zip(seen, indices, importance, strict=True):
                members = np.zeros((len(places), count))
                members[np.arange(len(places)), places] = 1.0
                system += weight * (members.T @ (covariance @ members))
                wanted += weight * (row @ members)
        used = np.bincount(assigned.reshape(-1), minlength=count) > 0
        found = np.full(count, np.nan)
        some = system[np.ix_(used, used)]
        ridge = _RIDGE * np.trace(some) / len(some) * np.eye(len(some))
        found[used] = np.linalg.lstsq(some + ridge, wanted[used], rcond=None)[0]
        return found
