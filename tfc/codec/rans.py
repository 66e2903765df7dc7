"""Interleaved range asymmetric numeral systems (rANS): symbols with given frequencies as bits. NumPy alone.

Source: Duda, "Asymmetric numeral systems" (arXiv 1311.2540); Giesen, "Interleaved entropy coders" (arXiv 1402.3392).

Symbol k is coded by lane k mod lanes. A lane's state lies in [2^16, 2^32) and starts at 2^16; where the next symbol
would push it out, its low 16 bits become a word of the stream. Frequencies of a context add up to 2^12. The decoder
starts at the states the encoder ended with, reads symbols forwards, and has to arrive at 2^16 in every lane: a check
for free.
"""

from __future__ import annotations

import numpy as np

FREQUENCY_BITS = 12
FREQUENCY_TOTAL = 1 << FREQUENCY_BITS
STATE_LOW = 1 << 16
"""Smallest state of a lane, and the state that encoding starts and decoding ends with."""

MIN_LANES, MAX_LANES = 4, 1024


def lanes_for(num_symbols: int) -> int:
    """Returns the number of lanes for a stream: a power of two that grows with it, 4 to 1024.

    Each lane costs 4 bytes; each step of the coder handles one symbol per lane.

    Args:
        num_symbols: Length of the stream.
    """
    return max(MIN_LANES, min(MAX_LANES, 1 << max(0, (num_symbols // 1200).bit_length() - 1)))


def _in_lanes(values: np.ndarray, lanes: int) -> np.ndarray:
    steps = -(-len(values) // lanes)
    return np.pad(values.astype(np.int64), (0, steps * lanes - len(values))).reshape(steps, lanes)


def encode(
    symbols: np.ndarray, contexts: np.ndarray, frequencies: np.ndarray, lanes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Encodes a stream.

    Args:
        symbols: int (num_symbols,), each with a frequency over 0 in its context.
        contexts: int (num_symbols,), rows of `frequencies`.
        frequencies: int (contexts, alphabet); each row adds up to 4096.
        lanes: Number of lanes.

    Returns:
        States, uint32 (lanes,), and words, uint16, in the order of decoding.
    """
    table = np.asarray(frequencies, np.int64)
    starts = np.cumsum(table, axis=1) - table
    symbol, context = _in_lanes(symbols, lanes), _in_lanes(contexts, lanes)
    present = np.arange(symbol.size).reshape(symbol.shape) < len(symbols)
    # A symbol with the whole range costs nothing and changes no state: it fills up the last step.
    frequency = np.where(present, table[context, symbol], FREQUENCY_TOTAL)
    start = np.where(present, starts[context, symbol], 0)

    state = np.full(lanes, STATE_LOW, np.int64)
    words = np.zeros(symbol.shape, np.uint16)
    written = np.zeros(symbol.shape, bool)
    for step in range(len(symbol) - 1, -1, -1):
        full = state >= frequency[step] << (32 - FREQUENCY_BITS)
        words[step], written[step] = state & 0xFFFF, full
        state = np.where(full, state >> 16, state)
        quotient, remainder = np.divmod(state, frequency[step])
        state = (quotient << FREQUENCY_BITS) + remainder + start[step]
    return state.astype(np.uint32), words[written]


def decode(
    states: np.ndarray, words: np.ndarray, contexts: np.ndarray, frequencies: np.ndarray
) -> tuple[np.ndarray, int, bool]:
    """Decodes a stream; never fails, whatever the words are.

    Args:
        states: uint32 (lanes,).
        words: uint16; there may be more than the stream has, words beyond the end count as 0.
        contexts: int (num_symbols,), rows of `frequencies`.
        frequencies: int (contexts, alphabet); each row adds up to 4096.

    Returns:
        Symbols, int64 (num_symbols,), the number of words used, and whether the states ended as an encoder starts.
    """
    lanes = len(states)
    table = np.asarray(frequencies, np.int64)
    starts = np.cumsum(table, axis=1) - table
    symbols_of_row = np.tile(np.arange(table.shape[1], dtype=np.uint16), len(table))
    symbol_at = np.repeat(symbols_of_row, table.reshape(-1)).reshape(len(table), FREQUENCY_TOTAL)
    context = _in_lanes(contexts, lanes)
    present = np.arange(context.size).reshape(context.shape) < len(contexts)
    stream = np.concatenate([words.astype(np.int64), np.zeros(lanes, np.int64)])

    state, position = states.astype(np.int64), 0
    symbols = np.zeros(context.shape, np.int64)
    for step in range(len(context)):
        slot = state & (FREQUENCY_TOTAL - 1)
        symbol = symbols[step] = symbol_at[context[step], slot]
        row = context[step]
        moved = table[row, symbol] * (state >> FREQUENCY_BITS) + slot - starts[row, symbol]
        state = np.where(present[step], moved, state)
        empty = state < STATE_LOW
        order = np.minimum(position + np.cumsum(empty) - 1, len(stream) - 1)
        state = np.where(empty, (state << 16) | stream[order], state)
        position += int(empty.sum())
    sound = position <= len(words) and bool((state == STATE_LOW).all() and (states >= STATE_LOW).all())
    return symbols.reshape(-1)[: len(contexts)], position, sound
