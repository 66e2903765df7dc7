"""Packed model files: entropy-coded .tflite files, restored bit for bit. NumPy alone.

Version 2, little endian (`docs/model-files.md`):

| bytes | what |
|---:|---|
| 4 | `FCPK` |
| 1 | version, 2 |
| 1 | method: 0, the whole file compressed by LZMA; 1, in parts |
| 2 | zeros |
| 4 + 4 | length and CRC-32 of the file that comes out |
| 4 + 4 | length of each section, compressed and uncompressed: one section, or four |
| | the sections, raw LZMA2 each |
| | of method 1, the kernels' stream to the end |

The sections of method 1 are the places of the parts (`edge.formats.packed_parts`), the skeleton (the file with zeros in
place of the parts), words and halves by the position of their bytes, and what belongs to the stream
(`edge.formats.kernel_stream`). Both methods are tried, and the smaller result is kept.
"""

from __future__ import annotations

import lzma
import struct
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edge.formats import kernel_stream
from edge.formats.container import FileName, from_planes, most_unpacked, planes
from edge.formats.packed_parts import Parts, derive_scales, find_parts, gathered, scatter
from edge.formats.packing_version_1 import unpack_version_1
from edge.formats.tflite_reader import IDENTIFIER, TfliteView
from tfc.base.errors import ModelFileError
from tfc.base.regular_file import read_regular

MAGIC = b"FCPK"
VERSION = 2
_HEAD = struct.Struct("<4sBBxxII")
_SECTION = struct.Struct("<II")
_LARGEST_FILE = 1 << 31
"""Bytes; a FlatBuffer's positions do not reach further."""
SUFFIX = ".packed"
_REPETITIVE = 0.5
"""Share of the bytes of an ideal code for single bytes below which a dictionary's code counts as better."""


class _Method(NamedTuple):
    """How the sections of a packed file are compressed: bits of context, as LZMA calls them."""

    number: int
    contexts: tuple[tuple[int, int, int], ...]


_WHOLE = _Method(0, ((3, 0, 2),))
_IN_PARTS = _Method(1, ((0, 0, 0), (0, 2, 2), (0, 0, 0), (0, 0, 0)))


def _filters(contexts: tuple[int, int, int]) -> list[dict[str, Any]]:
    literal, position_in_literal, position = contexts
    preset = 9 | lzma.PRESET_EXTREME
    return [{"id": lzma.FILTER_LZMA2, "preset": preset, "lc": literal, "lp": position_in_literal, "pb": position}]


def _written(name: FileName, method: _Method, sections: list[bytes], stream: bytes = b"") -> bytes:
    compressed = [
        lzma.compress(section, lzma.FORMAT_RAW, filters=_filters(contexts))
        for section, contexts in zip(sections, method.contexts, strict=True)
    ]
    lengths = [_SECTION.pack(len(small), len(section)) for small, section in zip(compressed, sections, strict=True)]
    return b"".join([_HEAD.pack(MAGIC, VERSION, method.number, *name), *lengths, *compressed, stream])


def _repeats_itself(codes: np.ndarray) -> bool:
    """Whether codes are better left in the skeleton, whose compressor finds repetitions: equal tables of channels."""
    counts = np.bincount(codes, minlength=256)
    shares = counts[counts > 0] / codes.size
    return len(zlib.compress(codes.tobytes())) < _REPETITIVE * -(shares * np.log2(shares)).sum() * codes.size / 8


def _in_parts(content: bytes) -> tuple[list[bytes], bytes]:
    """The sections of a file, and its kernels' stream."""
    view = TfliteView(content)
    parts = find_parts(view)
    shapes = {tensor.start: tensor.shape for subgraph in view.subgraphs for tensor in subgraph.tensors}
    kernels, kept = [], []
    for start, count in parts.codes.tolist():
        codes, shape = np.frombuffer(content, np.uint8, count, start), shapes[start]
        if _repeats_itself(codes):
            continue
        kept.append((start, count))
        kernels.append(codes.reshape(shape) if np.prod(shape) == count else codes)
    parts = parts._replace(codes=np.array(kept, parts.codes.dtype).reshape(-1, 2))
    coded = kernel_stream.encode(kernels)
    skeleton = bytearray(content)
    for start, count in parts.taken_out.tolist():
        skeleton[start : start + count] = bytes(count)
    numbers = planes(gathered(content, parts.words)) + planes(gathered(content, parts.halves), 2)
    return [planes(parts.to_bytes()), bytes(skeleton), numbers, coded.side], coded.stream


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
    name = FileName.of(content)
    sections, stream = _in_parts(content)
    packed = min(_written(name, _IN_PARTS, sections, stream), _written(name, _WHOLE, [content]), key=len)
    if max(len(content), *map(len, sections)) > most_unpacked(len(packed)):
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


def is_in_parts(packed: bytes) -> bool:
    """Whether a packed file was coded in parts; otherwise as a whole, which took less.

    Args:
        packed: What `pack` returned.
    """
    return packed[4:6] == bytes([VERSION, _IN_PARTS.number])


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
    if not is_packed(packed):
        raise ModelFileError(f"bytes 0 to 3 are not {MAGIC.decode()}")
    if len(packed) < _HEAD.size:
        raise ModelFileError(f"cut off after {len(packed)} bytes")
    _, version, number, length, checksum = _HEAD.unpack_from(packed)
    if version == 1:
        return unpack_version_1(packed, MAGIC)
    methods = {method.number: method for method in (_WHOLE, _IN_PARTS)}
    if version != VERSION or number not in methods:
        raise ModelFileError(f"has version {version}.{number}; this program reads versions 1 and {VERSION}")
    sections, stream = _sections(packed, methods[number], length)
    content = sections[0] if number == _WHOLE.number else _joined(sections, stream, length)
    if FileName.of(content) != FileName(length, checksum):
        raise ModelFileError("damaged: the restored file has another checksum than the original")
    return content


def _sections(packed: bytes, method: _Method, length: int) -> tuple[list[bytes], bytes]:
    """Decompresses the sections; what they declare is compared with the file's own length before."""
    position = _HEAD.size + _SECTION.size * len(method.contexts)
    if len(packed) < position:
        raise ModelFileError(f"cut off after {len(packed)} bytes")
    sections, most = [], most_unpacked(len(packed))
    for number, contexts in enumerate(method.contexts):
        compressed, unpacked = _SECTION.unpack_from(packed, _HEAD.size + _SECTION.size * number)
        if max(length, unpacked) > most:
            raise ModelFileError(
                f"not plausible: declares {max(length, unpacked):,} bytes; a file of {len(packed):,} bytes may stand "
                f"for {most:,} here"
            )
        if position + compressed > len(packed):
            raise ModelFileError("damaged: a section is cut off")
        decompressor = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_filters(contexts))
        try:
            section = decompressor.decompress(packed[position : position + compressed], max_length=unpacked)
        except lzma.LZMAError as error:
            raise ModelFileError(f"damaged: {error}") from error
        if len(section) != unpacked:
            raise ModelFileError("damaged: a section is cut off")
        sections.append(section)
        position += compressed
    return sections, packed[position:]


def _joined(sections: list[bytes], stream: bytes, length: int) -> bytes:
    """Puts the parts back into the skeleton."""
    places, skeleton, numbers, side = sections
    if len(skeleton) != length:
        raise ModelFileError("damaged: the skeleton has another length than the file")
    parts, content = Parts.read(from_planes(places), length), bytearray(skeleton)
    codes = kernel_stream.decode(side, stream, parts.codes[:, 1].tolist())
    scatter(content, parts.codes, b"".join(kernel.tobytes() for kernel in codes))
    words = int(parts.words[:, 1].sum())
    scatter(content, parts.words, from_planes(numbers[:words]))
    scatter(content, parts.halves, from_planes(numbers[words:], 2))
    derive_scales(content, parts.derived)
    return bytes(content)


def is_model_file(path: Path) -> bool:
    """Whether a file is a TFLite model, packed or not, by its first bytes.

    Args:
        path: Any path.
    """
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(8)
    return is_packed(start) or start[4:8] == IDENTIFIER


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
