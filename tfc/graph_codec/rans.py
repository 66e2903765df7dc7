"""The coder of `tfc.codec.rans` in TensorFlow ops: the same states and words, inside any graph."""

from __future__ import annotations

import tensorflow as tf

from tfc.codec.rans import FREQUENCY_BITS, FREQUENCY_TOTAL, STATE_LOW

_WORD = 1 << 16


_UNROLLED = 8
"""Steps of the coder per turn of the graph's loop, whose own bookkeeping costs as much as two of them."""


def _turns(num_symbols: int, lanes: int) -> int:
    return -(-num_symbols // (lanes * _UNROLLED))


def _in_turns(values: tf.Tensor, num_symbols: int, lanes: int, filler: int) -> tf.Tensor:
    """Values by turn, step and lane, int64 (turns, steps, lanes), filled up at the end."""
    turns = _turns(num_symbols, lanes)
    missing = turns * _UNROLLED * lanes - num_symbols
    padded = tf.pad(tf.cast(values, tf.int64), [[0, missing]], constant_values=filler)
    return tf.reshape(padded, [turns, _UNROLLED, lanes])


def encode(
    symbols: tf.Tensor, contexts: tf.Tensor, frequencies: tf.Tensor, num_symbols: int, lanes: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Encodes a stream; see `tfc.codec.rans.encode`.

    Args:
        symbols: int (num_symbols,).
        contexts: int (num_symbols,).
        frequencies: int64 (contexts, alphabet); each row adds up to 4096.
        num_symbols: Length of the stream.
        lanes: Number of lanes.

    Returns:
        States, int64 (lanes,), and words, int64 (words,), each below 2^16.
    """
    starts = tf.cumsum(frequencies, axis=1, exclusive=True)
    places = tf.stack([tf.cast(contexts, tf.int64), tf.cast(symbols, tf.int64)], axis=-1)
    # A symbol with the whole range costs nothing and changes no state: it fills up the last turn.
    frequency = _in_turns(tf.gather_nd(frequencies, places), num_symbols, lanes, FREQUENCY_TOTAL)
    start = _in_turns(tf.gather_nd(starts, places), num_symbols, lanes, 0)
    turns = _turns(num_symbols, lanes)

    def body(turn: tf.Tensor, state: tf.Tensor, words: tf.TensorArray) -> tuple[tf.Tensor, tf.Tensor, tf.TensorArray]:
        written: list[tf.Tensor] = []
        steps = zip(tf.unstack(tf.gather(frequency, turn)), tf.unstack(tf.gather(start, turn)), strict=True)
        for divisor, first in reversed(list(steps)):
            full = state >= divisor * (1 << (32 - FREQUENCY_BITS))
            written.insert(0, tf.where(full, tf.bitwise.bitwise_and(state, _WORD - 1), -1))
            state = tf.where(full, tf.bitwise.right_shift(state, 16), state)
            quotient = state // divisor
            state = state + quotient * (FREQUENCY_TOTAL - divisor) + first
        return turn - 1, state, words.write(turn, tf.stack(written))

    words = tf.TensorArray(tf.int64, turns, element_shape=[_UNROLLED, lanes])
    state = tf.fill([lanes], tf.constant(STATE_LOW, tf.int64))
    _, state, words = tf.while_loop(lambda turn, *_: turn >= 0, body, (turns - 1, state, words))
    flat = tf.reshape(words.stack(), [-1])
    return state, tf.boolean_mask(flat, flat >= 0)


_FREQUENCY_AT, _OFFSET_AT = 16, 32
_SYMBOL_MASK = (1 << _FREQUENCY_AT) - 1


def _decoding_table(frequencies: tf.Tensor) -> tf.Tensor:
    """What the decoder looks up: symbol, frequency and offset within the symbol's slots, packed into one number.

    Args:
        frequencies: int64 (contexts, alphabet); each row adds up to 4096.

    Returns:
        int64 (contexts + 1, 4096); the last row is of a certain symbol 0.
    """
    alphabet = frequencies.shape[1]
    certain = FREQUENCY_TOTAL * tf.one_hot([0], alphabet, dtype=tf.int64)
    frequencies = tf.concat([frequencies, certain], axis=0)
    starts = tf.cumsum(frequencies, axis=1, exclusive=True)
    count = tf.shape(frequencies)[0]
    # Symbols by slot: how many of the later symbols have begun. A symbol without slots begins where the next one does.
    begins = tf.cast(tf.minimum(starts[:, 1:], FREQUENCY_TOTAL), tf.int32)
    cells = tf.reshape(tf.range(count)[:, None] * (FREQUENCY_TOTAL + 1) + begins, [-1])
    begun = tf.math.bincount(cells, minlength=count * (FREQUENCY_TOTAL + 1), maxlength=count * (FREQUENCY_TOTAL + 1))
    symbols = tf.cumsum(tf.reshape(begun, [count, FREQUENCY_TOTAL + 1])[:, :-1], axis=1)
    offset = tf.range(FREQUENCY_TOTAL, dtype=tf.int64) - tf.gather(starts, symbols, batch_dims=1)
    packed = tf.gather(frequencies * (1 << _FREQUENCY_AT), symbols, batch_dims=1) + offset * (1 << _OFFSET_AT)
    return packed + tf.cast(symbols, tf.int64)


def decode(
    states: tf.Tensor, words: tf.Tensor, contexts: tf.Tensor, frequencies: tf.Tensor, num_symbols: int, lanes: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Decodes a stream; see `tfc.codec.rans.decode`. Total: as many steps as symbols, whatever the words are.

    Args:
        states: int64 (lanes,).
        words: int64 (words,); there may be more than the stream has, words beyond the end count as 0.
        contexts: int (num_symbols,).
        frequencies: int64 (contexts, alphabet); each row adds up to 4096.
        num_symbols: Length of the stream.
        lanes: Number of lanes.

    Returns:
        Symbols, int32 (num_symbols,), the number of words used, an int32 scalar, and a bool scalar: whether the states
        ended as an encoder starts.
    """
    entries = tf.reshape(_decoding_table(frequencies), [-1])
    # The places that fill up the last turn use the last row, in which symbol 0 is certain: it changes no state.
    certain = tf.shape(frequencies, out_type=tf.int64)[0]
    rows = _in_turns(contexts, num_symbols, lanes, -1)
    rows = tf.where(rows < 0, certain, rows) * FREQUENCY_TOTAL
    turns = _turns(num_symbols, lanes)
    num_words = tf.size(words)
    # One zero before the words: the first of them is number 1, and a lane that takes none reads what it likes.
    stream = tf.pad(words, [[1, lanes]])

    def body(
        turn: tf.Tensor, state: tf.Tensor, position: tf.Tensor, found: tf.TensorArray
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.TensorArray]:
        used = []
        for row in tf.unstack(tf.gather(rows, turn)):
            entry = tf.gather(entries, row + tf.bitwise.bitwise_and(state, FREQUENCY_TOTAL - 1))
            used.append(entry)
            frequency = tf.bitwise.bitwise_and(tf.bitwise.right_shift(entry, _FREQUENCY_AT), 2 * FREQUENCY_TOTAL - 1)
            state = frequency * tf.bitwise.right_shift(state, FREQUENCY_BITS)
            state += tf.bitwise.right_shift(entry, _OFFSET_AT)
            empty = state < STATE_LOW
            count = position + tf.cumsum(tf.cast(empty, tf.int32))
            word = tf.gather(stream, tf.minimum(count, num_words + lanes))
            state = tf.where(empty, state * _WORD + word, state)
            position = tf.gather(count, lanes - 1)
        return turn + 1, state, position, found.write(turn, tf.stack(used))

    found = tf.TensorArray(tf.int64, turns, element_shape=[_UNROLLED, lanes])
    start = (tf.constant(0), tf.cast(states, tf.int64), tf.constant(0), found)
    _, state, position, found = tf.while_loop(lambda turn, *_: turn < turns, body, start)
    symbols = tf.bitwise.bitwise_and(tf.reshape(found.stack(), [-1])[:num_symbols], _SYMBOL_MASK)
    ended = tf.equal(state, STATE_LOW) & (tf.cast(states, tf.int64) >= STATE_LOW)
    return tf.cast(symbols, tf.int32), position, (position <= num_words) & tf.reduce_all(ended)
