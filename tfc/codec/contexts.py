"""Cluster indices as steps in contexts: what the entropy coder sees of the kernels. NumPy alone.

A weight's symbol is the step from the rank at which its centroid was expected to the rank it has. What is expected
depends on the kind of message: in a difference or a catch-up message the rank, in the new codebook, of the centroid
that the receiver holds at the same place; in an update zero; in a key frame the middle.

How likely a step is depends, in a difference, on where the weight was (its rank in the held codebook: dense centroids
are left more often) and on its last move (a weight that has just moved is near a boundary); in an update on the band of
its frequency, which takes the rank's place. For each kernel the encoder says whether one table serves all its weights,
or one per move, per rank, or per both: whichever is smallest.
"""

from __future__ import annotations

import enum

import numpy as np

from tfc.codec.frequency_bands import band_numbers
from tfc.codec.message_spec import MOVES, Kind, MessageSpec, ReferenceModel
from tfc.codec.palette import Palette
from tfc.codec.tables import COST_UNIT, TABLE_BYTES, StepCounts, choose_tables


class Grouping(enum.IntEnum):
    """Which weights of a kernel share a table."""

    ALL = 0
    BY_MOVE = 1
    BY_RANK = 2
    BY_RANK_AND_MOVE = 3


def ranks_of(centroids: np.ndarray) -> np.ndarray:
    """Returns the place of each slot's centroid in ascending order; equal centroids stay in the order of their slots.

    Args:
        centroids: float32 (clusters,), those in use.

    Returns:
        int64 (clusters,), a permutation.
    """
    ranks = np.empty(len(centroids), np.int64)
    ranks[np.argsort(centroids, kind="stable")] = np.arange(len(centroids))
    return ranks


def held_slots(held: ReferenceModel, number: int) -> np.ndarray:
    """Returns the held indices of a kernel, int64 (weights,).

    Args:
        held: What the receiver holds.
        number: Number of the kernel.
    """
    return np.asarray(held.palettes[number].indices, np.int64).reshape(-1)


def expected_ranks(
    kind: Kind, spec: MessageSpec, ranks: np.ndarray, held: ReferenceModel | None, number: int
) -> np.ndarray | int:
    """Returns the rank that each weight of a kernel is expected to have.

    Args:
        kind: Kind of the message.
        spec: Shapes of the model.
        ranks: Rank of each slot of the message's codebook, int64 (clusters,).
        held: What the receiver holds.
        number: Number of the kernel.

    Returns:
        int64 (weights,), or one number for all.
    """
    if kind == Kind.UPDATE:
        return int(ranks[spec.max_clusters // 2])
    if kind.follows_indices and held is not None:
        return ranks[np.minimum(held_slots(held, number), len(ranks) - 1)]
    return len(ranks) // 2


def context_numbers(spec: MessageSpec, kind: Kind, held: ReferenceModel | None) -> np.ndarray:
    """Returns each weight's context: (kernel x contexts + held rank or band) x moves + move.

    Args:
        spec: Shapes of the model.
        kind: Kind of the message.
        held: What the message is coded given; None for a key frame.

    Returns:
        int64 (num_indices,).
    """
    numbers = [np.zeros(0, np.int64)]
    for number, (size, shape) in enumerate(zip(spec.kernel_sizes, spec.kernel_shapes, strict=True)):
        place = np.full(size, number * spec.ranks)
        move = np.zeros(size, np.int64)
        if kind == Kind.UPDATE:
            place += band_numbers(shape)
        elif kind.follows_indices and held is not None:
            clusters = int(held.num_clusters)
            ranks = ranks_of(np.asarray(held.palettes[number].codebook)[:clusters])
            place += ranks[np.minimum(held_slots(held, number), clusters - 1)]
            move = np.asarray(held.moves[number], np.int64).reshape(-1)
        numbers.append(place * MOVES + move)
    return np.concatenate(numbers)


def tables_per_kernel(reference_clusters: int) -> np.ndarray:
    """Returns how many tables each grouping sends, int64 (4,).

    Args:
        reference_clusters: Clusters in use in what the receiver holds; 1 for a key frame.
    """
    return np.array([1, MOVES, reference_clusters, MOVES * reference_clusters], np.int64)


def table_places(groupings: np.ndarray, ranks: int, reference_clusters: int) -> np.ndarray:
    """Returns which of the tables sent each context uses.

    Args:
        groupings: (kernels,), `Grouping`.
        ranks: Held ranks that contexts distinguish.
        reference_clusters: Clusters in use in what the receiver holds.

    Returns:
        int64 (kernels, ranks, MOVES).
    """
    rank = np.minimum(np.arange(ranks), reference_clusters - 1)[:, None] + np.zeros((1, MOVES), np.int64)
    move = np.arange(MOVES) + np.zeros((ranks, 1), np.int64)
    within = np.stack([np.zeros_like(rank), move, rank, rank * MOVES + move])
    counts = tables_per_kernel(reference_clusters)[groupings]
    return (np.cumsum(counts) - counts)[:, None, None] + within[groupings]


def choose_groupings(
    counts: StepCounts, reference_clusters: int, largest_step: int, *, only_all: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Chooses each kernel's grouping and its tables.

    Args:
        counts: What happened, by (kernel, held rank, move).
        reference_clusters: Clusters in use in what the receiver holds.
        largest_step: Largest step with a symbol of its own.
        only_all: Whether nothing is held: one table per kernel.

    Returns:
        Groupings, int64 (kernels,), and tables in the order in which they are sent, int64 (tables,).
    """
    by_grouping = []
    for axes in ((1, 2), (1,), (2,), ()):
        summed = StepCounts(*(np.sum(part, axis=axes, keepdims=True) for part in counts))
        by_grouping.append(choose_tables(summed, largest_step))
    table_cost = 8 * TABLE_BYTES * COST_UNIT * tables_per_kernel(reference_clusters)
    total = np.stack([cost.sum(axis=(1, 2)) for _, cost in by_grouping], axis=1) + table_cost
    groupings = np.zeros(len(total), np.int64) if only_all else total.argmin(axis=1)
    sent = [np.zeros(0, np.int64)]
    for number, grouping in enumerate(groupings):
        chosen = by_grouping[grouping][0][number]
        sent.append(chosen[: reference_clusters if len(chosen) > 1 else 1].reshape(-1))
    return groupings, np.concatenate(sent)


def moves_of(palette: Palette, ranks: np.ndarray, expected: np.ndarray | int) -> np.ndarray:
    """Returns what each index did: 0 stayed, 1 moved up, 2 moved down.

    Args:
        palette: The new palette.
        ranks: Rank of each of its slots.
        expected: Rank of the slot held before, at each place.

    Returns:
        uint8 array of the kernel's shape.
    """
    step = ranks[np.asarray(palette.indices, np.int64).reshape(-1)] - expected
    return np.where(step > 0, 1, np.where(step < 0, 2, 0)).astype(np.uint8).reshape(np.shape(palette.indices))
