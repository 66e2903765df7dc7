"""FlatBuffers by position: tables, fields, vectors. NumPy alone.

Every position is checked against the length of the file.

Source: FlatBuffers internals. A table's fields are found through its vtable.
"""

from __future__ import annotations

import struct

import numpy as np

from tfc.base.errors import ModelFileError

_MOST_RATIO, _FREE_BYTES = 8, 1 << 20
"""Bytes that tables may name: so many times the file's own, since they may share vectors, and so many beyond."""


class FlatBytes:
    """A FlatBuffer: tables by position. Damage raises ModelFileError, or struct.error at the file's end."""

    def __init__(self, content: bytes) -> None:
        """Opens a file's content.

        Args:
            content: Of a FlatBuffer.
        """
        self.content = content
        self._left = _MOST_RATIO * len(content) + _FREE_BYTES

    def charge(self, count: int) -> None:
        """Counts bytes that are named; a file in which many tables share a vector could name any number of them."""
        self._left -= count
        if self._left < 0:
            raise ModelFileError(
                f"damaged: its tables name more than {_MOST_RATIO} times the {len(self.content):,} bytes of the file"
            )

    def number(self, format_: str, position: int) -> int:
        """The number at a position, in a format of `struct`."""
        return int(struct.unpack_from("<" + format_, self.content, position)[0])

    def follow(self, position: int) -> int:
        """The position that an offset points to."""
        target = position + self.number("I", position)
        if target + 4 > len(self.content):
            raise ModelFileError("damaged: an offset leads beyond the end of the file")
        return target

    def field(self, table: int, place: int) -> int:
        """Position of a field; 0 where the table has none."""
        vtable = table - self.number("i", table)
        if vtable < 0:
            raise ModelFileError("damaged: a table's description lies before the file")
        if 4 + 2 * place >= self.number("H", vtable):
            return 0
        offset = self.number("H", vtable + 4 + 2 * place)
        return table + offset if offset else 0

    def scalar(self, table: int, place: int, format_: str, default: int = 0) -> int:
        """A field that is a number; `default` where the table has none."""
        position = self.field(table, place)
        return self.number(format_, position) if position else default

    def vector(self, table: int, place: int) -> tuple[int, int]:
        """Position of a vector's first element, and the number of its elements; (0, 0) where there is none."""
        position = self.field(table, place)
        if not position:
            return 0, 0
        start = self.follow(position)
        return start + 4, self.number("I", start)

    def tables(self, table: int, place: int) -> list[int]:
        """Positions of the tables in a vector of offsets."""
        start, count = self.vector(table, place)
        if count > len(self.content) // 4:
            raise ModelFileError("damaged: a vector is longer than the file")
        self.charge(4 * count)
        return [self.follow(start + 4 * number) for number in range(count)]

    def array(self, table: int, place: int, type_: str) -> np.ndarray:
        """The elements of a vector, little endian."""
        start, count = self.vector(table, place)
        dtype = np.dtype(type_).newbyteorder("<")
        if start + count * dtype.itemsize > len(self.content):
            raise ModelFileError("damaged: a vector ends beyond the file")
        self.charge(count * dtype.itemsize)
        return np.frombuffer(self.content, dtype, count, start)
