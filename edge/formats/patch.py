"""Over-the-air updates: patches from one export of a model to a later one of the same architecture. NumPy alone.

Kernels are difference messages of `tfc.codec`: each code's rank among the kernel's codes is coded relative to the rank
of the old code. The lists of codes are sent as they are, and all other bytes as the XOR with the old file.
"""

from __future__ import annotations

import numpy as np

from edge.formats.container import Container, FileName, from_planes, places_to_bytes, planes, read_places, without
from edge.formats.packed_parts import find_parts
from edge.formats.tflite_reader import TfliteView
from tfc.base.errors import CodecError, ModelFileError
from tfc.codec import message
from tfc.codec.message_spec import Kind, Message, MessageSpec, ReferenceModel
from tfc.codec.palette import Palette

MAGIC = b"FCPP"


def _kernels(content: bytes, places: np.ndarray) -> list[np.ndarray]:
    return [np.frombuffer(content, np.int8, int(count), int(start)) for start, count in places]


def _ranks(codes: list[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Distinct codes of each kernel, and each code's rank among them."""
    pairs = [np.unique(kernel, return_inverse=True) for kernel in codes]
    return [values for values, _ in pairs], [places.astype(np.uint8) for _, places in pairs]


def _specification(sizes: tuple[int, ...], num_codes: int) -> MessageSpec:
    return MessageSpec(tuple((size,) for size in sizes), (), num_codes, 0, (Kind.DELTA,))


def _held(ranks: list[np.ndarray], num_codes: int) -> ReferenceModel:
    # The centroids are the ranks themselves, so a message's codebooks never change.
    codebook = np.arange(num_codes, dtype=np.float32)
    palettes = tuple(Palette(codebook, places) for places in ranks)
    return ReferenceModel(num_codes, palettes, tuple(np.zeros_like(places) for places in ranks), ())


def make_patch(old: bytes, new: bytes) -> bytes:
    """Makes a patch.

    Args:
        old: Content of the .tflite file on the devices.
        new: Content of the file after the update.

    Raises:
        ModelFileError: If one is no TFLite model, or they are of different architectures.

    Examples:
        >>> from pathlib import Path
        >>> import edge
        >>> old, new = Path("old-int8.tflite").read_bytes(), Path("new-int8.tflite").read_bytes()
        >>> len(edge.make_patch(old, new)) < len(new)
        True
    """
    views = [TfliteView(content) for content in (old, new)]
    places, others = (find_parts(view).codes for view in views)
    if len(old) != len(new) or not np.array_equal(places, others):
        raise ModelFileError(
            "the two files are of different architectures or variants: their kernels are at different places"
        )
    (_, held), (codes, ranks) = (_ranks(_kernels(content, places)) for content in (old, new))
    num_codes = max((int(place.max()) + 1 for place in (*held, *ranks)), default=1)
    stream = b""
    if ranks:
        specification = _specification(tuple(len(place) for place in ranks), num_codes)
        palettes = tuple(Palette(np.arange(num_codes, dtype=np.float32), place) for place in ranks)
        sent = Message(num_codes, palettes, (), np.zeros(0, np.float32))
        stream = message.encode(sent, specification, _held(held, num_codes))
    changes = np.frombuffer(without(old, places), np.uint8) ^ np.frombuffer(without(new, places), np.uint8)
    side = b"".join(bytes([len(values) - 1]) + values.tobytes() for values in codes)
    rest = planes(changes.tobytes()) + places_to_bytes(places) + bytes([num_codes - 1]) + side
    patch = Container(MAGIC, FileName.of(new), FileName.of(old), len(ranks), rest, stream).to_bytes()
    if apply_patch(old, patch) != new:
        raise ModelFileError("the patch does not restore the new file")
    return patch


def apply_patch(old: bytes, patch: bytes) -> bytes:
    """Applies a patch.

    Args:
        old: Content of the file that the patch was made for.
        patch: What `make_patch` returned.

    Returns:
        Content of the new file.

    Raises:
        ModelFileError: If the patch is damaged, or made for another file.

    Examples:
        >>> from pathlib import Path
        >>> import edge
        >>> old, new = Path("old-int8.tflite").read_bytes(), Path("new-int8.tflite").read_bytes()
        >>> edge.apply_patch(old, edge.make_patch(old, new)) == new
        True
    """
    container = Container.read(patch, MAGIC, len(old))
    if FileName.of(old) != container.base:
        raise ModelFileError(
            f"the patch was made for another file (of {container.base.length:,} bytes, CRC-32 "
            f"{container.base.checksum:08x})"
        )
    length, kernels = len(old), container.num_kernels
    places, side = read_places(container, length)
    if container.result.length != length or not side:
        raise ModelFileError("damaged: the compressed part is too short")
    num_codes, codes = side[0] + 1, _read_codes(side[1:], kernels)
    changes = np.frombuffer(from_planes(container.rest[:length]), np.uint8)
    content = bytearray((np.frombuffer(without(old, places), np.uint8) ^ changes).tobytes())
    if kernels:
        _, held = _ranks(_kernels(old, places))
        if max(int(place.max()) for place in held) >= num_codes:
            raise ModelFileError("damaged: the old file has more codes than the patch knows")
        specification = _specification(tuple(places[:, 1].tolist()), num_codes)
        try:
            decoded = message.decode(container.stream, specification, _held(held, num_codes))
        except CodecError as error:
            raise ModelFileError(f"damaged: {error}") from error
        for (start, count), palette, values in zip(places.tolist(), decoded.message.palettes, codes, strict=True):
            ranks = np.asarray(palette.indices)
            if int(ranks.max()) >= len(values):
                raise ModelFileError("damaged: a code is not in its kernel's list")
            content[start : start + count] = values[ranks].tobytes()
    return container.checked(bytes(content))


def _read_codes(side: bytes, kernels: int) -> list[np.ndarray]:
    codes, position = [], 0
    for _ in range(kernels):
        count = side[position] + 1 if position < len(side) else 0
        values = np.frombuffer(side[position + 1 : position + 1 + count], np.int8)
        if not count or len(values) < count:
            raise ModelFileError("damaged: lists of codes are cut off")
        codes.append(values)
        position += 1 + count
    if position != len(side):
        raise ModelFileError("damaged: the compressed part is too long")
    return codes
