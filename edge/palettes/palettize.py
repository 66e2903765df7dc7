"""A kernel's codes in a palette: values and assignment found in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from edge.palettes.assignment import Objective, Price, entropy, ideal_bits
from edge.palettes.compensated_weights import CompensatedWeights, damped
from edge.palettes.scalar_clusters import best_palette
from edge.palettes.second_moments import Moments
from edge.palettes.separate_weights import SeparateWeights


@dataclass(frozen=True)
class PaletteMethod:
    """How palettes are made; every step can be left out, for an ablation.

    Attributes:
        weighted: Whether an error counts by the variance of the input that it is multiplied by, and by its channel's
            scale.
        compensated: Whether errors of one column of weights are compensated by the next ones.
        bias_correction: Whether the mean error of an output is taken away by its bias.
        rounds: How often values and assignment are found in turn.

    Examples:
        >>> import edge
        >>> plain_k_means = edge.PaletteMethod(weighted=False, compensated=False, bias_correction=False)
    """

    weighted: bool = True
    compensated: bool = True
    bias_correction: bool = True
    rounds: int = 4


class Palettized(NamedTuple):
    """A kernel in a palette.

    Attributes:
        codes: int8 (groups, rows, columns).
        squared_error: Of the outputs, times importance, on the calibration data.
        error: The same as a share of what the kernel adds to the outputs' variance.
        bits: Entropy of a code, in bits.
    """

    codes: np.ndarray
    squared_error: float
    error: float
    bits: float


def _exact(weights: np.ndarray, moments: Moments | None, importance: np.ndarray) -> Objective:
    """What errors cost on the calibration data."""
    if moments is not None and moments.covariance is not None:
        return CompensatedWeights(weights, moments.covariance, importance)
    variance = np.ones((len(weights), weights.shape[2])) if moments is None else moments.variance
    return SeparateWeights(weights, importance[:, :, None] * variance[:, None, :])


def palettize(
    weights: np.ndarray,
    moments: Moments | None,
    importance: np.ndarray,
    clusters: int,
    price_per_bit: float = 0.0,
    method: PaletteMethod | None = None,
) -> Palettized:
    """Gives a kernel a palette.

    Args:
        weights: int8 (groups, rows, columns): codes, a row per output channel.
        moments: Of the inputs; None where nothing is known of them.
        importance: float64 (groups, rows): how much a squared error of a channel's output counts, such as the square of
            its scale.
        clusters: Largest number of values.
        price_per_bit: What a bit of the entropy-coded assignment costs, in units of the squared error.
        method: The steps.

    Returns:
        The best of all rounds by squared error and price.
    """
    method = method or PaletteMethod()
    exact_weights = weights.astype(np.float64)
    spread = np.ones((len(weights), weights.shape[2]))
    if method.weighted and moments is not None:
        # An input that never varied in the calibration data may do so later.
        spread = moments.variance + 1e-6 * (float(moments.variance.mean()) or 1.0)
    cost = np.ones(weights.shape)
    if method.weighted:
        cost = importance[:, :, None] * spread[:, None, :]
    objective: Objective = SeparateWeights(exact_weights, cost)
    if method.compensated and moments is not None and moments.covariance is not None:
        objective = CompensatedWeights(exact_weights, damped(moments.covariance), importance)
    palette = best_palette(weights, cost, clusters)
    first = SeparateWeights(exact_weights, cost).assign(palette, Price(0.0, np.zeros(len(palette))))
    bits = ideal_bits(first, len(palette))
    best: tuple[float, np.ndarray] | None = None
    for _ in range(max(1, method.rounds)):
        assigned = objective.assign(palette, Price(price_per_bit, bits))
        values = objective.best_values(assigned, len(palette))
        rounded = np.clip(np.round(np.where(np.isnan(values), palette, values)), -127, 127)
        palette = min((palette, rounded), key=lambda each: objective.squared_error(each[assigned]))
        found = palette[assigned]
        total = objective.squared_error(found) + price_per_bit * entropy(assigned, len(palette)) * assigned.size
        if best is not None and total >= best[0] * (1 - 1e-6):
            break
        best, bits = (total, found), ideal_bits(assigned, len(palette))
    assert best is not None
    return _described(best[1].astype(np.int8), _exact(exact_weights, moments, importance))


def _described(codes: np.ndarray, exact: Objective) -> Palettized:
    error, whole = exact.squared_error(codes.astype(np.float64)), exact.squared_error(np.zeros(codes.shape))
    distinct, indices = np.unique(codes, return_inverse=True)
    return Palettized(codes, error, error / whole if whole else 0.0, entropy(indices, len(distinct)))
