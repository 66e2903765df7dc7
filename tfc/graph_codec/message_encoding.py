"""Writes messages in TensorFlow ops; twin of `tfc.codec.message_encoding`."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfc.codec.differences import COARSEST_BITS, CODEBOOK_BITS, LARGEST_EXPONENT, SMALLEST_EXPONENT, UPDATE_BITS
from tfc.codec.frequency_bands import SCALE_UNIT
from tfc.codec.message_spec import (
    FORMAT_VERSION,
    MAGIC,
    MOVES,
    Kind,
    Message,
    MessageSpec,
    ReferenceModel,
)
from tfc.codec.tables import TABLE_BYTES
from tfc.graph_codec import contexts, differences, rans, tables
from tfc.graph_codec.checksum import adler32, bytes_of, flat, reference_checksum
from tfc.graph_codec.contexts import HeldKernels
from tfc.graph_codec.symbol_stream import (
    contexts_in_use,
    expected_ranks,
    held_centroids,
    held_kernels,
    stream_rows,
    stream_tables,
    to_symbols,
)


def _integer_bytes(value: tf.Tensor, count: int) -> tf.Tensor:
    shifts = tf.constant([1 << (8 * place) for place in range(count)], tf.int64)
    return tf.reshape(tf.cast((tf.cast(value, tf.int64)[..., None] // shifts) % 256, tf.uint8), [-1])


def _with_checksum(parts: list[tf.Tensor]) -> tf.Tensor:
    payload = tf.concat(parts, axis=0)
    return tf.concat([payload, _integer_bytes(adler32(payload), 4)], axis=0)


def _header(spec: MessageSpec, kind: Kind, name: tf.Tensor, num_clusters: tf.Tensor) -> list[tf.Tensor]:
    return [
        tf.constant([*MAGIC, FORMAT_VERSION, kind], tf.uint8),
        _integer_bytes(name, 4),
        _integer_bytes(num_clusters, 2),
        tf.constant([spec.lanes.bit_length() - 1, 0], tf.uint8),
    ]


_NOTHING = 0
"""Name of what a key frame is coded given."""


@tf.autograph.experimental.do_not_convert
def encode_seed(seed: int, num_clusters: Any, scalars: tf.Tensor, spec: MessageSpec) -> tf.Tensor:
    """Encodes an initial model as a seed; the same bytes as `tfc.codec.message.encode_seed`.

    Args:
        seed: Below 2^32.
        num_clusters: int32 scalar.
        scalars: float32 (num_scalars,).
        spec: Shapes of the model.

    Returns:
        uint8 (bytes,).
    """
    header = _header(spec, Kind.SEED, tf.constant(_NOTHING), tf.convert_to_tensor(num_clusters))
    return _with_checksum([*header, bytes_of(scalars), _integer_bytes(tf.constant(seed, tf.int64), 4)])


@tf.autograph.experimental.do_not_convert
def encode(
    message: Message, spec: MessageSpec, held: ReferenceModel | None = None, *, update: bool = False
) -> tf.Tensor:
    """Encodes a message; the same bytes as `tfc.codec.message.encode`.

    Args:
        message: Tensors with the shapes of `spec`, finite.
        spec: Shapes of the model.
        held: What the receiver holds; None for a key frame.
        update: Whether the palettes are those of a change of the kernels held.

    Returns:
        uint8 (bytes,).
    """
    if not spec.kernel_shapes:
        header = _header(spec, Kind.KEY_FRAME, tf.constant(_NOTHING), tf.constant(0))
        return _with_checksum([*header, bytes_of(message.scalars), bytes_of(flat(message.others, tf.float32))])
    kind = Kind.KEY_FRAME if held is None else Kind.UPDATE if update else Kind.DELTA
    kernels = held_kernels(spec, held)
    num_clusters = tf.cast(message.num_clusters, tf.int32)
    in_use = contexts_in_use(spec, kernels, tf.constant(kind == Kind.KEY_FRAME))
    raw, exponents, codebooks, slot_steps = _encode_codebooks(message, spec, kind, kernels, num_clusters)
    other_exponents, other_steps = _encode_others(message, spec, held)
    if held is None:
        raw = tf.concat([raw, bytes_of(flat(message.others, tf.float32))], axis=0)
    elif kind == Kind.UPDATE:
        scales = message.band_scales or [tf.fill([count], tf.constant(SCALE_UNIT, tf.uint8)) for count in spec.bands]
        raw = tf.concat([raw, *scales], axis=0)

    is_key, is_delta = tf.constant(kind == Kind.KEY_FRAME), tf.constant(kind == Kind.DELTA)
    ranks, _ = contexts.ranks_of(codebooks, num_clusters)
    indices = tf.cast(flat([palette.indices for palette in message.palettes], tf.uint8), tf.int32)
    steps = contexts.at_slots(ranks, spec, indices)
    steps -= expected_ranks(spec, is_delta, kind == Kind.UPDATE, ranks, num_clusters, kernels)
    values = to_symbols(tf.concat([steps, slot_steps, other_steps], axis=0))
    escape = 2 * spec.largest_step + 1
    symbols = tf.minimum(values, escape)
    rows = stream_rows(spec, is_key, is_delta, num_clusters, kernels)
    num_rows = len(spec.kernel_sizes) * spec.ranks * MOVES
    counts = tf.math.bincount(rows * (escape + 1) + symbols, minlength=(num_rows + 3) * (escape + 1))
    counts = tf.cast(tf.reshape(counts, [num_rows + 3, escape + 1]), tf.int64)
    of_kernels = tf.reshape(counts[:num_rows], [len(spec.kernel_sizes), spec.ranks, MOVES, escape + 1])
    groupings, chosen = contexts.choose_groupings(tables.step_counts(of_kernels), in_use, spec.largest_step, is_key)
    of_steps, _ = tables.choose_tables(tables.step_counts(counts[num_rows : num_rows + 2]), spec.largest_step)
    frequencies, table_of_row = stream_tables(spec, groupings, chosen, of_steps, in_use)
    rows = tf.gather(table_of_row, rows)
    # A table has no room for magnitudes beyond its shape's largest.
    room = tf.gather_nd(frequencies, tf.stack([rows, tf.cast(symbols, tf.int64)], axis=-1))
    symbols = tf.where(room > 0, symbols, escape)
    states, words = rans.encode(symbols, rows, frequencies, spec.num_symbols, spec.lanes)
    escaped = tf.boolean_mask(values, tf.equal(symbols, escape))
    name = tf.constant(_NOTHING, tf.int64) if held is None else reference_checksum(held)
    return _with_checksum(
        [
            *_header(spec, kind, name, num_clusters),
            bytes_of(message.scalars),
            tf.bitcast(tf.cast(tf.concat([exponents, other_exponents], axis=0), tf.int8), tf.uint8),
            raw,
            tf.cast(groupings, tf.uint8),
            _integer_bytes(tf.concat([chosen, of_steps], axis=0), TABLE_BYTES),
            _integer_bytes(states, 4),
            _integer_bytes(words, 2),
            _integer_bytes(escaped, 2),
        ]
    )


def _encode_codebooks(
    message: Message, spec: MessageSpec, kind: Kind, held: HeldKernels | None, num_clusters: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns raw bytes, exponents, the codebooks as the receiver will see them, steps of all slots."""
    slots = tf.stack([palette.codebook for palette in message.palettes])
    used = tf.range(spec.max_clusters) < num_clusters
    slots = tf.where(used, slots, 0.0)
    zeros = tf.zeros([len(spec.kernel_sizes)], tf.int32)
    steps = tf.zeros([len(spec.kernel_sizes), spec.max_clusters], tf.int32)
    largest = differences.exponents_of(tf.reduce_max(tf.abs(slots), axis=1))
    if held is None:
        return bytes_of(slots[:, :num_clusters]), zeros, slots, tf.reshape(steps, [-1])
    if kind == Kind.UPDATE:
        exponents = tf.clip_by_value(largest - UPDATE_BITS, SMALLEST_EXPONENT, LARGEST_EXPONENT)
        step = differences.power_of_two(exponents)[:, None]
        numbers = tf.clip_by_value(tf.round(slots / step), -127.0, 127.0)
        numbers = tf.where(tf.equal(tf.range(spec.max_clusters), spec.max_clusters // 2), 0.0, numbers)
        raw = tf.reshape(tf.bitcast(tf.cast(numbers, tf.int8), tf.uint8), [-1])
        return raw, exponents, numbers * step, tf.reshape(steps, [-1])
    before = held_centroids(spec, held)
    changes = differences.exponents_of(tf.reduce_max(tf.where(used, tf.abs(slots - before), 0.0), axis=1))
    exponents = tf.maximum(largest - CODEBOOK_BITS, changes - COARSEST_BITS)
    exponents = tf.clip_by_value(exponents, SMALLEST_EXPONENT, LARGEST_EXPONENT)
    step = differences.power_of_two(exponents)[:, None]
    steps = tf.where(used, differences.to_steps(slots, before, step), 0)
    codebooks = differences.from_steps(steps, before, step)
    return tf.zeros([0], tf.uint8), exponents, codebooks, tf.reshape(steps, [-1])


def _encode_others(message: Message, spec: MessageSpec, held: ReferenceModel | None) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns exponents and steps of the other parameters; zeros in a key frame."""
    count = len(spec.other_sizes)
    if held is None or not count:
        return tf.zeros([count], tf.int32), tf.zeros([sum(spec.other_sizes)], tf.int32)
    values, before = flat(message.others, tf.float32), differences.HeldParameters.of(spec, held)
    bits = tf.constant([spec.bits_of(shape) for shape in spec.other_shapes])
    relative = tf.constant(spec.is_relative)
    exponents = differences.step_exponents(values, before.values, before.scale, before.owner, bits, relative)
    step = differences.power_of_two(tf.gather(exponents, before.owner)) * before.scale
    return exponents, differences.to_steps(values, before.values, step)
