"""Entropy coding of kernels of one-byte codes, the stream of packed files. NumPy alone.

A code's symbol is its rank among the kernel's distinct codes, in ascending order. Each kernel has a table of
frequencies of its own, sent beside the stream; the coder is that of the messages (`tfc.codec.rans`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tfc.base.errors import ModelFileError
from tfc.codec import rans
from tfc.codec.rans import FREQUENCY_TOTAL

_SYMBOLS_PER_LANE = 400
"""Symbols per lane: a lane costs 4 bytes, and a step of the decoder takes about as long as 300 more symbols in a
lane."""


class CodeStream(NamedTuple):
    """Coded kernels.

    Attributes:
        side: The decoder's tables: distinct codes and frequencies of each kernel.
        stream: States and words of the coder.
    """

    side: bytes
    stream: bytes


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


def _lanes(num_symbols: int) -> int:
    lanes = 1 << max(0, (num_symbols // _SYMBOLS_PER_LANE).bit_length() - 1)
    return max(rans.MIN_LANES, min(rans.MAX_LANES, lanes))


def encode(kernels: Sequence[np.ndarray]) -> CodeStream:
    """Encodes kernels.

    Args:
        kernels: uint8 (codes,) each, not empty; int8 codes are to be viewed as uint8.
    """
    if not kernels:
        return CodeStream(b"", b"")
    symbols, contexts, side = [], [], []
    table = np.zeros((len(kernels), 256), np.int64)
    for number, kernel in enumerate(kernels):
        codes, inverse, counts = np.unique(kernel, return_inverse=True, return_counts=True)
        table[number, : len(codes)] = _frequencies(counts)
        symbols.append(inverse.astype(np.int64))
        contexts.append(np.full(kernel.size, number, np.int64))
        frequencies = (table[number, : len(codes)] - 1).astype("<u2").view(np.uint8).reshape(-1, 2)
        side.append(bytes([len(codes) - 1]) + codes.tobytes() + frequencies.T.tobytes())
    stream = np.concatenate(symbols)
    states, words = rans.encode(stream, np.concatenate(contexts), table, _lanes(len(stream)))
    return CodeStream(b"".join(side), states.astype("<u4").tobytes() + words.astype("<u2").tobytes())


def decode(side: bytes, stream: bytes, sizes: Sequence[int]) -> tuple[list[np.ndarray], int]:
    """Decodes kernels.

    Args:
        side: `CodeStream.side`, possibly followed by other bytes.
        stream: States and words.
        sizes: Number of codes of each kernel.

    Returns:
        The kernels, uint8 (codes,), and the number of bytes read from `side`.

    Raises:
        ModelFileError: If the bytes are damaged.
    """
    if not sizes:
        if stream:
            raise ModelFileError("damaged: a stream without kernels")
        return [], 0
    table = np.zeros((len(sizes), 256), np.int64)
    codes, position = [], 0
    for number in range(len(sizes)):
        count = side[position] + 1 if position < len(side) else 0
        part = np.frombuffer(side, np.uint8, offset=position + 1)[: 3 * count] if count else np.zeros(0, np.uint8)
        if not count or len(part) < 3 * count:
            raise ModelFileError("damaged: tables of codes are cut off")
        table[number, :count] = part[count : 2 * count].astype(np.int64) + 256 * part[2 * count :].astype(np.int64) + 1
        codes.append(part[:count])
        position += 1 + 3 * count
    lanes = _lanes(sum(sizes))
    bad_tables = (table.sum(axis=1) != FREQUENCY_TOTAL).any()
    if bad_tables or len(stream) < 4 * lanes or len(stream) % 2:
        raise ModelFileError("damaged: the tables of frequencies or the stream are invalid")
    states = np.frombuffer(stream, "<u4", lanes)
    words = np.frombuffer(stream, "<u2", offset=4 * lanes)
    contexts = np.repeat(np.arange(len(sizes)), sizes)
    symbols, used, sound = rans.decode(states, words, contexts, table)
    if not sound or used != len(words):
        raise ModelFileError("damaged: the stream does not end where it should")
    ends = np.cumsum(sizes)
    kernels = [values[symbols[end - size : end]] for values, size, end in zip(codes, sizes, ends, strict=True)]
    return kernels, position
