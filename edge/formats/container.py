"""The container of patches, and of packed files of version 1: a header with checksums, and a body. NumPy alone.

Layout, little endian (`docs/model-files.md`):

| bytes | what |
|---:|---|
| 4 | magic: `FCPK` for a packed file, `FCPP` for a patch |
| 1 | version, 1 |
| 3 | zeros |
| 4 + 4 | length and CRC-32 of the file that comes out |
| 4 + 4 | length and CRC-32 of the file it is made from (a patch's base; else zeros) |
| 4 | number of kernels |
| 4 | length of the compressed rest |
| 4 | length of the rest |
| | rest, compressed; the kernels' stream to the end |
"""

from __future__ import annotations

import lzma
import os
import struct
import zlib
from typing import NamedTuple

import numpy as np

from tfc.base.errors import ModelFileError

VERSION = 1
_HEAD = struct.Struct("<4sB3xIIIIIII")
_LARGEST_FILE = 1 << 30
_FREE_BYTES, _MOST_RATIO = 4 << 20, 64
"""Models pack two to twenty times; what packs more is of zeros, or was made to fill the memory."""
SMALLEST_KERNEL = 128
"""Smallest kernel, in bytes, for which a table of frequencies saves space."""

_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 0, "lp": 0, "pb": 0}]


def most_unpacked(packed_bytes: int) -> int:
    """Returns the bytes that a packed file may unpack to: a multiple of its own, and a part of this device's memory.

    Args:
        packed_bytes: Its length.
    """
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        memory = 4 * _LARGEST_FILE
    return min(_LARGEST_FILE, memory // 4, _FREE_BYTES + _MOST_RATIO * packed_bytes)


class FileName(NamedTuple):
    """A file's identity.

    Attributes:
        length: Bytes.
        checksum: CRC-32.
    """

    length: int
    checksum: int

    @classmethod
    def of(cls, content: bytes) -> FileName:
        """Returns that of a file.

        Args:
            content: Of the file.
        """
        return cls(len(content), zlib.crc32(content))


NO_FILE = FileName(0, 0)


class Container(NamedTuple):
    """A packed file or a patch.

    Attributes:
        magic: Its kind.
        result: The file that comes out.
        base: The file it is made from.
        num_kernels: Kernels in the stream.
        rest: Everything that is not in the stream.
        stream: The kernels' stream.
    """

    magic: bytes
    result: FileName
    base: FileName
    num_kernels: int
    rest: bytes
    stream: bytes

    def to_bytes(self) -> bytes:
        """Returns the container's bytes."""
        rest = lzma.compress(self.rest, lzma.FORMAT_RAW, filters=_FILTERS)
        head = _HEAD.pack(self.magic, VERSION, *self.result, *self.base, self.num_kernels, len(rest), len(self.rest))
        return head + rest + self.stream

    @classmethod
    def read(cls, content: bytes, magic: bytes, base_bytes: int = 0) -> Container:
        """Reads a container; what it declares is compared with its own length before anything is unpacked.

        Args:
            content: Its bytes.
            magic: The kind that is expected.
            base_bytes: Length of the file it is applied to; 0 for a packed file.

        Raises:
            ModelFileError: If it is of another kind or version, cut off, or damaged.
        """
        if content[:4] != magic:
            raise ModelFileError(f"bytes 0 to 3 are not {magic.decode()}")
        if len(content) < _HEAD.size:
            raise ModelFileError(f"cut off after {len(content)} bytes")
        _, version, length, checksum, base_length, base_checksum, kernels, packed, unpacked = _HEAD.unpack_from(content)
        if version != VERSION:
            raise ModelFileError(f"has version {version}; this program reads version {VERSION}")
        most = most_unpacked(len(content) + base_bytes)
        if max(length, unpacked) > most:
            raise ModelFileError(
                f"not plausible: declares {max(length, unpacked):,} bytes; a file of {len(content):,} bytes may stand "
                f"for {most:,} here"
            )
        if _HEAD.size + packed > len(content) or kernels > unpacked:
            raise ModelFileError("damaged: lengths in the head are not plausible")
        decompressor = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_FILTERS)
        try:
            rest = decompressor.decompress(content[_HEAD.size : _HEAD.size + packed], max_length=unpacked)
        except lzma.LZMAError as error:
            raise ModelFileError(f"damaged: {error}") from error
        if len(rest) != unpacked:
            raise ModelFileError("damaged: the compressed part is cut off")
        stream = content[_HEAD.size + packed :]
        return cls(magic, FileName(length, checksum), FileName(base_length, base_checksum), kernels, rest, stream)

    def checked(self, result: bytes) -> bytes:
        """Returns a restored file after checking its length and checksum.

        Args:
            result: What came out.

        Raises:
            ModelFileError: If it is something else.
        """
        if FileName.of(result) != self.result:
            raise ModelFileError("damaged: the restored file has another checksum than the original")
        return result


def places_to_bytes(places: np.ndarray) -> bytes:
    """Returns kernels' places as `read_places` reads them.

    Args:
        places: Integers (kernels, 2), first byte and number of bytes of each.
    """
    return bytes(places.astype("<u4").tobytes())


def read_places(container: Container, length: int) -> tuple[np.ndarray, bytes]:
    """Reads the kernels' places behind the first `length` bytes of a container's rest.

    Args:
        container: The container.
        length: Bytes of the file.

    Returns:
        int64 (kernels, 2), ascending, within the file and without overlap; and what follows them.

    Raises:
        ModelFileError: If they are not.
    """
    end = length + 8 * container.num_kernels
    if len(container.rest) < end:
        raise ModelFileError("damaged: the compressed part is too short")
    places = np.frombuffer(container.rest, "<u4", 2 * container.num_kernels, length).reshape(-1, 2).astype(np.int64)
    starts, ends = places[:, 0], places.sum(axis=1)
    # Without overlap there are no more kernels than the file has room for, whatever the head says.
    if (places[:, 1] < SMALLEST_KERNEL).any() or (ends > length).any() or (starts[1:] < ends[:-1]).any():
        raise ModelFileError("damaged: kernels overlap, or lie outside of the file")
    return places, container.rest[end:]


def without(content: bytes, places: np.ndarray) -> bytes:
    """Returns a file with some parts zeroed.

    Args:
        content: Of the file.
        places: uint32 (parts, 2), first byte and number of bytes of each.
    """
    rest = bytearray(content)
    for start, count in places.tolist():
        rest[start : start + count] = bytes(count)
    return bytes(rest)


def planes(values: bytes, size: int = 4) -> bytes:
    """Returns bytes grouped by their position in values: high bytes of floats are similar, low ones are not.

    Args:
        values: Any number of bytes; a remainder stays at the end.
        size: Bytes of a value.
    """
    whole = len(values) // size * size
    return np.frombuffer(values[:whole], np.uint8).reshape(-1, size).T.tobytes() + values[whole:]


def from_planes(grouped: bytes, size: int = 4) -> bytes:
    """Undoes `planes`.

    Args:
        grouped: What it returned.
        size: As it was then.
    """
    whole = len(grouped) // size * size
    return np.frombuffer(grouped[:whole], np.uint8).reshape(size, -1).T.tobytes() + grouped[whole:]
