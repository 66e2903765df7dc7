"""Reads packed files of version 1, as the project wrote them before its first release. NumPy alone.

Kernels of one-byte codes are coded with a table of frequencies each, and the rest of the file, its bytes grouped by
their position modulo four, is compressed by LZMA.
"""

from __future__ import annotations

import numpy as np

from edge.formats.container import Container, from_planes, read_places
from edge.formats.frequency_tables import ALPHABET, Palette
from edge.formats.kernel_stream import lanes_for
from tfc.base.errors import ModelFileError
from tfc.codec import rans


def _decoded(side: bytes, stream: bytes, sizes: list[int]) -> list[np.ndarray]:
    table, position = np.zeros((len(sizes), ALPHABET), np.int64), 0
    for number in range(len(sizes)):
        read, position = Palette.read(side, position)
        table[number] = read.row()
    lanes = lanes_for(sum(sizes))
    if position != len(side):
        raise ModelFileError("damaged: the compressed part is too long")
    if not sizes:
        if stream:
            raise ModelFileError("damaged: a stream without kernels")
        return []
    if len(stream) < 4 * lanes or len(stream) % 2:
        raise ModelFileError("damaged: the tables of frequencies or the stream are invalid")
    states, words = np.frombuffer(stream, "<u4", lanes), np.frombuffer(stream, "<u2", offset=4 * lanes)
    symbols, used, sound = rans.decode(states, words, np.repeat(np.arange(len(sizes)), sizes), table)
    if not sound or used != len(words):
        raise ModelFileError("damaged: the stream does not end where it should")
    return np.split(symbols.astype(np.uint8), np.cumsum(sizes)[:-1])


def unpack_version_1(packed: bytes, magic: bytes) -> bytes:
    """Restores a packed file.

    Args:
        packed: Its content.
        magic: Its first bytes.

    Raises:
        ModelFileError: If the bytes are damaged.
    """
    container = Container.read(packed, magic)
    length = container.result.length
    places, side = read_places(container, length)
    content = bytearray(from_planes(container.rest[:length]))
    codes = _decoded(side, container.stream, places[:, 1].tolist())
    for (start, count), kernel in zip(places.tolist(), codes, strict=True):
        content[start : start + count] = kernel.tobytes()
    return container.checked(bytes(content))
