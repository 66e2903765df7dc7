"""The coder of `tfc.codec.rans` in TensorFlow ops: the same states and words, inside any graph."""

from __future__ import annotations

import tensorflow as tf

from tfc.codec.rans import FREQUENCY_BITS, FREQUENCY_TOTAL, STATE_LOW

_WORD = 1 << 16


def _in_lanes(values: tf.Tensor, num_symbols: int, lanes: int) -> tf.Tensor:
    steps = -(-num_symbols // lanes)
    padded = tf.pad(tf.cast(values, tf.int64), [[0, steps * lanes - num_symbols]])
    return tf.reshape(padded, [steps, lanes])


def _present(num_symbols: int, lanes: int) -> tf.Tensor:
    """True but for the places that fill up the last step."""
    steps = -(-num_symbols // lanes)
    return tf.reshape(tf.range(steps * lanes) < num_symbols, [steps, lanes])


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
    places = tf.stack([_in_lanes(contexts, num_symbols, lanes), _in_lanes(symbols, num_symbols, lanes)], axis=-1)
    present = _present(num_symbols, lanes)
    frequency = tf.where(present, tf.gather_nd(frequencies, places), FREQUENCY_TOTAL)
    start = tf.where(present, tf.gather_nd(starts, places), 0)
    steps = -(-num_symbols // lanes)

    def body(step: tf.Tensor, state: tf.Tensor, words: tf.TensorArray) -> tuple[tf.Tensor, tf.Tensor, tf.TensorArray]:
        divisor = frequency[step]
        full = state >= divisor * (1 << (32 - FREQUENCY_BITS))
        words = words.write(step, tf.where(full, state % _WORD, -1))
        state = tf.where(full, state // _WORD, state)
        quotient = state // divisor
        return step - 1, quotient * FREQUENCY_TOTAL + (state - quotient * divisor) + start[step], words

    words = tf.TensorArray(tf.int64, steps, element_shape=[lanes])
    state = tf.fill([lanes], tf.constant(STATE_LOW, tf.int64))
    _, state, words = tf.while_loop(lambda step, *_: step >= 0, body, (steps - 1, state, words))
    flat = tf.reshape(words.stack(), [-1])
    return state, tf.boolean_mask(flat, flat >= 0)


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
    ends = tf.cast(tf.cumsum(frequencies, axis=1), tf.int32)
    starts = tf.pad(ends, [[0, 0], [1, 0]])
    flat_starts = tf.cast(tf.reshape(starts, [-1]), tf.int64)
    width = starts.shape[1]
    row = _in_lanes(contexts, num_symbols, lanes)
    present = _present(num_symbols, lanes)
    num_words = tf.size(words)
    stream = tf.concat([words, tf.zeros([lanes], tf.int64)], axis=0)
    steps = -(-num_symbols // lanes)

    def body(
        step: tf.Tensor, state: tf.Tensor, position: tf.Tensor, found: tf.TensorArray
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.TensorArray]:
        slot = state % FREQUENCY_TOTAL
        here = row[step]
        passed = tf.gather(ends, here) <= tf.cast(slot, tf.int32)[:, None]
        symbol = tf.reduce_sum(tf.cast(passed, tf.int32), axis=1)
        found = found.write(step, symbol)
        place = here * width + tf.cast(symbol, tf.int64)
        start = tf.gather(flat_starts, place)
        moved = (tf.gather(flat_starts, place + 1) - start) * (state // FREQUENCY_TOTAL) + slot - start
        state = tf.where(present[step], moved, state)
        empty = state < STATE_LOW
        count = tf.cumsum(tf.cast(empty, tf.int32))
        order = tf.clip_by_value(position + count - 1, 0, num_words + lanes - 1)
        state = tf.where(empty, state * _WORD + tf.gather(stream, order), state)
        return step + 1, state, position + count[-1], found

    found = tf.TensorArray(tf.int32, steps, element_shape=[lanes])
    start = (tf.constant(0), tf.cast(states, tf.int64), tf.constant(0), found)
    _, state, position, found = tf.while_loop(lambda step, *_: step < steps, body, start)
    symbols = tf.reshape(found.stack(), [-1])[:num_symbols]
    return symbols, position, (position <= num_words) & tf.reduce_all(tf.equal(state, STATE_LOW))
