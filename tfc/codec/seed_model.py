"""An initial model that both ends compute from one number. NumPy alone.

Element i of tensor t gets the hash h(seed, t, i), a number below 2^24. A clustered kernel's weight is uniform in
(-limit, limit); its palette has evenly spaced centroids, and its cluster index follows from the same number, so that
the float weight is always within half a gap of its centroid.
"""

from __future__ import annotations

import numpy as np

from tfc.codec.message_spec import MessageSpec, ReferenceModel
from tfc.codec.palette import UNUSED_CENTROID, Palette

HASH_BITS = 24
MULTIPLIERS = (0x7FEB352D, 0x846CA68B)
"""Of Wellons' two-round 32-bit mixer ("lowbias32"), found by search for low bias."""
TENSOR_STRIDE = 0x9E3779B9


def mixed(values: np.ndarray) -> np.ndarray:
    """Mixes 32-bit integers.

    Source: Wellons, "Prospecting for Hash Functions" (2018), lowbias32.

    Args:
        values: uint32, any shape.

    Returns:
        uint32, the same shape.
    """
    values = np.asarray(values, np.uint32)
    values = (values ^ (values >> np.uint32(16))) * np.uint32(MULTIPLIERS[0])
    values = (values ^ (values >> np.uint32(15))) * np.uint32(MULTIPLIERS[1])
    return values ^ (values >> np.uint32(16))


def hashes(seed: int, tensor: int, count: int) -> np.ndarray:
    """Returns the hash of each element of a tensor.

    Args:
        seed: Below 2^32.
        tensor: Number of the tensor in the model.
        count: Number of elements.

    Returns:
        int64 (count,), below 2^24.
    """
    stream = mixed(np.array([(seed + TENSOR_STRIDE * (tensor + 1)) % 2**32], np.uint32))
    return (mixed(np.arange(count, dtype=np.uint32) ^ stream) >> np.uint32(32 - HASH_BITS)).astype(np.int64)


def uniform(hashed: np.ndarray, limit: float) -> np.ndarray:
    """Returns hashes as floats in (-limit, limit).

    Args:
        hashed: int64 below 2^24.
        limit: Bound.

    Returns:
        float32, the same shape.
    """
    odd = (2 * hashed + 1 - 2**HASH_BITS).astype(np.float32)  # exact: 24 bits and a sign
    return odd * np.float32(limit * 2.0**-HASH_BITS)


def uniform_codebook(limit: float, num_clusters: int, max_clusters: int) -> np.ndarray:
    """Returns centroids in the middle of equal parts of (-limit, limit).

    Args:
        limit: Bound.
        num_clusters: Clusters in use.
        max_clusters: Slots.

    Returns:
        float32 (max_clusters,).
    """
    codebook = np.full(max_clusters, UNUSED_CENTROID, np.float32)
    middles = (2 * np.arange(num_clusters) + 1 - num_clusters).astype(np.float32)
    codebook[:num_clusters] = middles * np.float32(limit / num_clusters)
    return codebook


def initial_kernels(seed: int, spec: MessageSpec) -> tuple[np.ndarray, ...]:
    """Returns the float weights of every clustered kernel.

    Args:
        seed: Below 2^32.
        spec: Shapes and limits of the model.
    """
    return tuple(
        uniform(hashes(seed, start.tensor, size), start.limit).reshape(shape)
        for start, size, shape in zip(spec.initial_kernels, spec.kernel_sizes, spec.kernel_shapes, strict=True)
    )


def initial_others(seed: int, spec: MessageSpec) -> tuple[np.ndarray, ...]:
    """Returns every other parameter's start.

    Args:
        seed: Below 2^32.
        spec: Shapes and starts of the model.
    """
    others = []
    for start, size, shape in zip(spec.initial_others, spec.other_sizes, spec.other_shapes, strict=True):
        values = np.full(size, start.constant, np.float32)
        if start.limit:
            values = uniform(hashes(seed, start.tensor, size), start.limit)
        others.append(values.reshape(shape))
    return tuple(others)


def expand(seed: int, num_clusters: int, spec: MessageSpec) -> ReferenceModel:
    """Returns the palettized initial model: what an end holds after the message of a seed.

    Args:
        seed: Below 2^32.
        num_clusters: Clusters in use.
        spec: Shapes, limits and starts of the model.
    """
    palettes, moves = [], []
    for start, size, shape in zip(spec.initial_kernels, spec.kernel_sizes, spec.kernel_shapes, strict=True):
        indices = (hashes(seed, start.tensor, size) * num_clusters) >> HASH_BITS
        codebook = uniform_codebook(start.limit, num_clusters, spec.max_clusters)
        palettes.append(Palette(codebook, indices.astype(np.uint8).reshape(shape)))
        moves.append(np.zeros(shape, np.uint8))
    return ReferenceModel(np.int32(num_clusters), tuple(palettes), tuple(moves), initial_others(seed, spec))
