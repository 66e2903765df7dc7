"""Reads a payload from its front, checking as it goes. NumPy alone."""

from __future__ import annotations

import math
import zlib

import numpy as np

from tfc.base.errors import CodecError
from tfc.codec import differences
from tfc.codec.message_spec import FORMAT_VERSION, HEADER_BYTES, MAGIC, TRAILER_BYTES, Kind, MessageSpec, ReferenceModel


def reference_checksum(held: ReferenceModel) -> int:
    """Returns the Adler-32 of a held model, by which a message names what it is coded given.

    Args:
        held: The model; shapes and order as in the message.
    """
    checksum = 1
    for palette in held.palettes:
        checksum = zlib.adler32(np.asarray(palette.indices, np.uint8).tobytes(), checksum)
    for move in held.moves:
        checksum = zlib.adler32(np.asarray(move, np.uint8).tobytes(), checksum)
    for values in (*(palette.codebook for palette in held.palettes), *held.others):
        checksum = zlib.adler32(np.asarray(values, "<f4").tobytes(), checksum)
    return checksum


class PayloadReader:
    """Takes bytes from the front of a payload and knows where it is.

    Attributes:
        payload: The bytes; without their checksum once `read_header` has seen it.
        position: Where the next piece starts.
    """

    def __init__(self, payload: bytes) -> None:
        """Starts at the front.

        Args:
            payload: The bytes.
        """
        self.payload, self.position = payload, 0

    def take(self, count: int, what: str) -> bytes:
        """Returns the next bytes; `what` they are is said where there are too few."""
        end = self.position + count
        if end > len(self.payload):
            raise CodecError(f"the message ends at byte {len(self.payload)}, inside its {what} (to byte {end})")
        piece = self.payload[self.position : end]
        self.position = end
        return piece

    def array(self, dtype: str, count: int, what: str) -> np.ndarray:
        """Returns the next numbers; floats have to be finite."""
        start = self.position
        values = np.frombuffer(self.take(count * np.dtype(dtype).itemsize, what), dtype)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise CodecError(f"from byte {start}: {what} that are not finite")
        return values

    def exponents(self, count: int, what: str) -> np.ndarray:
        """Returns the next exponents, int64, which have to be within the format's limits."""
        start = self.position
        values = self.array("i1", count, what).astype(np.int64)
        if values.size and np.abs(values).max() > differences.LARGEST_EXPONENT:
            limits = f"{differences.SMALLEST_EXPONENT} to {differences.LARGEST_EXPONENT}"
            raise CodecError(f"from byte {start}: {what} outside of {limits}")
        return values


def read_header(reader: PayloadReader, spec: MessageSpec, held: ReferenceModel | None) -> tuple[Kind, int]:
    """Checks what surrounds a message; the reader then stands behind the header and ends before the checksum.

    Args:
        reader: At the front of a payload.
        spec: Shapes of the model.
        held: What this end holds.

    Returns:
        Kind of the message and number of clusters.

    Raises:
        CodecError: If this is no message, it is damaged, of another kind, or refers to something else.
    """
    payload, header = reader.payload, reader.take(HEADER_BYTES, "header")
    if header[:2] != MAGIC:
        raise CodecError(f"byte 0: {header[:2].hex()} is not the magic {MAGIC.hex()}")
    if header[2] != FORMAT_VERSION:
        raise CodecError(f"byte 2: format version {header[2]}, this program reads version {FORMAT_VERSION}")
    if len(payload) < HEADER_BYTES + TRAILER_BYTES:
        raise CodecError(f"the message ends at byte {len(payload)}, inside its checksum")
    if len(payload) > spec.most_bytes:
        raise CodecError(f"byte {spec.most_bytes}: {len(payload)} bytes, no message of this model has so many")
    checksum = int.from_bytes(payload[-TRAILER_BYTES:], "little")
    if zlib.adler32(payload[:-TRAILER_BYTES]) != checksum:
        raise CodecError(f"byte {len(payload) - TRAILER_BYTES}: the checksum does not match, the message is damaged")
    reader.payload = payload[:-TRAILER_BYTES]
    if header[3] not in (spec.kinds if spec.kernel_shapes else (Kind.KEY_FRAME,)):
        raise CodecError(f"byte 3: kind {header[3]} is not expected here")
    kind, named = Kind(header[3]), int.from_bytes(header[4:8], "little")
    if kind.refers:
        if held is None:
            raise CodecError(f"byte 3: the message refers to model {named:08x}, this end holds none")
        if reference_checksum(held) != named:
            raise CodecError(f"byte 4: the message refers to model {named:08x}, held is {reference_checksum(held):08x}")
    elif named:
        raise CodecError(f"byte 4: a message of kind {kind} refers to no model, found {named:08x}")
    num_clusters = int.from_bytes(header[8:10], "little")
    lowest, highest = (1, spec.max_clusters) if spec.kernel_shapes else (0, 0)
    if kind == Kind.UPDATE:
        lowest = spec.max_clusters  # an update uses all its slots
    if not lowest <= num_clusters <= highest:
        raise CodecError(f"byte 8: {num_clusters} clusters, allowed are {lowest} to {highest}")
    if header[10] != spec.lanes.bit_length() - 1 or header[11]:
        raise CodecError(f"byte 10: 2^{header[10]} lanes, the model asks for {spec.lanes}")
    return kind, num_clusters


def check_end(reader: PayloadReader) -> None:
    """Refuses bytes behind the last piece.

    Args:
        reader: Behind the last piece.

    Raises:
        CodecError: If there are any.
    """
    if reader.position != len(reader.payload):
        raise CodecError(f"byte {reader.position}: {len(reader.payload) - reader.position} bytes too many")


def read_floats(reader: PayloadReader, shapes: tuple[tuple[int, ...], ...]) -> tuple[np.ndarray, ...]:
    """Returns float32 parameters.

    Args:
        reader: In front of them.
        shapes: Their shapes.

    Raises:
        CodecError: If there are too few bytes, or a number is not finite.
    """
    return tuple(
        reader.array("<f4", math.prod(shape), "parameters").astype(np.float32).reshape(shape) for shape in shapes
    )
