"""One model as bytes, format 1: what both ends hold is not sent again. NumPy alone.

A clustered kernel travels as a codebook and entropy-coded cluster indices. Where the receiver holds a base (the last
broadcast), an index is coded *given* the index at the same place in the base, as the step between the ranks of the two
centroids in the new codebook: 0 where nothing changed, small where it did. Without a base (a key frame) the rank itself
is coded. Codebooks and all other parameters are 16-bit floats with a common exponent per tensor; the scalars beside the
model are 32-bit floats. A model without clustered kernels (FedAvg's) keeps 32-bit floats throughout.

`docs/wire-format.md` names every byte; `tfc.codec.graph` writes and reads the same ones inside a TensorFlow graph.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tfc.codec import rans, tables
from tfc.codec.palette import UNUSED_CENTROID, Palette

MAGIC = b"FC"
FORMAT_VERSION = 1
KEY_FRAME, DELTA = 0, 1
HEADER_BYTES = 12
TRAILER_BYTES = 4
SMALLEST_EXPONENT, LARGEST_EXPONENT = -100, 100
HALF_OF_LAST_BIT = 1 << 12
"""Added to a float32's bits, it carries into the exponent exactly where rounding to float16's mantissa does."""


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
    def num_indices(self) -> int:
        """Number of cluster indices of all kernels."""
        return sum(self.kernel_sizes)

    @property
    def alphabet(self) -> int:
        """Number of different symbols that the entropy coder may meet."""
        return 2 * self.max_clusters - 1

    @property
    def lanes(self) -> int:
        """Lanes of the entropy coder."""
        return rans.lanes_for(self.num_indices)


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


def float32_message_bytes(num_parameters: int, num_scalars: int) -> int:
    """Returns the length in bytes of a message that holds every parameter as float32.

    Args:
        num_parameters: Number of parameters.
        num_scalars: Values beside the model.
    """
    return HEADER_BYTES + 4 * (num_scalars + num_parameters) + TRAILER_BYTES


def base_checksum(palettes: tuple[Palette, ...]) -> int:
    """Returns the Adler-32 of a base's cluster indices, by which a message names the base it refers to.

    Args:
        palettes: The base's palettes; shape and order as in the message.
    """
    checksum = 1
    for palette in palettes:
        checksum = zlib.adler32(np.asarray(palette.indices, np.uint8).tobytes(), checksum)
    return checksum


def exponent_of(values: np.ndarray) -> int:
    """Returns floor(log2(largest magnitude)) after rounding it to float16's 11 bits, within the format's limits.

    Without the rounding, a magnitude just below a power of two would have another exponent once it was decoded, and a
    decoded model would not be exactly representable any more.

    Args:
        values: float32 array of any shape.
    """
    largest = np.abs(values).max(initial=0.0).astype(np.float32)
    exponent = int((int(largest.view(np.int32)) + HALF_OF_LAST_BIT) >> 23) - 127
    return min(max(exponent, SMALLEST_EXPONENT), LARGEST_EXPONENT)


def _to_halves(values: np.ndarray, exponent: int) -> bytes:
    return (values.astype(np.float32) * np.float32(2.0**-exponent)).astype("<f2").tobytes()


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


def _zigzag(steps: np.ndarray) -> np.ndarray:
    return np.where(steps > 0, 2 * steps - 1, -2 * steps)


def _unzigzag(symbols: np.ndarray) -> np.ndarray:
    return np.where(symbols % 2 == 1, (symbols + 1) // 2, -(symbols // 2))


def encode(message: Message, spec: MessageSpec, base: tuple[Palette, ...] | None = None) -> bytes:
    """Encodes a message.

    Args:
        message: NumPy arrays with the shapes of `spec`, finite; every index below `num_clusters`.
        spec: Shapes of the model.
        base: Palettes that the receiver holds; None for a key frame.

    Returns:
        The payload.

    Raises:
        CodecError: If the message or the base does not fit the specification.
    """
    shapes = tuple(np.shape(palette.indices) for palette in message.palettes)
    if shapes != spec.kernel_shapes or tuple(np.shape(other) for other in message.others) != spec.other_shapes:
        raise CodecError("the message's shapes differ from the specification's")
    if base is not None and tuple(np.shape(palette.indices) for palette in base) != spec.kernel_shapes:
        raise CodecError("the base's shapes differ from the specification's")
    base = base if spec.kernel_shapes else None  # nothing else is coded given the base
    num_clusters = int(message.num_clusters) if spec.kernel_shapes else 0
    if spec.kernel_shapes and not 1 <= num_clusters <= spec.max_clusters:
        raise CodecError(f"num_clusters must be between 1 and {spec.max_clusters}, found {num_clusters}")
    kind = KEY_FRAME if base is None else DELTA
    parts = [
        MAGIC,
        bytes([FORMAT_VERSION, kind]),
        (0 if base is None else base_checksum(base)).to_bytes(4, "little"),
        num_clusters.to_bytes(2, "little"),
        bytes([spec.lanes - 1, 0]),
        np.asarray(message.scalars, "<f4").tobytes(),
    ]
    words = b""
    if spec.kernel_shapes:
        kernel_parts, words = _encode_kernels(message, spec, base, num_clusters)
        parts.extend(kernel_parts)
        exponents = [exponent_of(other) for other in message.others]
        parts.append(np.array(exponents, np.int8).tobytes())
        parts.extend(_to_halves(other, exponent) for other, exponent in zip(message.others, exponents, strict=True))
    else:
        parts.extend(np.asarray(other, "<f4").tobytes() for other in message.others)
    payload = b"".join([*parts, words])
    return payload + zlib.adler32(payload).to_bytes(4, "little")


def _encode_kernels(
    message: Message, spec: MessageSpec, base: tuple[Palette, ...] | None, num_clusters: int
) -> tuple[list[bytes], bytes]:
    exponents = [exponent_of(palette.codebook[:num_clusters]) for palette in message.palettes]
    books, symbols, counts = [], [], []
    for number, (palette, exponent) in enumerate(zip(message.palettes, exponents, strict=True)):
        indices = np.asarray(palette.indices, np.int64).reshape(-1)
        if indices.size and indices.max() >= num_clusters:
            raise CodecError(f"cluster index {indices.max()} is not below the number of clusters {num_clusters}")
        books.append(_to_halves(palette.codebook[:num_clusters], exponent))
        # Ranks follow the codebook that the receiver will see, not the one before rounding.
        ranks = ranks_of(_Reader(books[-1]).halves(num_clusters, exponent, "codebook"))
        coded = ranks[indices]
        if base is not None:
            held = np.minimum(np.asarray(base[number].indices, np.int64).reshape(-1), num_clusters - 1)
            coded = _zigzag(coded - ranks[held])
        symbols.append(coded)
        counts.append(np.bincount(coded, minlength=spec.alphabet))
    codes = tables.codes_of(np.stack(counts))
    lengths = spec.alphabet - (codes[:, ::-1] > 0).argmax(axis=1)
    lengths = np.where((codes > 0).any(axis=1), lengths, 0)
    states, words = rans.encode(np.concatenate(symbols), _contexts(spec), tables.frequencies_of(codes), spec.lanes)
    parts = [
        np.array(exponents, np.int8).tobytes(),
        *books,
        lengths.astype("<u2").tobytes(),
        *(row[:length].tobytes() for row, length in zip(codes, lengths, strict=True)),
        states.astype("<u4").tobytes(),
    ]
    return parts, words.astype("<u2").tobytes()


def _contexts(spec: MessageSpec) -> np.ndarray:
    return np.repeat(np.arange(len(spec.kernel_sizes)), spec.kernel_sizes)


def _padded(centroids: np.ndarray, max_clusters: int) -> np.ndarray:
    codebook = np.full(max_clusters, UNUSED_CENTROID, np.float32)
    codebook[: len(centroids)] = centroids
    return codebook


class _Reader:
    """Takes bytes from the front of a payload and knows where it is."""

    def __init__(self, payload: bytes) -> None:
        self.payload, self.position = payload, 0

    def take(self, count: int, what: str) -> bytes:
        end = self.position + count
        if end > len(self.payload):
            raise CodecError(f"the message ends at byte {len(self.payload)}, inside its {what} (to byte {end})")
        piece = self.payload[self.position : end]
        self.position = end
        return piece

    def array(self, dtype: str, count: int, what: str) -> np.ndarray:
        start = self.position
        values = np.frombuffer(self.take(count * np.dtype(dtype).itemsize, what), dtype)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise CodecError(f"from byte {start}: {what} that are not finite")
        return values

    def exponents(self, count: int, what: str) -> list[int]:
        start = self.position
        values = [int(value) for value in self.array("i1", count, what)]
        if not all(SMALLEST_EXPONENT <= value <= LARGEST_EXPONENT for value in values):
            raise CodecError(f"from byte {start}: {what} outside of {SMALLEST_EXPONENT} to {LARGEST_EXPONENT}")
        return values

    def halves(self, count: int, exponent: int, what: str) -> np.ndarray:
        return self.array("<f2", count, what).astype(np.float32) * np.float32(2.0**exponent)


def decode(payload: bytes, spec: MessageSpec, base: tuple[Palette, ...] | None = None) -> Message:
    """Decodes a message.

    Args:
        payload: What `encode` returned.
        spec: Shapes of the model.
        base: Palettes that this end holds; None where it holds none.

    Returns:
        The message; codebooks are filled up to `max_clusters` slots with `UNUSED_CENTROID`.

    Raises:
        CodecError: If the bytes are no message of this form, are damaged, or refer to another base.
    """
    reader = _Reader(payload)
    header = reader.take(HEADER_BYTES, "header")
    if header[:2] != MAGIC:
        raise CodecError(f"byte 0: {header[:2].hex()} is not the magic {MAGIC.hex()}")
    if header[2] != FORMAT_VERSION:
        raise CodecError(f"byte 2: format version {header[2]}, this program reads version {FORMAT_VERSION}")
    if len(payload) < HEADER_BYTES + TRAILER_BYTES:
        raise CodecError(f"the message ends at byte {len(payload)}, inside its checksum")
    checksum = int.from_bytes(payload[-TRAILER_BYTES:], "little")
    if zlib.adler32(payload[:-TRAILER_BYTES]) != checksum:
        raise CodecError(f"byte {len(payload) - TRAILER_BYTES}: the checksum does not match, the message is damaged")
    reader.payload = payload[:-TRAILER_BYTES]
    kind, named_base = header[3], int.from_bytes(header[4:8], "little")
    if kind not in (KEY_FRAME, DELTA):
        raise CodecError(f"byte 3: unknown kind {kind}")
    if kind == DELTA:
        if base is None:
            raise CodecError(f"byte 3: the message refers to base {named_base:08x}, this end holds none")
        if base_checksum(base) != named_base:
            raise CodecError(f"byte 4: the message refers to base {named_base:08x}, held is {base_checksum(base):08x}")
    num_clusters = int.from_bytes(header[8:10], "little")
    allowed = (1, spec.max_clusters) if spec.kernel_shapes else (0, 0)
    if not allowed[0] <= num_clusters <= allowed[1]:
        raise CodecError(f"byte 8: {num_clusters} clusters, allowed are {allowed[0]} to {allowed[1]}")
    if header[10] != spec.lanes - 1 or header[11]:
        raise CodecError(f"byte 10: {header[10] + 1} lanes, the model asks for {spec.lanes}")

    scalars = reader.array("<f4", spec.num_scalars, "scalars").astype(np.float32)
    palettes: tuple[Palette, ...] = ()
    if not spec.kernel_shapes:
        others = tuple(
            reader.array("<f4", size, "parameters").astype(np.float32).reshape(shape)
            for size, shape in zip(spec.other_sizes, spec.other_shapes, strict=True)
        )
        if reader.position != len(reader.payload):
            raise CodecError(f"byte {reader.position}: {len(reader.payload) - reader.position} bytes too many")
    else:
        held = base if kind == DELTA else None
        palettes, others = _decode_kernels(reader, spec, held, num_clusters)
    return Message(np.int32(num_clusters), palettes, others, scalars)


def _decode_kernels(
    reader: _Reader, spec: MessageSpec, base: tuple[Palette, ...] | None, num_clusters: int
) -> tuple[tuple[Palette, ...], tuple[np.ndarray, ...]]:
    books = [
        _padded(reader.halves(num_clusters, exponent, "codebooks"), spec.max_clusters)
        for exponent in reader.exponents(len(spec.kernel_shapes), "exponents of codebooks")
    ]
    start = reader.position
    lengths = reader.array("<u2", len(spec.kernel_shapes), "lengths of tables")
    if lengths.max() > spec.alphabet:
        raise CodecError(f"byte {start}: a table of {lengths.max()} symbols, at most {spec.alphabet} are possible")
    codes = np.zeros((len(lengths), spec.alphabet), np.uint8)
    start = reader.position
    for row, length in zip(codes, lengths, strict=True):
        row[:length] = reader.array("u1", int(length), "tables")
    if codes.max() >= len(tables.CODE_VALUES):
        raise CodecError(f"from byte {start}: {codes.max()} is no code of a frequency")
    states = reader.array("<u4", spec.lanes, "states of the entropy coder")
    other_exponents = reader.exponents(len(spec.other_shapes), "exponents of parameters")
    others = tuple(
        reader.halves(size, exponent, "parameters").reshape(shape)
        for size, shape, exponent in zip(spec.other_sizes, spec.other_shapes, other_exponents, strict=True)
    )
    start = reader.position
    if (len(reader.payload) - start) % 2:
        raise CodecError(f"byte {start}: the entropy-coded words have an odd number of bytes")
    words = reader.array("<u2", (len(reader.payload) - start) // 2, "words")
    symbols, sound = rans.decode(states, words, _contexts(spec), tables.frequencies_of(codes))
    if not sound:
        raise CodecError(f"from byte {start}: the entropy-coded indices do not end as they should")
    palettes = []
    for number, piece in enumerate(np.split(symbols, np.cumsum(spec.kernel_sizes)[:-1])):
        ranks = ranks_of(books[number][:num_clusters])
        coded = piece
        if base is not None:
            held = np.minimum(np.asarray(base[number].indices, np.int64).reshape(-1), num_clusters - 1)
            coded = ranks[held] + _unzigzag(piece)
        if coded.size and not (coded.min() >= 0 and coded.max() < num_clusters):
            raise CodecError(f"from byte {start}: an index of kernel {number} is outside of 0 to {num_clusters - 1}")
        slots = np.argsort(ranks, kind="stable")[coded]
        palettes.append(Palette(books[number], slots.astype(np.uint8).reshape(spec.kernel_shapes[number])))
    return tuple(palettes), others
