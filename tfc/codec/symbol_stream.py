"""The entropy coder's symbols of a message, and which table each of them uses: what both ends compute. NumPy alone."""

from __future__ import annotations

import numpy as np

from tfc.codec import contexts, tables
from tfc.codec.message_spec import MOVES, Kind, MessageSpec, ReferenceModel
from tfc.codec.rans import FREQUENCY_TOTAL


def to_symbols(steps: np.ndarray) -> np.ndarray:
    """Returns distances 0, +1, -1, +2, ... as symbols 0, 1, 2, 3, ...

    Args:
        steps: int64, any shape.
    """
    return np.where(steps > 0, 2 * steps - 1, -2 * steps)


def from_symbols(symbols: np.ndarray) -> np.ndarray:
    """Returns the distances that symbols stand for.

    Args:
        symbols: int64, any shape.
    """
    return np.where(symbols % 2 == 1, (symbols + 1) // 2, -(symbols // 2))


def stream_contexts(spec: MessageSpec, kind: Kind, held: ReferenceModel | None, num_clusters: int) -> np.ndarray:
    """Returns the row of the frequencies that each symbol uses: indices, codebooks, other parameters.

    Behind the rows of the kernels' contexts come: codebooks, other parameters, and one that is certain to be 0.

    Args:
        spec: Shapes of the model.
        kind: Kind of the message.
        held: What the message is coded given; None for a key frame.
        num_clusters: Clusters in use.

    Returns:
        int64 (num_symbols,).
    """
    rows = len(spec.kernel_sizes) * spec.ranks * MOVES
    slots = np.tile(np.arange(spec.max_clusters), len(spec.kernel_sizes))
    in_codebook = np.where((slots < num_clusters) & (kind == Kind.DELTA), rows, rows + 2)
    others = np.full(sum(spec.other_sizes), rows + 2 if kind.exact else rows + 1)
    return np.concatenate([contexts.context_numbers(spec, kind, held), in_codebook, others])


def symbol_frequencies(
    spec: MessageSpec, groupings: np.ndarray, chosen: np.ndarray, in_use: int, of_steps: np.ndarray
) -> np.ndarray:
    """Returns the frequencies of all rows.

    Args:
        spec: Shapes of the model.
        groupings: int64 (kernels,), `contexts.Grouping`.
        chosen: int64 (tables,), tables of the kernels in the order in which they are sent.
        in_use: Contexts of a kernel that there may be tables for.
        of_steps: int64 (2,), tables of codebooks and of other parameters.

    Returns:
        int64 (rows, symbols); each row sums to `FREQUENCY_TOTAL`.
    """
    places = contexts.table_places(groupings, spec.ranks, in_use).reshape(-1)
    sent = np.concatenate([chosen, of_steps])
    rows = tables.frequencies_of(sent, spec.largest_step)[np.concatenate([places, [len(chosen), len(chosen) + 1]])]
    certain = np.zeros((1, rows.shape[1]), np.int64)
    certain[0, 0] = FREQUENCY_TOTAL
    return np.concatenate([rows, certain])


def contexts_in_use(spec: MessageSpec, kind: Kind, held: ReferenceModel | None) -> int:
    """Returns how many of a kernel's contexts there may be tables for: bands in an update, else ranks in what is held.

    Args:
        spec: Shapes of the model.
        kind: Kind of the message.
        held: What the message is coded given; None for a key frame.
    """
    if kind == Kind.UPDATE:
        return spec.most_bands
    return 1 if held is None or kind == Kind.KEY_FRAME else int(held.num_clusters)


def held_centroids(held: ReferenceModel, number: int, num_clusters: int) -> np.ndarray:
    """Returns what the receiver has in each slot in use; 0 in a new one.

    Args:
        held: What the receiver holds.
        number: Number of the kernel.
        num_clusters: Clusters in use in the message.

    Returns:
        float32 (num_clusters,).
    """
    codebook = np.asarray(held.palettes[number].codebook, np.float32)[:num_clusters]
    return np.where(np.arange(num_clusters) < int(held.num_clusters), codebook, np.float32(0))
