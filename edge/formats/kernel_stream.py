"""Entropy coding of kernels of one-byte codes, the stream of packed files since version 2. NumPy alone.

Each kernel is predicted from its neighbours where that pays (`edge.formats.neighbour_prediction`), and what is left is
coded with a table of frequencies of its own (`edge.formats.frequency_tables`) by the coder of the messages
(`tfc.codec.rans`). Beside the stream, each kernel has: a byte (bit 0: the table is a smooth one; bits 1 to 4: number
of lags); with lags, outer size and steps (4 bytes each), the lags (2 bytes each) and their weights (a byte each); the
table. The codes that escaped follow, in the order of the stream.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from edge.formats.frequency_tables import ALPHABET, ESCAPE, Palette, Smooth, cost, palette, smooth
from edge.formats.neighbour_prediction import MOST_LAGS, Prediction, fit, residuals, restore
from tfc.base.errors import ModelFileError
from tfc.codec import rans

_SYMBOLS_PER_LANE = 400
"""Symbols per lane: a lane costs 4 bytes, and a step of the decoder takes about as long as 300 more symbols in a
lane."""
_SIZES = struct.Struct("<II")
_MOST_STEPS_IN_ALL = 1 << 16
"""Steps of all predictions of a file, so that no small file keeps a device busy for long."""


class KernelStream(NamedTuple):
    """Coded kernels.

    Attributes:
        side: Predictions, tables and escaped codes.
        stream: States and words of the coder.
    """

    side: bytes
    stream: bytes


class _Coded(NamedTuple):
    """A kernel as it is coded."""

    prediction: Prediction
    table: Palette | Smooth
    left: np.ndarray

    @property
    def head(self) -> bytes:
        lags, weights = self.prediction.lags, self.prediction.weights
        flags = bytes([isinstance(self.table, Smooth) | len(lags) << 1])
        if not lags:
            return flags + self.table.to_bytes()
        sizes = _SIZES.pack(self.prediction.outer, self.prediction.steps)
        described = np.array(lags, "<u2").tobytes() + np.array(weights, np.int8).tobytes()
        return flags + sizes + described + self.table.to_bytes()

    @property
    def bytes_needed(self) -> float:
        return cost(self.left, self.table) + len(self.head) - len(self.table.to_bytes())


def lanes_for(num_symbols: int) -> int:
    """Returns the number of lanes of a stream.

    Args:
        num_symbols: Its length.
    """
    lanes = 1 << max(0, (num_symbols // _SYMBOLS_PER_LANE).bit_length() - 1)
    return max(rans.MIN_LANES, min(rans.MAX_LANES, lanes))


def _best(kernel: np.ndarray, most_steps: int) -> _Coded:
    """The cheapest of: with and without prediction, with either kind of table."""
    alone, fitted = Prediction(1, kernel.size, 1), fit(kernel.view(np.int8))
    choices = []
    for prediction in (alone, fitted) if fitted.lags and fitted.steps <= most_steps else (alone,):
        left = residuals(kernel.view(np.int8).reshape(-1), prediction)
        tables = (palette(left), smooth(left))
        choices += [_Coded(prediction, table, left) for table in tables if table is not None]
    return min(choices, key=lambda coded: coded.bytes_needed)


def encode(kernels: Sequence[np.ndarray]) -> KernelStream:
    """Encodes kernels.

    Args:
        kernels: uint8 each, in its own shape, not empty; int8 codes are to be viewed as uint8.
    """
    if not kernels:
        return KernelStream(b"", b"")
    coded, steps = [], _MOST_STEPS_IN_ALL
    for kernel in kernels:
        coded.append(_best(kernel, steps))
        steps -= coded[-1].prediction.steps if coded[-1].prediction.lags else 0
    table = np.stack([each.table.row() for each in coded])
    contexts = np.repeat(np.arange(len(coded)), [len(each.left) for each in coded])
    left = np.concatenate([each.left for each in coded])
    escaped = table[contexts, left] == 0
    symbols = np.where(escaped, ESCAPE, left.astype(np.int64))
    states, words = rans.encode(symbols, contexts, table, lanes_for(len(symbols)))
    side = b"".join(each.head for each in coded) + left[escaped].tobytes()
    return KernelStream(side, states.astype("<u4").tobytes() + words.astype("<u2").tobytes())


def _read_prediction(side: bytes, position: int, count: int, size: int) -> tuple[Prediction, int]:
    end = position + _SIZES.size + 3 * count
    if count > MOST_LAGS or end > len(side):
        raise ModelFileError("damaged: a prediction is cut off")
    outer, steps = _SIZES.unpack_from(side, position)
    lags = np.frombuffer(side, "<u2", count, position + _SIZES.size)
    weights = np.frombuffer(side, np.int8, count, position + _SIZES.size + 2 * count)
    if outer < 1 or steps < 1 or size % (outer * steps) or not ((lags >= 1) & (lags < steps)).all():
        raise ModelFileError("damaged: a prediction does not fit its kernel")
    return Prediction(outer, steps, size // (outer * steps), tuple(lags.tolist()), tuple(weights.tolist())), end


def decode(side: bytes, stream: bytes, sizes: Sequence[int]) -> list[np.ndarray]:
    """Decodes kernels.

    Args:
        side: `KernelStream.side`.
        stream: States and words.
        sizes: Number of codes of each kernel.

    Returns:
        The kernels, uint8 (codes,).

    Raises:
        ModelFileError: If the bytes are damaged.
    """
    if not sizes:
        if stream or side:
            raise ModelFileError("damaged: a stream without kernels")
        return []
    table = np.zeros((len(sizes), ALPHABET), np.int64)
    predictions, position = [], 0
    for number, size in enumerate(sizes):
        flags = side[position] if position < len(side) else 0xFF
        if flags >> 5:
            raise ModelFileError("damaged: the description of a kernel is invalid")
        prediction, position = Prediction(1, size, 1), position + 1
        if count := flags >> 1:
            prediction, position = _read_prediction(side, position, count, size)
        read: Palette | Smooth
        read, position = Smooth.read(side, position) if flags & 1 else Palette.read(side, position)
        table[number] = read.row()
        predictions.append(prediction)
    if sum(prediction.steps for prediction in predictions if prediction.lags) > _MOST_STEPS_IN_ALL:
        raise ModelFileError("not plausible: the predictions of its kernels take too many steps")
    lanes = lanes_for(sum(sizes))
    if len(stream) < 4 * lanes or len(stream) % 2:
        raise ModelFileError("damaged: the stream is cut off")
    states, words = np.frombuffer(stream, "<u4", lanes), np.frombuffer(stream, "<u2", offset=4 * lanes)
    symbols, used, sound = rans.decode(states, words, np.repeat(np.arange(len(sizes)), sizes), table)
    escaped = symbols == ESCAPE
    if not sound or used != len(words) or int(escaped.sum()) != len(side) - position:
        raise ModelFileError("damaged: the stream does not end where it should")
    left = symbols.astype(np.uint8)
    left[escaped] = np.frombuffer(side, np.uint8, offset=position)
    ends = np.cumsum(sizes)
    return [
        restore(left[end - size : end], prediction)
        for prediction, size, end in zip(predictions, sizes, ends, strict=True)
    ]
