"""TFLM's look-up tables: the bytes of their two tensors, made and read. NumPy alone.

Source: TensorFlow Lite for Microcontrollers, DECODE operator, type 0 (look-up table), version 1.

Ancillary tensor: byte 0 the type 0, byte 1 the version 1, bytes 2-3 zero, byte 4 the table format's version, byte 5
the channel axis in the high four bits (15: one table for all) and the bits per index in the low three, byte 6 the
number of values per table, bytes 7-15 zero, then the tables. Indices are packed with the highest bit first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tfc.base.errors import ModelFileError

DECODE_OPERATOR = "TFLM_DECODE"
METADATA_BYTES = 16
"""Bytes before the tables."""

_LOOK_UP_TABLE, _VERSION, _TABLE_VERSION = 0, 1, 1
_ONE_TABLE = 15


def pack_indices(indices: np.ndarray, width: int) -> np.ndarray:
    """Packs indices, the highest bit first.

    Args:
        indices: Integers below 2^width, any shape.
        width: Bits per index, 1 to 7.

    Returns:
        uint8 (bytes,).
    """
    shifts = np.arange(width - 1, -1, -1, dtype=np.uint8)
    bits = (indices.reshape(-1, 1).astype(np.uint8) >> shifts) & 1
    return np.packbits(bits.reshape(-1))


def unpack_indices(packed: np.ndarray, width: int, count: int) -> np.ndarray:
    """Returns what `pack_indices` packed, uint8 (count,).

    Args:
        packed: uint8 (bytes,).
        width: Bits per index.
        count: Number of indices.
    """
    bits = np.unpackbits(packed, count=count * width).reshape(count, width)
    return np.packbits(bits, axis=1)[:, 0] >> (8 - width)


@dataclass(frozen=True)
class LookUpTables:
    """A kernel as tables and indices.

    Attributes:
        tables: int8 (channels, values), or (1, values).
        width: Bits per index, 1 to 7.
        channel_axis: Axis of the kernel with a table for each channel; None for one table.
        indices: uint8 (bytes,), packed.
    """

    tables: np.ndarray
    width: int
    channel_axis: int | None
    indices: np.ndarray

    @property
    def num_bytes(self) -> int:
        """Bytes of both tensors."""
        return METADATA_BYTES + self.tables.size + len(self.indices)

    def ancillary(self) -> np.ndarray:
        """Returns metadata and tables, uint8 (bytes,)."""
        axis = _ONE_TABLE if self.channel_axis is None else self.channel_axis
        head = np.zeros(METADATA_BYTES, np.uint8)
        head[:2] = _LOOK_UP_TABLE, _VERSION
        head[4:7] = _TABLE_VERSION, axis << 4 | self.width, self.tables.shape[1]
        return np.concatenate([head, self.tables.reshape(-1).view(np.uint8)])

    @classmethod
    def read(cls, indices: np.ndarray, ancillary: np.ndarray) -> LookUpTables:
        """Reads the two tensors.

        Args:
            indices: uint8 (bytes,).
            ancillary: uint8 (bytes,).

        Raises:
            ModelFileError: If they are not of this type and version.
        """
        if len(ancillary) < METADATA_BYTES or tuple(ancillary[:2]) != (_LOOK_UP_TABLE, _VERSION):
            raise ModelFileError(f"a {DECODE_OPERATOR} operator is not a look-up table of version {_VERSION}")
        if ancillary[4] != _TABLE_VERSION:
            raise ModelFileError(f"a look-up table has version {ancillary[4]}; {_TABLE_VERSION} is supported")
        axis, width, stride = int(ancillary[5]) >> 4, int(ancillary[5]) & 7, int(ancillary[6])
        tables = ancillary[METADATA_BYTES:].view(np.int8)
        if not width or not stride or len(tables) % stride:
            raise ModelFileError("a look-up table's metadata contradict its length")
        return cls(tables.reshape(-1, stride), width, None if axis == _ONE_TABLE else axis, indices)

    def expand(self, shape: tuple[int, ...]) -> np.ndarray:
        """Returns the kernel, int8.

        Args:
            shape: Its shape.

        Raises:
            ModelFileError: If tables or indices do not fit the shape.
        """
        count = math.prod(shape)
        axis = self.channel_axis
        channels = 1 if axis is None else (shape[axis] if axis < len(shape) else -1)
        if 8 * len(self.indices) < count * self.width or len(self.tables) != channels:
            raise ModelFileError(f"a look-up table does not fit its kernel of shape {shape}")
        indices = unpack_indices(self.indices, self.width, count).reshape(shape).astype(np.int64)
        if int(indices.max(initial=0)) >= self.tables.shape[1]:
            raise ModelFileError("a look-up table has indices beyond its values")
        if axis is None:
            return self.tables[0][indices]
        place = np.arange(channels).reshape([-1 if number == axis else 1 for number in range(len(shape))])
        return self.tables[place, indices]
