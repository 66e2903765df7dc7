"""The entropy coder's symbols of a message, and which table each of them uses; twin of `tfc.codec.symbol_stream`."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfc.codec.message_spec import MOVES, Kind, MessageSpec, ReferenceModel
from tfc.codec.rans import FREQUENCY_TOTAL
from tfc.graph_codec import contexts, tables
from tfc.graph_codec.checksum import flat
from tfc.graph_codec.contexts import HeldKernels


def to_symbols(steps: tf.Tensor) -> tf.Tensor:
    """Returns distances 0, +1, -1, +2, ... as symbols 0, 1, 2, 3, ...

    Args:
        steps: Integers, any shape.
    """
    return tf.where(steps > 0, 2 * steps - 1, -2 * steps)


def from_symbols(symbols: tf.Tensor) -> tf.Tensor:
    """Returns the distances that symbols stand for.

    Args:
        symbols: Integers, any shape.
    """
    return tf.where(tf.equal(symbols % 2, 1), (symbols + 1) // 2, -(symbols // 2))


def held_kernels(spec: MessageSpec, held: ReferenceModel | None) -> HeldKernels | None:
    """Returns the kernels that an end holds as the coder sees them; None where it holds none.

    Args:
        spec: Shapes of the model.
        held: What this end holds.
    """
    if held is None or not spec.kernel_shapes:
        return None
    slots = tf.cast(flat([palette.indices for palette in held.palettes], tf.uint8), tf.int32)
    codebooks = tf.stack([palette.codebook for palette in held.palettes])
    moves = tf.cast(flat(held.moves, tf.uint8), tf.int32)
    num_clusters = tf.clip_by_value(tf.cast(held.num_clusters, tf.int32), 1, spec.reference_slots)
    return HeldKernels(num_clusters, codebooks, slots, tf.minimum(moves, MOVES - 1))


def held_centroids(spec: MessageSpec, held: HeldKernels) -> tf.Tensor:
    """Returns what the receiver has in each slot in use; 0 in a new one.

    Args:
        spec: Shapes of the model.
        held: What the receiver holds.

    Returns:
        float32 (kernels, max_clusters).
    """
    return tf.where(tf.range(spec.max_clusters) < held.num_clusters, held.codebooks, 0.0)


def expected_ranks(
    spec: MessageSpec, is_delta: tf.Tensor, is_update: bool, ranks: tf.Tensor, num_clusters: tf.Tensor, held: Any
) -> tf.Tensor:
    """Returns the rank that each weight is expected to have.

    Args:
        spec: Shapes of the model.
        is_delta: bool scalar, whether the message is a difference.
        is_update: Whether it is an update.
        ranks: int32 (kernels, max_clusters), rank of each slot of the message's codebooks.
        num_clusters: int32 scalar, clusters in use.
        held: `HeldKernels`, or None.

    Returns:
        int32 (num_indices,).
    """
    if is_update:
        return tf.repeat(ranks[:, spec.max_clusters // 2], spec.kernel_sizes)
    middle = tf.fill([spec.num_indices], num_clusters // 2)
    if held is None:
        return middle
    before = contexts.at_slots(ranks, spec, tf.minimum(held.slots, num_clusters - 1))
    return tf.where(is_delta, before, middle)


def stream_rows(
    spec: MessageSpec, is_key: tf.Tensor, is_delta: tf.Tensor, num_clusters: tf.Tensor, held: Any
) -> tf.Tensor:
    """Returns each symbol's row; behind the kernels' rows come codebooks, other parameters, certain zeros.

    Args:
        spec: Shapes of the model.
        is_key: bool scalar, whether the message is a key frame.
        is_delta: bool scalar, whether it is a difference.
        num_clusters: int32 scalar, clusters in use.
        held: `HeldKernels`, or None.

    Returns:
        Integers (num_symbols,).
    """
    rows = len(spec.kernel_sizes) * spec.ranks * MOVES
    slots = tf.tile(tf.range(spec.max_clusters), [len(spec.kernel_sizes)])
    in_codebook = tf.where((slots < num_clusters) & is_delta, rows, rows + 2)
    others = tf.fill([sum(spec.other_sizes)], tf.where(is_key, rows + 2, rows + 1))
    return tf.concat([contexts.context_numbers(spec, held, is_delta), in_codebook, others], axis=0)


def stream_tables(
    spec: MessageSpec, groupings: tf.Tensor, chosen: tf.Tensor, of_steps: tf.Tensor, in_use: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns frequencies, int64 (tables, alphabet), the last of them of a certain zero, and each row's table.

    Args:
        spec: Shapes of the model.
        groupings: int64 (kernels,).
        chosen: int64 (tables,), tables of the kernels.
        of_steps: int64 (2,), tables of codebooks and of other parameters.
        in_use: Contexts of a kernel that there may be tables for.
    """
    places = tf.reshape(contexts.table_places(groupings, spec.ranks, in_use), [-1])
    sent = tables.frequencies_of(tf.concat([of_steps, chosen], axis=0), spec.largest_step)
    certain = FREQUENCY_TOTAL * tf.one_hot([0], sent.shape[1], dtype=tf.int64)
    last = tf.shape(sent, out_type=tf.int64)[:1]
    return tf.concat([sent, certain], axis=0), tf.concat([places + 2, tf.constant([0, 1], tf.int64), last], axis=0)


def contexts_in_use(spec: MessageSpec, held: HeldKernels | None, is_key: tf.Tensor) -> tf.Tensor:
    """Returns how many of a kernel's contexts there may be tables for, int32 scalar.

    Args:
        spec: Shapes of the model.
        held: What the message is coded given; None for a key frame.
        is_key: bool scalar, whether the message is a key frame.
    """
    if Kind.UPDATE in spec.kinds:
        return tf.constant(spec.most_bands)
    return tf.constant(1) if held is None else tf.where(is_key, 1, held.num_clusters)
