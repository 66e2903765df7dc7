"""Kernels predicted from their neighbours: adjacent taps, frequencies or positions have similar weights. NumPy alone.

A kernel is seen as (outer, steps, inner). The code at step s is predicted as a weighted sum of those at the steps
s - lag of the same outer and inner place, codes before the first step counting as 0; what is left, modulo 256, is what
the entropy coder gets. Weights are 64ths, and everything is computed in integers, so that both sides agree.

Source: linear prediction as in lossless audio coding (Robinson, "SHORTEN", 1994; ISO/IEC 14496-3 subpart 11), with the
lags chosen one after the other by what they explain.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np

MOST_LAGS = 8
MOST_STEPS = 1024
"""Of a kernel: each is a call of NumPy for the decoder."""
_SAMPLE = 200_000
"""Codes that a prediction is fitted to."""
_SHIFT = 6
_FIXED_LAGS = (1, 2, 3, 4, 8, 16, 32, 64, 128, 256)
_MOST_CANDIDATES = 24
_LEAST_BYTES_SAVED = 4
"""A lag costs three bytes."""


class Prediction(NamedTuple):
    """How a kernel is predicted.

    Attributes:
        outer: Size of the axes before those that are stepped through.
        steps: Size of these, at least 1.
        inner: Size of the axes after them.
        lags: Steps back, at most `MOST_LAGS`, each from 1 to `steps` - 1; none for no prediction.
        weights: Of each lag, in 64ths, from -128 to 127.
    """

    outer: int
    steps: int
    inner: int
    lags: tuple[int, ...] = ()
    weights: tuple[int, ...] = ()


def _views(shape: tuple[int, ...]) -> list[tuple[int, int, int, tuple[int, ...]]]:
    """The ways to step through adjacent axes: outer, steps, inner, and the lags of neighbours along these."""
    sizes = [size for size in shape if size > 1]
    found = {}
    for first, last in itertools.combinations(range(len(sizes) + 1), 2):
        outer, steps, inner = (math.prod(sizes[part]) for part in (slice(first), slice(first, last), slice(last, None)))
        found[outer, steps, inner] = tuple(math.prod(sizes[start:last]) for start in range(first + 1, last))
    return [(*view, lags) for view, lags in found.items()]


def _lags(steps: int, strides: tuple[int, ...]) -> list[int]:
    near = {place for stride in strides for place in (stride, stride + 1, 2 * stride)}
    return sorted(lag for lag in {*_FIXED_LAGS, *near} if lag < steps)[:_MOST_CANDIDATES]


def _chosen(values: np.ndarray, lags: list[int]) -> tuple[float, list[int], np.ndarray]:
    """Mean square of what is left, the lags that are worth their bytes, and their weights.

    Args:
        values: float64 (outer, steps, inner).
        lags: Candidates.
    """
    shifted = np.zeros((len(lags), values.size))
    for row, lag in zip(shifted, lags, strict=True):
        row.reshape(values.shape)[:, lag:] = values[:, :-lag]
    gram, moments, energy = shifted @ shifted.T, shifted @ values.reshape(-1), float((values**2).sum())
    chosen: list[int] = []
    weights, left = np.zeros(0), energy
    while len(chosen) < MOST_LAGS:
        best: tuple[float, int, np.ndarray] | None = None
        for number in set(range(len(lags))) - set(chosen):
            those = [*chosen, number]
            solution = np.linalg.lstsq(gram[np.ix_(those, those)], moments[those], rcond=None)[0]
            remains = energy - float(moments[those] @ solution)
            if best is None or remains < best[0]:
                best = remains, number, solution
        if best is None or values.size / 16 * math.log2(left / max(best[0], 1e-9)) < _LEAST_BYTES_SAVED:
            break
        left, number, weights = best
        chosen.append(number)
    return left, [lags[number] for number in chosen], weights


def _sample(values: np.ndarray) -> np.ndarray:
    """Whole runs of steps of a kernel (outer, steps, inner), float64, no more of them than are needed."""
    _, steps, inner = values.shape
    outer = max(1, _SAMPLE // (steps * inner))
    return values[:outer, :, : max(1, _SAMPLE // (outer * steps))].astype(np.float64)


def fit(kernel: np.ndarray) -> Prediction:
    """Returns the prediction that leaves least; one without lags where none is worth its bytes.

    Args:
        kernel: int8, its own shape.
    """
    best, least = Prediction(1, kernel.size, 1), 1.0
    for outer, steps, inner, strides in _views(kernel.shape):
        lags = _lags(steps, strides)
        values = _sample(kernel.reshape(outer, steps, inner))
        energy = float((values**2).sum())
        if not lags or steps > MOST_STEPS or not energy:
            continue
        left, chosen, weights = _chosen(values, lags)
        if chosen and left < least * energy:
            rounded = np.clip(np.round(weights * (1 << _SHIFT)), -128, 127).astype(int).tolist()
            best, least = Prediction(outer, steps, inner, tuple(chosen), tuple(rounded)), left / energy
    return best


def _history(prediction: Prediction) -> np.ndarray:
    """Codes by step, with zeros before the first one: int32 (largest lag + steps, outer * inner)."""
    depth = max(prediction.lags)
    return np.zeros((depth + prediction.steps, prediction.outer * prediction.inner), np.int32)


def _by_step(kernel: np.ndarray, prediction: Prediction) -> np.ndarray:
    outer, steps, inner, *_ = prediction
    return np.moveaxis(kernel.reshape(outer, steps, inner), 1, 0).reshape(steps, outer * inner)


def _as_kernel(by_step: np.ndarray, prediction: Prediction) -> np.ndarray:
    outer, steps, inner, *_ = prediction
    return np.moveaxis(by_step.reshape(steps, outer, inner), 0, 1).reshape(-1)


def _predicted(before: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Predictions, int32 (..., places), from codes (lags, ..., places)."""
    weighted = np.tensordot(weights, before, axes=(0, 0))
    return np.clip((weighted + (1 << (_SHIFT - 1))) >> _SHIFT, -128, 127)


def residuals(kernel: np.ndarray, prediction: Prediction) -> np.ndarray:
    """Returns what the prediction leaves, modulo 256, uint8 (codes,) in the kernel's order.

    Args:
        kernel: int8 (codes,).
        prediction: For a kernel of this size.
    """
    if not prediction.lags:
        return kernel.view(np.uint8).reshape(-1)
    history, depth = _history(prediction), max(prediction.lags)
    history[depth:] = _by_step(kernel, prediction)
    before = np.stack([history[depth - lag : len(history) - lag] for lag in prediction.lags])
    left = history[depth:] - _predicted(before, np.array(prediction.weights, np.int32))
    return _as_kernel((left & 0xFF).astype(np.uint8), prediction)


def restore(left: np.ndarray, prediction: Prediction) -> np.ndarray:
    """Undoes `residuals`: returns the codes, uint8 (codes,).

    Args:
        left: uint8 (codes,).
        prediction: As it was then.
    """
    if not prediction.lags:
        return left
    history, depth = _history(prediction), max(prediction.lags)
    steps = _by_step(left, prediction).astype(np.int32)
    places, weights = depth - np.array(prediction.lags), np.array(prediction.weights, np.int32)
    for step, row in enumerate(steps):
        code = (row + _predicted(history[places + step], weights)) & 0xFF
        history[depth + step] = (code ^ 0x80) - 0x80  # as a signed number
    return _as_kernel((history[depth:] & 0xFF).astype(np.uint8), prediction)
