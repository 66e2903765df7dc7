"""The message format of `tfc.codec.message`, in TensorFlow ops.

The decoder is total: whatever the bytes are, it ends after a bounded number of steps with tensors of the model's shapes
and a flag that tells whether the message is sound. In TFF's bare graphs `==` between tensors compares Python objects,
hence `tf.equal`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from tfc.codec.differences import COARSEST_BITS, CODEBOOK_BITS, LARGEST_EXPONENT, SMALLEST_EXPONENT, UPDATE_BITS
from tfc.codec.frequency_bands import SCALE_UNIT
from tfc.codec.message_spec import (
    FORMAT_VERSION,
    MAGIC,
    MOVES,
    Decoded,
    Kind,
    Message,
    MessageSpec,
    ReferenceModel,
)
from tfc.codec.palette import UNUSED_CENTROID, Palette
from tfc.codec.rans import FREQUENCY_TOTAL
from tfc.codec.tables import TABLE_BYTES
from tfc.graph_codec import contexts, differences, rans, seed_model, tables
from tfc.graph_codec.checksum import adler32, bytes_of, flat, reference_checksum
from tfc.graph_codec.contexts import HeldKernels
from tfc.graph_codec.payload_reader import PayloadReader, floats, integers, longest_part, read_header, signed


def _integer_bytes(value: tf.Tensor, count: int) -> tf.Tensor:
    shifts = tf.constant([1 << (8 * place) for place in range(count)], tf.int64)
    return tf.reshape(tf.cast((tf.cast(value, tf.int64)[..., None] // shifts) % 256, tf.uint8), [-1])


def _to_symbols(steps: tf.Tensor) -> tf.Tensor:
    return tf.where(steps > 0, 2 * steps - 1, -2 * steps)


def _from_symbols(symbols: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.equal(symbols % 2, 1), (symbols + 1) // 2, -(symbols // 2))


def _held_kernels(spec: MessageSpec, held: ReferenceModel | None) -> HeldKernels | None:
    if held is None or not spec.kernel_shapes:
        return None
    slots = tf.cast(flat([palette.indices for palette in held.palettes], tf.uint8), tf.int32)
    codebooks = tf.stack([palette.codebook for palette in held.palettes])
    moves = tf.cast(flat(held.moves, tf.uint8), tf.int32)
    num_clusters = tf.clip_by_value(tf.cast(held.num_clusters, tf.int32), 1, spec.reference_slots)
    return HeldKernels(num_clusters, codebooks, slots, tf.minimum(moves, MOVES - 1))


def _held_centroids(spec: MessageSpec, held: HeldKernels) -> tf.Tensor:
    """What the receiver has in each slot in use; 0 in a new one."""
    return tf.where(tf.range(spec.max_clusters) < held.num_clusters, held.codebooks, 0.0)


def _expected(
    spec: MessageSpec, is_delta: tf.Tensor, is_update: bool, ranks: tf.Tensor, num_clusters: tf.Tensor, held: Any
) -> tf.Tensor:
    """The rank that each weight is expected to have; int32 (num_indices,)."""
    if is_update:
        return tf.repeat(ranks[:, spec.max_clusters // 2], spec.kernel_sizes)
    middle = tf.fill([spec.num_indices], num_clusters // 2)
    if held is None:
        return middle
    before = contexts.at_slots(ranks, spec, tf.minimum(held.slots, num_clusters - 1))
    return tf.where(is_delta, before, middle)


def _rows(spec: MessageSpec, is_key: tf.Tensor, is_delta: tf.Tensor, num_clusters: tf.Tensor, held: Any) -> tf.Tensor:
    """Rows of the frequencies for all symbols; behind the kernels' rows: codebooks, other parameters, certain zeros."""
    rows = len(spec.kernel_sizes) * spec.ranks * MOVES
    slots = tf.tile(tf.range(spec.max_clusters), [len(spec.kernel_sizes)])
    in_codebook = tf.where((slots < num_clusters) & is_delta, rows, rows + 2)
    others = tf.fill([sum(spec.other_sizes)], tf.where(is_key, rows + 2, rows + 1))
    return tf.concat([contexts.context_numbers(spec, held, is_delta), in_codebook, others], axis=0)


def _tables(
    spec: MessageSpec, groupings: tf.Tensor, chosen: tf.Tensor, of_steps: tf.Tensor, in_use: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns frequencies, int64 (tables, alphabet), the last of them of a certain zero, and each row's table."""
    places = tf.reshape(contexts.table_places(groupings, spec.ranks, in_use), [-1])
    sent = tables.frequencies_of(tf.concat([of_steps, chosen], axis=0), spec.largest_step)
    certain = FREQUENCY_TOTAL * tf.one_hot([0], sent.shape[1], dtype=tf.int64)
    last = tf.shape(sent, out_type=tf.int64)[:1]
    return tf.concat([sent, certain], axis=0), tf.concat([places + 2, tf.constant([0, 1], tf.int64), last], axis=0)


def _contexts_in_use(spec: MessageSpec, held: HeldKernels | None, is_key: tf.Tensor) -> tf.Tensor:
    """How many of a kernel's contexts there may be tables for, int32 scalar."""
    if Kind.UPDATE in spec.kinds:
        return tf.constant(spec.most_bands)
    return tf.constant(1) if held is None else tf.where(is_key, 1, held.num_clusters)


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
    kernels = _held_kernels(spec, held)
    num_clusters = tf.cast(message.num_clusters, tf.int32)
    in_use = _contexts_in_use(spec, kernels, tf.constant(kind == Kind.KEY_FRAME))
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
    steps -= _expected(spec, is_delta, kind == Kind.UPDATE, ranks, num_clusters, kernels)
    values = _to_symbols(tf.concat([steps, slot_steps, other_steps], axis=0))
    escape = 2 * spec.largest_step + 1
    symbols = tf.minimum(values, escape)
    rows = _rows(spec, is_key, is_delta, num_clusters, kernels)
    num_rows = len(spec.kernel_sizes) * spec.ranks * MOVES
    counts = tf.math.bincount(rows * (escape + 1) + symbols, minlength=(num_rows + 3) * (escape + 1))
    counts = tf.cast(tf.reshape(counts, [num_rows + 3, escape + 1]), tf.int64)
    of_kernels = tf.reshape(counts[:num_rows], [len(spec.kernel_sizes), spec.ranks, MOVES, escape + 1])
    groupings, chosen = contexts.choose_groupings(tables.step_counts(of_kernels), in_use, spec.largest_step, is_key)
    of_steps, _ = tables.choose_tables(tables.step_counts(counts[num_rows : num_rows + 2]), spec.largest_step)
    frequencies, table_of_row = _tables(spec, groupings, chosen, of_steps, in_use)
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
    before = _held_centroids(spec, held)
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


class Memory(NamedTuple):
    """What follows from a held model alone, for an end that decodes many messages given the same one.

    Attributes:
        name: Its checksum, int64 scalar; -1 where nothing is held.
        kernels: Its kernels as the coder sees them.
    """

    name: tf.Tensor
    kernels: HeldKernels | None


@tf.autograph.experimental.do_not_convert
def remember(spec: MessageSpec, held: ReferenceModel | None) -> Memory:
    """Prepares decoding.

    Args:
        spec: Shapes of the model.
        held: What this end holds; None where it holds nothing.
    """
    name = tf.constant(-1, tf.int64) if held is None else reference_checksum(held)
    return Memory(name, _held_kernels(spec, held))


@tf.autograph.experimental.do_not_convert
def decode(
    payload: tf.Tensor, spec: MessageSpec, held: ReferenceModel | None = None, memory: Memory | None = None
) -> tuple[Decoded, tf.Tensor]:
    """Decodes a message.

    Args:
        payload: uint8 tensor of shape (bytes,), whatever it holds.
        spec: Shapes of the model.
        held: What this end holds; None where it holds nothing.
        memory: What `remember` made of it; None to do that here.

    Returns:
        The message and what its receiver remembers, as tensors with static shapes, codebooks filled up with
        `UNUSED_CENTROID`, and a bool scalar: whether the payload is a sound message for what is held. Where it is not,
        the tensors' values mean nothing, but indices stay within the codebook.
    """
    payload = payload[: spec.most_bytes + 1]  # what is longer is refused by its length alone
    reader = PayloadReader(payload, longest_part(spec))
    memory = remember(spec, held) if memory is None else memory
    kind, num_clusters = read_header(reader, payload, spec, memory.name)
    if not spec.kernel_shapes:
        scalars = floats(reader.take(4 * spec.num_scalars))
        values = floats(reader.take(4 * sum(spec.other_sizes)))
        finite = tf.reduce_all(tf.math.is_finite(values)) & tf.reduce_all(tf.math.is_finite(scalars))
        sound = tf.reduce_all(tf.stack([*reader.checks, finite, tf.equal(reader.position, reader.body_end)]))
        return Decoded(Message(num_clusters, (), _split(values, spec), scalars), ()), sound
    surrounds = tf.reduce_all(tf.stack(reader.checks))
    if Kind.SEED not in spec.kinds:
        decoded, sound = _read_model(reader, payload, spec, kind, num_clusters, held, memory.kernels)
        return decoded, sound & surrounds
    at_seed = reader.position + 4 * spec.num_scalars
    seed_end = at_seed + 4
    decoded, sound = _read_model(reader, payload, spec, kind, num_clusters, held, memory.kernels)
    is_seed = tf.equal(kind, Kind.SEED)
    seed = integers(tf.ensure_shape(tf.slice(reader.padded, [tf.minimum(at_seed, reader.length)], [4]), [4]), 4)[0]
    # Expanding is skipped where nothing asks for it. The entropy decoder's loop stays outside: TensorFlow's optimizer
    # breaks graphs with a loop inside of a condition.
    expanded = tf.cond(
        is_seed,
        lambda: seed_model.expand(seed, num_clusters, spec),
        lambda: ReferenceModel(num_clusters, decoded.message.palettes, decoded.moves, decoded.message.others),
    )
    message = decoded.message._replace(palettes=expanded.palettes, others=expanded.others)
    seed_sound = tf.equal(seed_end, reader.body_end) & tf.reduce_all(tf.math.is_finite(message.scalars))
    return Decoded(message, expanded.moves), surrounds & tf.where(is_seed, seed_sound, sound)


def _split(values: tf.Tensor, spec: MessageSpec) -> tuple[tf.Tensor, ...]:
    if not spec.other_shapes:
        return ()
    pieces = tf.split(values, spec.other_sizes)
    return tuple(tf.reshape(piece, shape) for piece, shape in zip(pieces, spec.other_shapes, strict=True))


def _read_model(
    reader: PayloadReader,
    payload: tf.Tensor,
    spec: MessageSpec,
    kind: tf.Tensor,
    num_clusters: tf.Tensor,
    held: Any,
    before: HeldKernels | None,
) -> tuple[Decoded, tf.Tensor]:
    checks = reader.checks = []
    kernels = len(spec.kernel_sizes)
    is_key, is_delta = tf.equal(kind, Kind.KEY_FRAME), tf.equal(kind, Kind.DELTA)
    scalars = floats(reader.take(4 * spec.num_scalars))
    exponents = reader.exponents(kernels)
    other_exponents = reader.exponents(len(spec.other_sizes))
    no_steps = tf.reduce_all(tf.equal(tf.concat([exponents, other_exponents], axis=0), 0))
    checks.append(~is_key | no_steps)
    slots = tf.range(spec.max_clusters)
    used = slots < num_clusters
    # Codebooks as a key frame has them, as an update has them; those of a difference come from the stream.
    length = kernels * spec.max_clusters
    window = floats(reader.take(4 * length, tf.where(is_key, 4 * kernels * num_clusters, 0)))
    places = tf.range(kernels)[:, None] * num_clusters + tf.minimum(slots, num_clusters - 1)
    key_codebooks = tf.gather(window, places)
    checks.append(~is_key | tf.reduce_all(tf.math.is_finite(key_codebooks)))
    key_others = floats(reader.take(4 * sum(spec.other_sizes), tf.where(is_key, 4 * sum(spec.other_sizes), 0)))
    band_scales: tuple[tf.Tensor, ...] = ()
    is_update = Kind.UPDATE in spec.kinds  # an update shares its specification with nothing else
    step = differences.power_of_two(exponents)[:, None]
    if is_update:
        codebooks = tf.cast(tf.reshape(signed(reader.take(length)), [kernels, -1]), tf.float32) * step
        checks.append(tf.reduce_all(tf.equal(codebooks[:, spec.max_clusters // 2], 0.0)))
        band_scales = tuple(reader.take(count) for count in spec.bands)
    in_use = _contexts_in_use(spec, before, is_key)
    groupings = tf.cast(reader.take(kernels), tf.int64)
    highest = tf.where(is_key, tf.constant(0, tf.int64), tf.constant(3, tf.int64))
    checks.append(tf.reduce_all(groupings <= highest))
    groupings = tf.minimum(groupings, highest)
    num_tables = tf.reduce_sum(tf.gather(contexts.tables_per_kernel(in_use), groupings))
    num_tables = tf.cast(num_tables, tf.int32)
    room = kernels * spec.ranks * MOVES + 2
    sent = integers(reader.take(TABLE_BYTES * room, TABLE_BYTES * (num_tables + 2)), TABLE_BYTES)
    of_steps = tf.ensure_shape(sent[num_tables : num_tables + 2], [2])
    frequencies, table_of_row = _tables(spec, groupings, sent[:num_tables], of_steps, in_use)
    states = integers(reader.take(4 * spec.lanes), 4)
    rest = reader.body_end - reader.position
    checks.append((rest >= 0) & tf.equal(rest % 2, 0))
    start = tf.minimum(reader.position, reader.body_end)
    words = integers(payload[start : start + (reader.body_end - start) // 2 * 2], 2)
    rows = tf.gather(table_of_row, _rows(spec, is_key, is_delta, num_clusters, before))
    symbols, position, sound = rans.decode(states, words, rows, frequencies, spec.num_symbols, spec.lanes)
    escaped = tf.equal(symbols, 2 * spec.largest_step + 1)
    order = tf.cumsum(tf.cast(escaped, tf.int32), exclusive=True)
    checks += [sound, tf.equal(position + tf.reduce_sum(tf.cast(escaped, tf.int32)), tf.size(words))]
    stream = tf.cast(tf.concat([words, tf.zeros([1], tf.int64)], axis=0), tf.int32)
    long = tf.gather(stream, tf.clip_by_value(position + order, 0, tf.size(words)))
    steps = _from_symbols(tf.where(escaped, long, symbols))
    of_indices, of_slots, of_others = tf.split(steps, [spec.num_indices, length, sum(spec.other_sizes)])
    if not is_update:
        codebooks = key_codebooks
        if before is not None:
            given = differences.from_steps(tf.reshape(of_slots, [kernels, -1]), _held_centroids(spec, before), step)
            codebooks = tf.where(is_delta, given, key_codebooks)
    codebooks = tf.where(used, codebooks, UNUSED_CENTROID)
    checks.append(tf.reduce_all(tf.math.is_finite(codebooks)))
    values = key_others
    if held is not None and spec.other_sizes:
        others = differences.HeldParameters.of(spec, held)
        other_step = differences.power_of_two(tf.gather(other_exponents, others.owner)) * others.scale
        changed = differences.from_steps(of_others, others.values, other_step)
        values = tf.where(is_key, key_others, tf.maximum(changed, others.at_least(other_step)))
    checks.append(tf.reduce_all(tf.math.is_finite(values)) & tf.reduce_all(tf.math.is_finite(scalars)))

    ranks, slot_of = contexts.ranks_of(codebooks, num_clusters)
    expected = _expected(spec, is_delta, is_update, ranks, num_clusters, before)
    coded = expected + of_indices
    checks.append(tf.reduce_all((coded >= 0) & (coded < num_clusters)))
    indices = tf.cast(contexts.at_slots(slot_of, spec, tf.clip_by_value(coded, 0, num_clusters - 1)), tf.uint8)
    moved = tf.where(of_indices > 0, 1, tf.where(of_indices < 0, 2, 0))
    moved = tf.cast(tf.where(is_delta & spec.remembers_moves, moved, 0), tf.uint8)
    palettes, moves = [], []
    pieces = zip(tf.split(indices, spec.kernel_sizes), tf.split(moved, spec.kernel_sizes), strict=True)
    for row, ((flat_indices, flat_moves), shape) in enumerate(zip(pieces, spec.kernel_shapes, strict=True)):
        palettes.append(Palette(codebooks[row], tf.reshape(flat_indices, shape)))
        moves.append(tf.reshape(flat_moves, shape))
    message = Message(num_clusters, tuple(palettes), _split(values, spec), scalars, band_scales)
    return Decoded(message, tuple(moves)), tf.reduce_all(tf.stack(checks))
