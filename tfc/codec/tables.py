"""Frequency tables of the entropy coder: counts to one byte per symbol, bytes to frequencies. NumPy alone.

A frequency travels as an 8-bit float: codes below 16 stand for themselves, a code c from 16 upwards for
(8 + c mod 8) * 2^(c div 8 - 1). Both ends scale what the bytes say to a sum of 4096, in integers, so they agree.
"""

from __future__ import annotations

import numpy as np

from tfc.codec.rans import FREQUENCY_TOTAL

CODE_VALUES = np.array([code if code < 16 else (8 + code % 8) << (code // 8 - 1) for code in range(81)], dtype=np.int64)
"""Value of each code; the largest, 80, stands for 4096."""


def codes_of(counts: np.ndarray) -> np.ndarray:
    """Returns the bytes for a table of counts.

    Args:
        counts: int (contexts, alphabet), how often each symbol occurs.

    Returns:
        uint8 (contexts, alphabet); 0 exactly where the count is 0.
    """
    counts = counts.astype(np.int64)
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    wanted = np.maximum((2 * counts * FREQUENCY_TOTAL + total) // (2 * total), 1)
    codes = np.searchsorted(CODE_VALUES, wanted, side="right") - 1
    return np.where(counts > 0, codes, 0).astype(np.uint8)


def frequencies_of(codes: np.ndarray) -> np.ndarray:
    """Returns the frequencies that bytes stand for.

    Args:
        codes: uint8 (contexts, alphabet), each below 81.

    Returns:
        int64 (contexts, alphabet); each row adds up to 4096, and a symbol has 0 exactly where its code is 0 (a row
        of zeros gives its first symbol everything).
    """
    values = CODE_VALUES[codes]
    used = values > 0
    total = np.maximum(values.sum(axis=1, keepdims=True), 1)
    spare = FREQUENCY_TOTAL - used.sum(axis=1, keepdims=True)
    scaled = np.where(used, 1 + values * spare // total, 0)
    rows = np.arange(len(scaled))
    scaled[rows, scaled.argmax(axis=1)] += FREQUENCY_TOTAL - scaled.sum(axis=1)
    return scaled
