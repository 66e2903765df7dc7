"""What a kernel's inputs look like on calibration data: their means and second moments, summed over examples.

An error E of a kernel's weights changes the operator's outputs by E x. Its mean square, apart from the constant part
that a bias takes away, is E C E^T with the covariance C of the inputs x: the objective of OBQ and GPTQ (Frantar et al.,
arXiv 2208.11580 and 2210.17323), there without the means.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Moments:
    """Means, variances and covariances of the inputs of a kernel, in steps of the input's codes.

    Attributes:
        mean: float64 (groups, columns): mean of the input that each weight of a channel is multiplied by.
        variance: float64 (groups, columns).
        covariance: float64 (groups, columns, columns); None where it would be too large.
    """

    mean: np.ndarray
    variance: np.ndarray
    covariance: np.ndarray | None = None


class MomentsSum:
    """Sums patches of inputs up to moments."""

    def __init__(self, groups: int, columns: int, *, covariances: bool = True) -> None:
        """Starts with nothing.

        Args:
            groups: Groups of output channels that see the same inputs.
            columns: Weights of an output channel.
            covariances: Whether covariances are summed; else variances alone.
        """
        self.shape = groups, columns
        self._count = 0
        self._sum, self._squares = np.zeros((groups, columns)), np.zeros((groups, columns))
        self._products = np.zeros((groups, columns, columns)) if covariances else None

    def add(self, patches: np.ndarray) -> None:
        """Adds patches.

        Args:
            patches: float64 (patches, groups, columns), in steps of the input's codes, without its zero point.
        """
        self._count += len(patches)
        self._sum += patches.sum(axis=0)
        if self._products is None:
            self._squares += (patches**2).sum(axis=0)
        else:
            by_group = patches.transpose(1, 0, 2)
            self._products += by_group.transpose(0, 2, 1) @ by_group

    @property
    def moments(self) -> Moments:
        """The moments of all patches so far.

        Raises:
            ValueError: If there were none.
        """
        if not self._count:
            raise ValueError("no patches were added")
        mean = self._sum / self._count
        if self._products is None:
            return Moments(mean, np.maximum(self._squares / self._count - mean**2, 0.0))
        covariance = self._products / self._count - mean[:, :, None] * mean[:, None, :]
        return Moments(mean, np.maximum(np.einsum("gkk->gk", covariance), 0.0), covariance)
