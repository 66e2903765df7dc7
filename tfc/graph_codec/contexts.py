"""Steps and contexts of cluster indices, in TensorFlow ops; see `tfc.codec.contexts`."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tfc.codec.contexts import Grouping
from tfc.codec.message_spec import MOVES, Kind, MessageSpec
from tfc.codec.tables import COST_UNIT, TABLE_BYTES, StepCounts
from tfc.graph_codec.frequency_bands import band_numbers
from tfc.graph_codec.tables import choose_tables


class HeldKernels(NamedTuple):
    """What the receiver holds of all kernels, one after the other.

    Attributes:
        num_clusters: int32 scalar, clusters in use.
        codebooks: float32 (kernels, slots).
        slots: int32 (num_indices,), held indices.
        moves: int32 (num_indices,), what each index did in the last broadcast.
    """

    num_clusters: tf.Tensor
    codebooks: tf.Tensor
    slots: tf.Tensor
    moves: tf.Tensor


def kernel_numbers(spec: MessageSpec) -> tf.Tensor:
    """Returns the kernel that each index belongs to, int32 (num_indices,).

    Args:
        spec: Shapes of the model.
    """
    return tf.repeat(tf.range(len(spec.kernel_sizes)), spec.kernel_sizes)


def ranks_of(codebooks: tf.Tensor, num_clusters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns (rank of each slot, slot of each rank), int32 (kernels, slots); unused slots come last.

    Args:
        codebooks: float32 (kernels, slots).
        num_clusters: int32 scalar.
    """
    used = tf.range(tf.shape(codebooks)[1]) < num_clusters
    slots = tf.argsort(tf.where(used, codebooks, float("inf")), axis=1, stable=True)
    return tf.argsort(slots, axis=1), slots


def at_slots(table: tf.Tensor, spec: MessageSpec, slots: tf.Tensor) -> tf.Tensor:
    """Looks up each index in its kernel's row, (num_indices,).

    Args:
        table: (kernels, slots).
        spec: Shapes of the model.
        slots: int32 (num_indices,), within the rows.
    """
    return tf.gather(tf.reshape(table, [-1]), kernel_numbers(spec) * tf.shape(table)[1] + slots)


def context_numbers(spec: MessageSpec, held: HeldKernels | None, is_delta: tf.Tensor) -> tf.Tensor:
    """Returns each weight's context, int32 (num_indices,); see `tfc.codec.contexts.context_numbers`.

    Args:
        spec: Shapes of the model.
        held: What the receiver holds.
        is_delta: bool scalar, whether the message is a difference.
    """
    place = kernel_numbers(spec) * spec.ranks
    if Kind.UPDATE in spec.kinds:  # an update shares its specification with nothing else
        bands = tf.concat([band_numbers(shape) for shape in spec.kernel_shapes], axis=0)
        return (place + bands) * MOVES
    if held is None:
        return place * MOVES
    ranks, _ = ranks_of(held.codebooks, held.num_clusters)
    rank = at_slots(ranks, spec, tf.minimum(held.slots, held.num_clusters - 1))
    return (place + tf.where(is_delta, rank, 0)) * MOVES + tf.where(is_delta, held.moves, 0)


def tables_per_kernel(reference_clusters: tf.Tensor) -> tf.Tensor:
    """Returns how many tables each grouping sends, int64 (4,).

    Args:
        reference_clusters: int32 scalar, clusters in use in what the receiver holds; 1 for a key frame.
    """
    held = tf.cast(reference_clusters, tf.int64)
    return tf.stack([tf.constant(1, tf.int64), tf.constant(MOVES, tf.int64), held, MOVES * held])


def table_places(groupings: tf.Tensor, ranks: int, reference_clusters: tf.Tensor) -> tf.Tensor:
    """Returns which of the tables sent each context uses, int64 (kernels, ranks, MOVES).

    Args:
        groupings: int64 (kernels,), `Grouping`.
        ranks: Held ranks that contexts distinguish.
        reference_clusters: int32 scalar.
    """
    highest = tf.cast(reference_clusters, tf.int64) - 1
    rank = tf.minimum(tf.range(ranks, dtype=tf.int64), highest)[:, None] + tf.zeros([1, MOVES], tf.int64)
    move = tf.range(MOVES, dtype=tf.int64) + tf.zeros([ranks, 1], tf.int64)
    within = tf.stack([tf.zeros_like(rank), move, rank, rank * MOVES + move])
    counts = tf.gather(tables_per_kernel(reference_clusters), groupings)
    return tf.cumsum(counts, exclusive=True)[:, None, None] + tf.gather(within, groupings)


def choose_groupings(
    counts: StepCounts, reference_clusters: tf.Tensor, largest_step: int, only_all: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Chooses each kernel's grouping and its tables; see `tfc.codec.contexts.choose_groupings`.

    Args:
        counts: What happened, by (kernel, held rank, move).
        reference_clusters: int32 scalar.
        largest_step: Largest step with a symbol of its own.
        only_all: bool scalar, whether nothing is held.

    Returns:
        Groupings, int64 (kernels,), and tables in the order in which they are sent, int64 (tables,).
    """
    chosen, costs = [], []
    kernels, ranks = counts.zero.shape[0], counts.zero.shape[1]
    for axes in ((1, 2), (1,), (2,), ()):
        summed = StepCounts(*(tf.reduce_sum(part, axis=axes, keepdims=True) if axes else part for part in counts))
        tables, cost = choose_tables(summed, largest_step)
        chosen.append(tf.broadcast_to(tables, [kernels, ranks, MOVES]))
        costs.append(tf.reduce_sum(cost, axis=(1, 2)))
    total = tf.stack(costs, axis=1) + 8 * TABLE_BYTES * COST_UNIT * tables_per_kernel(reference_clusters)
    groupings = tf.where(only_all, tf.constant(0, tf.int64), tf.argmin(total, axis=1))
    everywhere = tf.gather(tf.stack(chosen, axis=1), groupings, batch_dims=1)
    # Which (rank, move) of each grouping are sent: one, one per move, one per rank, all.
    used = (tf.range(ranks) < reference_clusters)[:, None]
    first_rank, first_move = tf.range(ranks)[:, None] < 1, tf.range(MOVES)[None] < 1
    sent = {
        Grouping.ALL: first_rank & first_move,
        Grouping.BY_MOVE: tf.broadcast_to(first_rank, [ranks, MOVES]),
        Grouping.BY_RANK: used & first_move,
        Grouping.BY_RANK_AND_MOVE: tf.broadcast_to(used, [ranks, MOVES]),
    }
    mask = tf.gather(tf.stack([sent[grouping] for grouping in Grouping]), groupings)
    return groupings, tf.boolean_mask(everywhere, mask)
