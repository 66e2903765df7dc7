"""Reads messages in TensorFlow ops; twin of `tfc.codec.message_decoding`.

The decoder is total: whatever the bytes are, it ends after a bounded number of steps with tensors of the model's shapes
and a flag that tells whether the message is sound. In TFF's bare graphs `==` between tensors compares Python objects,
hence `tf.equal`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from tfc.codec.message_spec import (
    MOVES,
    Decoded,
    Kind,
    Message,
    MessageSpec,
    ReferenceModel,
)
from tfc.codec.palette import UNUSED_CENTROID, Palette
from tfc.codec.tables import TABLE_BYTES
from tfc.graph_codec import contexts, differences, rans, seed_model
from tfc.graph_codec.checksum import reference_checksum
from tfc.graph_codec.contexts import HeldKernels
from tfc.graph_codec.payload_reader import PayloadReader, floats, integers, longest_part, read_header, signed
from tfc.graph_codec.symbol_stream import (
    contexts_in_use,
    expected_ranks,
    from_symbols,
    held_centroids,
    held_kernels,
    stream_rows,
    stream_tables,
)


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
    return Memory(name, held_kernels(spec, held))


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
    in_use = contexts_in_use(spec, before, is_key)
    groupings = tf.cast(reader.take(kernels), tf.int64)
    highest = tf.where(is_key, tf.constant(0, tf.int64), tf.constant(3, tf.int64))
    checks.append(tf.reduce_all(groupings <= highest))
    groupings = tf.minimum(groupings, highest)
    num_tables = tf.reduce_sum(tf.gather(contexts.tables_per_kernel(in_use), groupings))
    num_tables = tf.cast(num_tables, tf.int32)
    room = kernels * spec.ranks * MOVES + 2
    sent = integers(reader.take(TABLE_BYTES * room, TABLE_BYTES * (num_tables + 2)), TABLE_BYTES)
    of_steps = tf.ensure_shape(sent[num_tables : num_tables + 2], [2])
    frequencies, table_of_row = stream_tables(spec, groupings, sent[:num_tables], of_steps, in_use)
    states = integers(reader.take(4 * spec.lanes), 4)
    rest = reader.body_end - reader.position
    checks.append((rest >= 0) & tf.equal(rest % 2, 0))
    start = tf.minimum(reader.position, reader.body_end)
    words = integers(payload[start : start + (reader.body_end - start) // 2 * 2], 2)
    rows = tf.gather(table_of_row, stream_rows(spec, is_key, is_delta, num_clusters, before))
    symbols, position, sound = rans.decode(states, words, rows, frequencies, spec.num_symbols, spec.lanes)
    escaped = tf.equal(symbols, 2 * spec.largest_step + 1)
    order = tf.cumsum(tf.cast(escaped, tf.int32), exclusive=True)
    checks += [sound, tf.equal(position + tf.reduce_sum(tf.cast(escaped, tf.int32)), tf.size(words))]
    stream = tf.cast(tf.concat([words, tf.zeros([1], tf.int64)], axis=0), tf.int32)
    long = tf.gather(stream, tf.clip_by_value(position + order, 0, tf.size(words)))
    steps = from_symbols(tf.where(escaped, long, symbols))
    of_indices, of_slots, of_others = tf.split(steps, [spec.num_indices, length, sum(spec.other_sizes)])
    if not is_update:
        codebooks = key_codebooks
        if before is not None:
            given = differences.from_steps(tf.reshape(of_slots, [kernels, -1]), held_centroids(spec, before), step)
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
    expected = expected_ranks(spec, is_delta, is_update, ranks, num_clusters, before)
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
