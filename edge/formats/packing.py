"""Packed model files: entropy-coded .tflite files, restored bit for bit. NumPy alone.

Constants of one byte per value (kernels, indices of look-up tables) are entropy-coded as palette indices; the rest of
the file, with zeros in their place, is compressed by LZMA.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.formats import code_stream
from edge.formats.container import (
    NO_FILE,
    SMALLEST_KERNEL,
    Container,
    FileName,
    from_planes,
    most_unpacked,
    places_to_bytes,
    planes,
    read_places,
    without,
)
from edge.formats.tflite_reader import TfliteView
from tfc.base.errors import ModelFileError
from tfc.base.regular_file import read_regular

MAGIC = b"FCPK"
_LARGEST_FILE = 1 << 31
"""Bytes; a FlatBuffer's positions do not reach further."""
SUFFIX = ".packed"


def code_places(view: TfliteView) -> np.ndarray:
    """Returns the places of constants of one byte per value, int64 (constants, 2): first byte and number of bytes.

    Those of all subgraphs are among them.

    Args:
        view: The model.

    Raises:
        ModelFileError: If some of them overlap, which no converter does.
    """
    found = {
        (tensor.start, tensor.num_bytes)
        for subgraph in view.subgraphs
        for tensor in subgraph.tensors
        if tensor.type in ("int8", "uint8") and tensor.num_bytes >= SMALLEST_KERNEL
    }
    places = np.array(sorted(found), np.int64).reshape(-1, 2)
    if (places[1:, 0] < places.sum(axis=1)[:-1]).any():
        raise ModelFileError("constants overlap")
    return places


def pack(content: bytes) -> bytes:
    """Packs a .tflite file.

    Args:
        content: Of the file.

    Raises:
        ModelFileError: If it is no TFLite model.

    Examples:
        >>> from pathlib import Path
        >>> import edge
        >>> content = Path("out/tiny-int8.tflite").read_bytes()
        >>> len(edge.pack(content)) < len(content)
        True
    """
    places = code_places(TfliteView(content))
    kernels = [np.frombuffer(content, np.uint8, int(count), int(start)) for start, count in places]
    coded = code_stream.encode(kernels)
    rest = planes(without(content, places)) + places_to_bytes(places) + coded.side
    packed = Container(MAGIC, FileName.of(content), NO_FILE, len(kernels), rest, coded.stream).to_bytes()
    if max(len(content), len(rest)) > most_unpacked(len(packed)):
        raise ModelFileError(
            f"{len(content):,} bytes pack to {len(packed):,}, so much smaller than any model that they would be refused"
        )
    return packed


def is_packed(content: bytes) -> bool:
    """Whether bytes are a packed model file.

    Args:
        content: Of a file.
    """
    return content[:4] == MAGIC


def unpack(packed: bytes) -> bytes:
    """Restores a packed file.

    Args:
        packed: What `pack` returned.

    Raises:
        ModelFileError: If the bytes are no packed model file, of another version, or damaged.

    Examples:
        >>> from pathlib import Path
        >>> import edge
        >>> content = Path("out/tiny-int8.tflite").read_bytes()
        >>> edge.unpack(edge.pack(content)) == content
        True
    """
    container = Container.read(packed, MAGIC)
    length = container.result.length
    places, side = read_places(container, length)
    content = bytearray(from_planes(container.rest[:length]))
    codes, used = code_stream.decode(side, container.stream, places[:, 1].tolist())
    if used != len(side):
        raise ModelFileError("damaged: the compressed part is too long")
    for (start, count), kernel in zip(places.tolist(), codes, strict=True):
        content[start : start + count] = kernel.tobytes()
    return container.checked(bytes(content))


def read_bytes(path: Path) -> bytes:
    """Returns a file's content.

    Args:
        path: Any file.

    Raises:
        ModelFileError: If it can't be read.
    """
    try:
        return read_regular(path, _LARGEST_FILE)
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror or error}") from error


def read_model_content(path: Path) -> bytes:
    """Returns the content of a model file, unpacked where it is packed.

    Args:
        path: A .tflite file, packed or not.

    Raises:
        ModelFileError: If it can't be read, or is damaged.
    """
    content = read_bytes(path)
    if not is_packed(content):
        return content
    try:
        return unpack(content)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from error
