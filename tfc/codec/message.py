"""One model as bytes, format 0: indices packed at ceil(log2 C) bits, float32 for all else. NumPy alone.

Layout, little endian:

| bytes | what |
|---|---|
| 1 | format version, 0 |
| 1 | reserved, 0 |
| 2 | number of clusters C, uint16; 0 where the model has no clustered kernel |
| 4 S | the S scalars, float32 |
| 4 C per kernel | codebooks in the order of the kernels, float32 |
| ceil(N b / 8) | the indices of all kernels in one stream, b = ceil(log2 C) bits each, least significant bit first |
| 4 M | all other parameters in order, float32 |

`tfc.codec.graph` writes and reads the same bytes inside a TensorFlow graph.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tfc.codec.palette import UNUSED_CENTROID, Palette, index_bits, pack_indices, unpack_indices

FORMAT_VERSION = 0
HEADER_BYTES = 4


class CodecError(ValueError):
    """Bytes that are no message of the expected form; says what is wrong and at which byte."""


@dataclass(frozen=True)
class MessageSpec:
    """What both ends know of a message beforehand.

    Attributes:
        kernel_shapes: Shape of each clustered kernel, in order.
        other_shapes: Shape of each other parameter (BatchNorm, biases, unclustered kernels), in order.
        max_clusters: Slots of a codebook, 1 to 256.
        num_scalars: Number of float32 values that travel beside the model.
    """

    kernel_shapes: tuple[tuple[int, ...], ...]
    other_shapes: tuple[tuple[int, ...], ...]
    max_clusters: int
    num_scalars: int = 0

    @property
    def kernel_sizes(self) -> tuple[int, ...]:
        """Number of weights of each clustered kernel."""
        return tuple(math.prod(shape) for shape in self.kernel_shapes)

    @property
    def other_sizes(self) -> tuple[int, ...]:
        """Number of values of each other parameter."""
        return tuple(math.prod(shape) for shape in self.other_shapes)

    @property
    def num_parameters(self) -> int:
        """Number of all parameters."""
        return sum(self.kernel_sizes) + sum(self.other_sizes)


class Message(NamedTuple):
    """A model and the scalars beside it: what a payload says.

    Attributes:
        num_clusters: int32 scalar, clusters in use; 0 where no kernel is clustered.
        palettes: One `Palette` per clustered kernel.
        others: float32 arrays, all other parameters.
        scalars: float32, shape (num_scalars,).
    """

    num_clusters: Any
    palettes: tuple[Palette, ...]
    others: tuple[Any, ...]
    scalars: Any


def message_bytes(spec: MessageSpec, num_clusters: int) -> int:
    """Returns the length in bytes of a message.

    Args:
        spec: Shapes of the model.
        num_clusters: Clusters in use; ignored where the model has no clustered kernel.
    """
    floats = spec.num_scalars + sum(spec.other_sizes)
    if not spec.kernel_shapes:
        return HEADER_BYTES + 4 * floats
    packed = (sum(spec.kernel_sizes) * index_bits(num_clusters) + 7) // 8
    return HEADER_BYTES + 4 * (floats + num_clusters * len(spec.kernel_shapes)) + packed


def encode(message: Message, spec: MessageSpec) -> bytes:
    """Encodes a message.

    Args:
        message: NumPy arrays with the shapes of `spec`; every index below `num_clusters`.
        spec: Shapes of the model.

    Returns:
        `message_bytes(spec, num_clusters)` bytes.

    Raises:
        CodecError: If the message does not fit the specification.
    """
    num_clusters = int(message.num_clusters) if spec.kernel_shapes else 0
    if spec.kernel_shapes and not 1 <= num_clusters <= spec.max_clusters:
        raise CodecError(f"num_clusters must be between 1 and {spec.max_clusters}, found {num_clusters}")
    shapes = tuple(np.shape(palette.indices) for palette in message.palettes)
    if shapes != spec.kernel_shapes or tuple(np.shape(other) for other in message.others) != spec.other_shapes:
        raise CodecError("the message's shapes differ from the specification's")
    parts = [
        bytes([FORMAT_VERSION, 0]),
        num_clusters.to_bytes(2, "little"),
        np.asarray(message.scalars, "<f4").tobytes(),
        *(np.asarray(palette.codebook[:num_clusters], "<f4").tobytes() for palette in message.palettes),
    ]
    if message.palettes:
        indices = np.concatenate([np.asarray(palette.indices, np.uint8).reshape(-1) for palette in message.palettes])
        if indices.size and int(indices.max()) >= num_clusters:
            raise CodecError(f"cluster index {int(indices.max())} is not below the number of clusters {num_clusters}")
        parts.append(pack_indices(indices, index_bits(num_clusters)))
    parts.extend(np.asarray(other, "<f4").tobytes() for other in message.others)
    return b"".join(parts)


def decode(payload: bytes, spec: MessageSpec) -> Message:
    """Decodes a message.

    Args:
        payload: What `encode` returned.
        spec: Shapes of the model.

    Returns:
        The message; codebooks are filled up to `max_clusters` slots with `UNUSED_CENTROID`.

    Raises:
        CodecError: If the bytes are no message of this form.
    """
    if len(payload) < HEADER_BYTES:
        raise CodecError(f"the message ends at byte {len(payload)}, inside its header of {HEADER_BYTES} bytes")
    if payload[0] != FORMAT_VERSION:
        raise CodecError(f"byte 0: format version {payload[0]}, this program reads version {FORMAT_VERSION}")
    num_clusters = int.from_bytes(payload[2:4], "little")
    allowed = (1, spec.max_clusters) if spec.kernel_shapes else (0, 0)
    if not allowed[0] <= num_clusters <= allowed[1]:
        raise CodecError(f"byte 2: {num_clusters} clusters, allowed are {allowed[0]} to {allowed[1]}")
    expected = message_bytes(spec, num_clusters)
    if len(payload) != expected:
        raise CodecError(f"the message has {len(payload)} bytes, its header and the model ask for {expected}")

    position = HEADER_BYTES

    def floats(count: int) -> np.ndarray:
        nonlocal position
        values = np.frombuffer(payload, "<f4", count, position).astype(np.float32)
        position += 4 * count
        return values

    scalars = floats(spec.num_scalars)
    codebooks = [np.full(spec.max_clusters, UNUSED_CENTROID, np.float32) for _ in spec.kernel_shapes]
    for codebook in codebooks:
        codebook[:num_clusters] = floats(num_clusters)
    palettes: list[Palette] = []
    if spec.kernel_shapes:
        total = sum(spec.kernel_sizes)
        bits = index_bits(num_clusters)
        length = (total * bits + 7) // 8
        stream = unpack_indices(payload[position : position + length], total, bits)
        if stream.size and int(stream.max()) >= num_clusters:
            raise CodecError(f"from byte {position}: cluster index {int(stream.max())} of {num_clusters} clusters")
        position += length
        pieces = np.split(stream, np.cumsum(spec.kernel_sizes)[:-1])
        palettes = [
            Palette(codebook, piece.reshape(shape))
            for codebook, piece, shape in zip(codebooks, pieces, spec.kernel_shapes, strict=True)
        ]
    others = tuple(floats(size).reshape(shape) for size, shape in zip(spec.other_sizes, spec.other_shapes, strict=True))
    return Message(np.int32(num_clusters), tuple(palettes), others, scalars)
