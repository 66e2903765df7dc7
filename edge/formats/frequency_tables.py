"""Tables of frequencies for codes of one byte, and their short forms. NumPy alone, integers on the decoder's side.

`Palette` lists codes with their frequencies: kernels of few values. `Smooth` draws the logarithm of the frequencies by
straight lines between knots: kernels of many values, whose tables would take hundreds of bytes. Codes that are too rare
for a frequency of their own are escapes, and sent as they are.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from tfc.base.errors import ModelFileError
from tfc.codec.rans import FREQUENCY_TOTAL

ESCAPE = 256
"""The symbol after those of the 256 codes."""
ALPHABET = 257

_POSITIVE = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 112, 126, 127)
KNOTS = (-128, *(-place for place in reversed(_POSITIVE)), 0, *_POSITIVE)
_LEVELS_PER_OCTAVE = 8
_PARTS_PER_OCTAVE = 64
_WEIGHT_BITS = 14
_NEWTON_STEPS, _RIDGE, _LONGEST_STEP = 25, 1e-3, 2.0


class Palette(NamedTuple):
    """Codes and their frequencies.

    Attributes:
        codes: uint8 (codes,), ascending.
        frequencies: int64 (codes,), at least 1 each; they add up to 4096.
    """

    codes: np.ndarray
    frequencies: np.ndarray

    def to_bytes(self) -> bytes:
        """Returns the form that `read` reads."""
        frequencies = (self.frequencies - 1).astype("<u2").view(np.uint8).reshape(-1, 2)
        return bytes([len(self.codes) - 1]) + self.codes.tobytes() + frequencies.T.tobytes()

    @classmethod
    def read(cls, content: bytes, position: int) -> tuple[Palette, int]:
        """Reads a table, and returns it with the position behind it.

        Args:
            content: Bytes.
            position: Of the table.

        Raises:
            ModelFileError: If it is cut off, or adds up to something else.
        """
        count = content[position] + 1 if position < len(content) else 0
        part = np.frombuffer(content, np.uint8)[position + 1 : position + 1 + 3 * count]
        if not count or len(part) < 3 * count:
            raise ModelFileError("damaged: tables of codes are cut off")
        frequencies = part[count : 2 * count].astype(np.int64) + 256 * part[2 * count :].astype(np.int64) + 1
        if frequencies.sum() != FREQUENCY_TOTAL or len(np.unique(part[:count])) != count:
            raise ModelFileError("damaged: a table of codes is invalid")
        return cls(part[:count], frequencies), position + 1 + 3 * count

    def row(self) -> np.ndarray:
        """Returns the frequency of every symbol, int64 (257,)."""
        row = np.zeros(ALPHABET, np.int64)
        row[self.codes] = self.frequencies
        return row


class Smooth(NamedTuple):
    """Frequencies by knots.

    Attributes:
        levels: uint8 (knots,): eighths of octaves.
        escape: Frequency of the escape, from 1 to 256.
    """

    levels: np.ndarray
    escape: int

    def to_bytes(self) -> bytes:
        """Returns the form that `read` reads."""
        return bytes([self.escape - 1]) + self.levels.tobytes()

    @classmethod
    def read(cls, content: bytes, position: int) -> tuple[Smooth, int]:
        """Reads a table, and returns it with the position behind it.

        Args:
            content: Bytes.
            position: Of the table.

        Raises:
            ModelFileError: If it is cut off.
        """
        end = position + 1 + len(KNOTS)
        if end > len(content):
            raise ModelFileError("damaged: tables of frequencies are cut off")
        return cls(np.frombuffer(content, np.uint8)[position + 1 : end], content[position] + 1), end

    def row(self) -> np.ndarray:
        """Returns the frequency of every symbol, int64 (257,): the codes, taken as unsigned, and the escape."""
        parts = _interpolated(self.levels.astype(np.int64) * (_PARTS_PER_OCTAVE // _LEVELS_PER_OCTAVE))
        weights = _powers()[parts % _PARTS_PER_OCTAVE] << (parts // _PARTS_PER_OCTAVE)
        total = FREQUENCY_TOTAL - self.escape
        frequencies = (weights * total + weights.sum() // 2) // weights.sum()
        frequencies[frequencies.argmax()] += total - frequencies.sum()
        if frequencies.min() < 0:
            raise ModelFileError("damaged: a table of frequencies is invalid")
        return np.concatenate([np.roll(frequencies, -128), [self.escape]])


def _interpolated(levels: np.ndarray) -> np.ndarray:
    """Whole numbers on the lines between the knots, (256,), for the codes -128 to 127."""
    places, knots = np.arange(-128, 128), np.array(KNOTS)
    left = np.minimum(np.searchsorted(knots, places, side="right") - 1, len(knots) - 2)
    width, beyond = knots[left + 1] - knots[left], places - knots[left]
    found: np.ndarray = (levels[left] * (width - beyond) + levels[left + 1] * beyond) // width
    return found


@functools.cache
def _powers() -> np.ndarray:
    """2^(part / 64) in units of 2^-14, rounded down; by whole square roots, so that every machine has the same."""
    bits = 64
    root = 1 << bits + 1  # 2
    for _ in range(_PARTS_PER_OCTAVE.bit_length() - 1):
        root = math.isqrt(root << bits)
    powers = [1 << bits]
    for _ in range(_PARTS_PER_OCTAVE - 1):
        powers.append(powers[-1] * root >> bits)
    return np.array([power >> bits - _WEIGHT_BITS for power in powers], np.int64)


@functools.cache
def _hats() -> np.ndarray:
    """How much of each knot is in each code, float64 (256, knots)."""
    places = np.arange(-128, 128)
    return np.stack([np.interp(places, KNOTS, row) for row in np.eye(len(KNOTS))], axis=1)


def _with_escape(levels: np.ndarray, wanted: int) -> Smooth | None:
    """The table with the escape's frequency that is nearest to the wanted one among those that can be read.

    The frequencies of a flat distribution may all be rounded up, by more in all than the largest of them.
    """
    for escape in sorted(range(1, 257), key=lambda each: abs(each - wanted)):
        table = Smooth(levels, escape)
        try:
            table.row()
        except ModelFileError:
            continue
        return table
    return None


def smooth(codes: np.ndarray) -> Smooth | None:
    """Returns the likeliest table of its kind, found by Newton's method; None where rounding leaves none.

    Args:
        codes: uint8 (codes,), not empty.
    """
    counts = np.roll(np.bincount(codes, minlength=256), 128).astype(np.float64)
    hats, total = _hats(), counts.sum()
    wanted = hats.T @ counts
    heights = np.log((wanted + 0.1) / (hats.sum(axis=0) * total + 1))
    for _ in range(_NEWTON_STEPS):
        exponents = hats @ heights
        shares = np.exp(exponents - exponents.max())
        shares /= shares.sum()
        mean = hats.T @ shares
        slope = wanted / total - mean
        curvature = (hats * shares[:, None]).T @ hats - np.outer(mean, mean)
        step = np.linalg.solve(curvature + _RIDGE / total * np.eye(len(KNOTS)) + 1e-9 * np.eye(len(KNOTS)), slope)
        longest = np.abs(step).max()
        heights = heights + step * min(1.0, _LONGEST_STEP / longest if longest else 1.0)
    octaves = (heights - heights.max()) / math.log(2)
    levels = np.clip(np.round(octaves * _LEVELS_PER_OCTAVE) + 255, 0, 255).astype(np.uint8)
    table = _with_escape(levels, 1)
    if table is None:
        return None
    escapes = int((table.row()[codes] == 0).sum())
    return _with_escape(levels, int(np.clip(round(escapes / len(codes) * FREQUENCY_TOTAL), 1, 256)))


def palette(codes: np.ndarray) -> Palette:
    """Returns the table that lists the codes there are.

    Args:
        codes: uint8 (codes,), not empty.
    """
    values, counts = np.unique(codes, return_counts=True)
    return Palette(values, _frequencies(counts))


def _frequencies(counts: np.ndarray) -> np.ndarray:
    """Counts as 4096ths, each at least 1."""
    share = counts * (FREQUENCY_TOTAL / counts.sum())
    frequencies = np.maximum(np.floor(share).astype(np.int64), 1)
    while (surplus := int(frequencies.sum()) - FREQUENCY_TOTAL) != 0:
        # The symbol whose frequency can change by one at the least cost in bits.
        if surplus > 0:
            loss = np.where(frequencies > 1, counts * np.log2(frequencies / np.maximum(frequencies - 1, 1)), np.inf)
            frequencies[loss.argmin()] -= 1
        else:
            frequencies[(counts * np.log2((frequencies + 1) / frequencies)).argmax()] += 1
    return frequencies


def cost(codes: np.ndarray, table: Palette | Smooth) -> float:
    """Returns the bytes that codes take with a table, the table included.

    Args:
        codes: uint8 (codes,).
        table: Of either kind.
    """
    row = table.row()
    frequencies = row[codes]
    escaped = int((frequencies == 0).sum())
    bits = -np.log2(np.where(frequencies > 0, frequencies, row[ESCAPE]) / FREQUENCY_TOTAL).sum() if len(codes) else 0.0
    return float(bits) / 8 + escaped + len(table.to_bytes())
