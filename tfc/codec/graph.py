"""The message format of `tfc.codec.message`, in TensorFlow ops: what runs inside TFF computations.

The decoder is total: whatever the bytes are, it ends after a bounded number of steps with tensors of the model's shapes
and a flag that tells whether the message is sound. In TFF's bare graphs `==` between tensors compares Python objects,
hence `tf.equal`.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfc.codec import rans_graph
from tfc.codec.message import (
    DELTA,
    FORMAT_VERSION,
    HALF_OF_LAST_BIT,
    HEADER_BYTES,
    KEY_FRAME,
    LARGEST_EXPONENT,
    MAGIC,
    SMALLEST_EXPONENT,
    TRAILER_BYTES,
    Message,
    MessageSpec,
)
from tfc.codec.palette import UNUSED_CENTROID, Palette
from tfc.codec.rans import FREQUENCY_TOTAL
from tfc.codec.tables import CODE_VALUES

_ADLER_MODULUS = 65521


def adler32(data: tf.Tensor) -> tf.Tensor:
    """Returns `zlib.adler32` of bytes as an int64 scalar.

    Args:
        data: uint8 (bytes,).
    """
    values = tf.cast(data, tf.int64)
    count = tf.size(values, out_type=tf.int64)
    low = (1 + tf.reduce_sum(values)) % _ADLER_MODULUS
    places = tf.range(count, 0, -1, dtype=tf.int64) % _ADLER_MODULUS
    # Each product is below 2^24: sums over 2^39 bytes stay exact.
    high = (count + tf.reduce_sum(values * places)) % _ADLER_MODULUS
    return high * (1 << 16) + low


def dequantize(palette: Palette) -> tf.Tensor:
    """Returns the kernel that a palette stands for, a float32 tensor of the indices' shape.

    Args:
        palette: Codebook (max_clusters,) float32 and indices uint8 of any shape, as tensors.
    """
    return tf.gather(palette.codebook, tf.cast(palette.indices, tf.int32))


def _bytes_of(values: tf.Tensor) -> tf.Tensor:
    return tf.reshape(tf.bitcast(values, tf.uint8), [-1])


def _integer_bytes(value: tf.Tensor, count: int) -> tf.Tensor:
    shifts = tf.constant([1 << (8 * place) for place in range(count)], tf.int64)
    return tf.cast((tf.cast(value, tf.int64)[..., None] // shifts) % 256, tf.uint8)


def _integer(data: tf.Tensor) -> tf.Tensor:
    """Little-endian bytes along the last axis as int64."""
    shifts = tf.constant([1 << (8 * place) for place in range(data.shape[-1])], tf.int64)
    return tf.reduce_sum(tf.cast(data, tf.int64) * shifts, axis=-1)


def _power_of_two(exponents: tf.Tensor) -> tf.Tensor:
    """Exact float32 powers from their bits; `tf.pow` is not exact."""
    return tf.bitcast((tf.cast(exponents, tf.int32) + 127) * (1 << 23), tf.float32)


def _exponents(largest: tf.Tensor) -> tf.Tensor:
    found = tf.bitwise.right_shift(tf.bitcast(largest, tf.int32) + HALF_OF_LAST_BIT, 23) - 127
    return tf.clip_by_value(found, SMALLEST_EXPONENT, LARGEST_EXPONENT)


def _halves(values: tf.Tensor, exponents: tf.Tensor) -> tf.Tensor:
    return tf.cast(values * _power_of_two(-exponents), tf.float16)


def _exponents_from(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns exponents within their limits, and whether they were."""
    found = tf.cast(tf.bitcast(data, tf.int8), tf.int32)
    limited = tf.clip_by_value(found, SMALLEST_EXPONENT, LARGEST_EXPONENT)
    return limited, tf.reduce_all(tf.equal(found, limited))


def _ranks(codebooks: tf.Tensor, num_clusters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns (rank of each slot, slot of each rank), int32 (kernels, max_clusters); unused slots come last."""
    used = tf.range(tf.shape(codebooks)[1]) < num_clusters
    slots = tf.argsort(tf.where(used, codebooks, float("inf")), axis=1, stable=True)
    return tf.argsort(slots, axis=1), slots


def _kernel_numbers(spec: MessageSpec) -> tf.Tensor:
    return tf.repeat(tf.range(len(spec.kernel_sizes)), spec.kernel_sizes)


def _flat_indices(palettes: tuple[Palette, ...]) -> tf.Tensor:
    return tf.concat([tf.reshape(palette.indices, [-1]) for palette in palettes], axis=0)


def _codes_of(counts: tf.Tensor) -> tf.Tensor:
    total = tf.maximum(tf.reduce_sum(counts, axis=1, keepdims=True), 1)
    wanted = tf.maximum((2 * counts * FREQUENCY_TOTAL + total) // (2 * total), 1)
    codes = tf.searchsorted(tf.constant(CODE_VALUES), tf.reshape(wanted, [-1]), side="right") - 1
    return tf.where(counts > 0, tf.reshape(codes, tf.shape(counts)), 0)


def _frequencies_of(codes: tf.Tensor) -> tf.Tensor:
    values = tf.gather(tf.constant(CODE_VALUES), codes)
    used = values > 0
    total = tf.maximum(tf.reduce_sum(values, axis=1, keepdims=True), 1)
    spare = FREQUENCY_TOTAL - tf.reduce_sum(tf.cast(used, tf.int64), axis=1, keepdims=True)
    scaled = tf.where(used, 1 + values * spare // total, 0)
    rest = FREQUENCY_TOTAL - tf.reduce_sum(scaled, axis=1, keepdims=True)
    return scaled + rest * tf.one_hot(tf.argmax(scaled, axis=1), scaled.shape[1], dtype=tf.int64)


def _base_ranks(spec: MessageSpec, ranks: tf.Tensor, held: tf.Tensor, num_clusters: tf.Tensor) -> tf.Tensor:
    """The rank of the base's centroid in the new codebook, at every place; int32 (num_indices,)."""
    slots = tf.minimum(tf.cast(held, tf.int32), num_clusters - 1)
    return tf.gather_nd(ranks, tf.stack([_kernel_numbers(spec), slots], axis=1))


def encode(message: Message, spec: MessageSpec, base: tuple[Palette, ...] | None = None) -> tf.Tensor:
    """Encodes a message; the same bytes as `tfc.codec.message.encode`.

    Args:
        message: Tensors with the shapes of `spec`, finite.
        spec: Shapes of the model.
        base: Palettes that the receiver holds; None for a key frame.

    Returns:
        uint8 tensor of shape (bytes,).
    """
    clustered = bool(spec.kernel_shapes)
    num_clusters = tf.cast(message.num_clusters, tf.int32) if clustered else tf.constant(0)
    held = _flat_indices(base) if base is not None and clustered else None  # nothing else is coded given the base
    base_id = tf.constant(0, tf.int64) if held is None else adler32(held)
    kind = KEY_FRAME if held is None else DELTA
    parts = [
        tf.constant([*MAGIC, FORMAT_VERSION, kind], tf.uint8),
        _integer_bytes(base_id, 4),
        _integer_bytes(num_clusters, 2),
        tf.constant([spec.lanes - 1, 0], tf.uint8),
        _bytes_of(message.scalars),
    ]
    words = tf.zeros([0], tf.uint8)
    if clustered:
        kernel_parts, words = _encode_kernels(message, spec, held, num_clusters)
        parts.extend(kernel_parts)
        largest = [tf.reduce_max(tf.abs(tf.concat([tf.reshape(x, [-1]), [0.0]], 0))) for x in message.others]
        if largest:
            exponents = _exponents(tf.stack(largest))
            parts.append(tf.bitcast(tf.cast(exponents, tf.int8), tf.uint8))
            values = tf.concat([tf.reshape(other, [-1]) for other in message.others], axis=0)
            parts.append(_bytes_of(_halves(values, tf.repeat(exponents, spec.other_sizes))))
    elif message.others:
        parts.append(_bytes_of(tf.concat([tf.reshape(other, [-1]) for other in message.others], axis=0)))
    payload = tf.concat([*parts, words], axis=0)
    return tf.concat([payload, _integer_bytes(adler32(payload), 4)], axis=0)


def _encode_kernels(
    message: Message, spec: MessageSpec, held: tf.Tensor | None, num_clusters: tf.Tensor
) -> tuple[list[tf.Tensor], tf.Tensor]:
    slots = tf.stack([palette.codebook for palette in message.palettes])
    used = tf.range(spec.max_clusters) < num_clusters
    exponents = _exponents(tf.reduce_max(tf.where(used, tf.abs(slots), 0.0), axis=1))
    halves = _halves(tf.where(used, slots, 0.0), exponents[:, None])
    codebooks = tf.where(used, tf.cast(halves, tf.float32) * _power_of_two(exponents)[:, None], UNUSED_CENTROID)
    ranks, _ = _ranks(codebooks, num_clusters)
    kernel = _kernel_numbers(spec)
    indices = tf.cast(_flat_indices(message.palettes), tf.int32)
    coded = tf.gather_nd(ranks, tf.stack([kernel, indices], axis=1))
    if held is not None:
        step = coded - _base_ranks(spec, ranks, held, num_clusters)
        coded = tf.where(step > 0, 2 * step - 1, -2 * step)
    flat = tf.math.bincount(kernel * spec.alphabet + coded, minlength=len(spec.kernel_sizes) * spec.alphabet)
    counts = tf.cast(tf.reshape(flat, [len(spec.kernel_sizes), spec.alphabet]), tf.int64)
    codes = _codes_of(counts)
    places = tf.range(1, spec.alphabet + 1)
    lengths = tf.reduce_max(tf.where(codes > 0, places, 0), axis=1)
    states, words = rans_graph.encode(coded, kernel, _frequencies_of(codes), spec.num_indices, spec.lanes)
    parts = [
        tf.bitcast(tf.cast(exponents, tf.int8), tf.uint8),
        _bytes_of(halves[:, :num_clusters]),
        tf.reshape(_integer_bytes(lengths, 2), [-1]),
        tf.cast(tf.boolean_mask(codes, places <= lengths[:, None]), tf.uint8),
        tf.reshape(_integer_bytes(states, 4), [-1]),
    ]
    return parts, tf.reshape(_integer_bytes(words, 2), [-1])


def decode(payload: tf.Tensor, spec: MessageSpec, base: tuple[Palette, ...] | None = None) -> tuple[Message, tf.Tensor]:
    """Decodes a message.

    Args:
        payload: uint8 tensor of shape (bytes,), whatever it holds.
        spec: Shapes of the model.
        base: Palettes that this end holds; None where it holds none.

    Returns:
        The message as tensors with static shapes, codebooks filled up with `UNUSED_CENTROID`, and a bool scalar:
        whether the payload is a sound message for this base. Where it is not, the tensors' values mean nothing, but
        indices stay within the codebook.
    """
    clustered = bool(spec.kernel_shapes)
    length = tf.size(payload)
    # Every piece below has a bounded length: with so many zeros behind, any of them can be read anywhere.
    tail = HEADER_BYTES + 4 * spec.num_scalars + 4 * sum(spec.other_sizes) + len(spec.other_sizes)
    tail += len(spec.kernel_sizes) * (3 + 2 * spec.max_clusters + spec.alphabet) + 4 * spec.lanes
    padded = tf.concat([payload, tf.zeros([tail], tf.uint8)], axis=0)
    position: Any = tf.constant(HEADER_BYTES)

    def piece(count: int) -> tf.Tensor:
        """`count` bytes from the present position, which stays."""
        return tf.ensure_shape(tf.slice(padded, [tf.minimum(position, length)], [count]), [count])

    header = tf.ensure_shape(padded[:HEADER_BYTES], [HEADER_BYTES])
    num_clusters = tf.cast(_integer(header[8:10]), tf.int32)
    smallest, largest = (1, spec.max_clusters) if clustered else (0, 0)
    delta = tf.equal(header[3], DELTA)
    held = _flat_indices(base) if base is not None and clustered else None
    base_id = tf.constant(0, tf.int64) if held is None else adler32(held)
    body_end = tf.maximum(length - TRAILER_BYTES, 0)
    trailer = tf.slice(padded, [body_end], [TRAILER_BYTES])
    checks = [
        tf.reduce_all(tf.equal(header[:3], tf.constant([*MAGIC, FORMAT_VERSION], tf.uint8))),
        length >= HEADER_BYTES + TRAILER_BYTES,
        tf.equal(adler32(payload[:body_end]), _integer(tf.ensure_shape(trailer, [TRAILER_BYTES]))),
        (header[3] <= DELTA) & (~delta | (tf.equal(_integer(header[4:8]), base_id) & (held is not None))),
        (num_clusters >= smallest) & (num_clusters <= largest),
        tf.equal(tf.cast(header[10], tf.int32), spec.lanes - 1) & tf.equal(tf.cast(header[11], tf.int32), 0),
    ]
    num_clusters = tf.clip_by_value(num_clusters, smallest, largest)

    scalars = tf.bitcast(tf.reshape(piece(4 * spec.num_scalars), [-1, 4]), tf.float32)
    position += 4 * spec.num_scalars
    palettes: tuple[Palette, ...] = ()
    if not clustered:
        values = tf.bitcast(tf.reshape(piece(4 * sum(spec.other_sizes)), [-1, 4]), tf.float32)
        checks.append(tf.equal(position + 4 * sum(spec.other_sizes), body_end))
    else:
        num_kernels = len(spec.kernel_sizes)
        exponents, allowed = _exponents_from(piece(num_kernels))
        checks.append(allowed)
        position += num_kernels
        slots = tf.range(spec.max_clusters)
        window = tf.bitcast(tf.reshape(piece(2 * num_kernels * spec.max_clusters), [-1, 2]), tf.float16)
        rows = tf.gather(window, tf.range(num_kernels)[:, None] * num_clusters + tf.minimum(slots, num_clusters - 1))
        checks.append(tf.reduce_all(tf.math.is_finite(rows)))
        codebooks = tf.cast(rows, tf.float32) * _power_of_two(exponents)[:, None]
        codebooks = tf.where(slots < num_clusters, codebooks, UNUSED_CENTROID)
        position += 2 * num_kernels * num_clusters
        lengths = tf.cast(_integer(tf.reshape(piece(2 * num_kernels), [-1, 2])), tf.int32)
        position += 2 * num_kernels
        checks.append(tf.reduce_all(lengths <= spec.alphabet))
        lengths = tf.minimum(lengths, spec.alphabet)
        symbols = tf.range(spec.alphabet)
        at = tf.cumsum(lengths, exclusive=True)[:, None] + tf.minimum(symbols, tf.maximum(lengths - 1, 0)[:, None])
        codes = tf.cast(tf.gather(piece(num_kernels * spec.alphabet + 1), at), tf.int32)
        codes = tf.where(symbols < lengths[:, None], codes, 0)
        position += tf.reduce_sum(lengths)
        checks.append(tf.reduce_all(codes < len(CODE_VALUES)))
        frequencies = _frequencies_of(tf.minimum(codes, len(CODE_VALUES) - 1))
        states = _integer(tf.reshape(piece(4 * spec.lanes), [-1, 4]))
        position += 4 * spec.lanes
        other_exponents, allowed = _exponents_from(piece(len(spec.other_sizes)))
        checks.append(allowed)
        position += len(spec.other_sizes)
        values = tf.cast(tf.bitcast(tf.reshape(piece(2 * sum(spec.other_sizes)), [-1, 2]), tf.float16), tf.float32)
        values *= _power_of_two(tf.repeat(other_exponents, spec.other_sizes))
        position += 2 * sum(spec.other_sizes)
        checks.append((position <= body_end) & tf.equal((body_end - position) % 2, 0))
        start = tf.minimum(position, body_end)
        words = _integer(tf.reshape(payload[start : start + (body_end - start) // 2 * 2], [-1, 2]))
        coded, sound = rans_graph.decode(
            states, words, _kernel_numbers(spec), frequencies, spec.num_indices, spec.lanes
        )
        checks.append(sound)
        ranks, slot_of = _ranks(codebooks, num_clusters)
        coded = tf.cast(coded, tf.int32)
        if held is not None:
            step = tf.where(tf.equal(coded % 2, 1), (coded + 1) // 2, -(coded // 2))
            coded = tf.where(delta, _base_ranks(spec, ranks, held, num_clusters) + step, coded)
        checks.append(tf.reduce_all((coded >= 0) & (coded < num_clusters)))
        coded = tf.clip_by_value(coded, 0, num_clusters - 1)
        indices = tf.cast(tf.gather_nd(slot_of, tf.stack([_kernel_numbers(spec), coded], axis=1)), tf.uint8)
        palettes = tuple(
            Palette(codebooks[row], tf.reshape(flat, shape))
            for row, (flat, shape) in enumerate(
                zip(tf.split(indices, spec.kernel_sizes), spec.kernel_shapes, strict=True)
            )
        )
    checks.append(tf.reduce_all(tf.math.is_finite(values)) & tf.reduce_all(tf.math.is_finite(scalars)))
    others: tuple[tf.Tensor, ...] = ()
    if spec.other_shapes:
        pieces = tf.split(values, spec.other_sizes)
        others = tuple(tf.reshape(flat, shape) for flat, shape in zip(pieces, spec.other_shapes, strict=True))
    return Message(num_clusters, palettes, others, scalars), tf.reduce_all(tf.stack(checks))
