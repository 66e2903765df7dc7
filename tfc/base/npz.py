"""Reads arrays from NPZ archives; headers and declared sizes are checked before any array is read. NumPy alone."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from tfc.base.clean_text import clean
from tfc.base.errors import NpzError
from tfc.base.regular_file import open_regular, reading

_WHAT = "a readable NPZ file"
_KINDS = "?biufUS"
"""Kinds of arrays that are read: numbers, booleans, texts. Objects would be unpickled, which can run code."""
_MOST_DIMENSIONS = 32
_FREE_BYTES = 64_000_000
_MOST_RATIO = 200
"""An archive may declare `_FREE_BYTES`, and `_MOST_RATIO` times its own length beyond them: real data deflate ten
times, and what deflates a thousand times is a file that was made to fill the memory."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1


def read_arrays(path: Path, names: Sequence[str], otherwise: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Reads named arrays.

    Args:
        path: The archive.
        names: Required arrays.
        otherwise: Arrays to read instead, if some of `names` are missing and all of these are present.

    Returns:
        The arrays by name.

    Raises:
        NpzError: If the file is missing, not an archive, damaged, or lacks an array; if an array holds objects, or
            takes more memory than a file of this length may ask for.
    """
    with reading(path, NpzError, _WHAT), open_regular(path) as file, zipfile.ZipFile(file) as archive:
        members = _members(archive)
        missing = [name for name in names if name not in members]
        if missing and otherwise and all(name in members for name in otherwise):
            names = otherwise
        elif missing:
            held = ", ".join(map(clean, members)) or "nothing"
            raise NpzError(f"{path}: lacks {', '.join(missing)}; it holds {held}")
        length = file.seek(0, 2)
        declared = sum(members[name].file_size for name in names)
        if declared > _FREE_BYTES + _MOST_RATIO * length:
            raise NpzError(f"{path}: its arrays would take {declared:,} bytes, too many for a file of {length:,} bytes")
        return {name: _array(archive, members[name], name) for name in names}


def names_of_arrays(path: Path) -> tuple[str, ...]:
    """Returns the names of the arrays that an archive holds.

    Args:
        path: The archive.

    Raises:
        NpzError: If the file is missing, or no archive.
    """
    with reading(path, NpzError, _WHAT), open_regular(path) as file, zipfile.ZipFile(file) as archive:
        return tuple(map(clean, _members(archive)))


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Members by the names of their arrays."""
    infos = archive.infolist()
    found = {info.filename.removesuffix(".npy"): info for info in infos}
    if len(found) != len(infos):
        raise ValueError("an array is there twice")
    return found


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> np.ndarray:
    if info.compress_type not in _METHODS or info.flag_bits & _ENCRYPTED:
        raise ValueError(f"{name} is encrypted or packed in another way than NumPy does it")
    with archive.open(info) as member:
        shape, fortran, dtype = _header(member)
        if dtype.hasobject:
            raise ValueError(
                f"{name} holds pickled Python objects, which can run code and are not loaded; save arrays of numbers "
                "or texts"
            )
        if dtype.kind not in _KINDS or dtype.itemsize < 1:
            raise ValueError(f"{name} has type {clean(dtype, 60)}; arrays of numbers or texts are read")
        if len(shape) > _MOST_DIMENSIONS or any(type(size) is not int or size < 0 for size in shape):
            raise ValueError(f"{name} has an impossible shape")
        length = math.prod(shape) * dtype.itemsize
        if length != info.file_size - member.tell():
            raise ValueError(f"{name} has {info.file_size - member.tell():,} bytes; its shape needs {length:,}")
        content = bytearray(member.read(length))
        member.read(1)  # at the end the archive's checksum is compared
    if len(content) != length:
        raise ValueError(f"{name} is cut off")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")


def _header(member: IO[bytes]) -> Any:
    """Shape, whether it is in Fortran's order, and type."""
    format_: Any = np.lib.format
    version = format_.read_magic(member)
    if version == (1, 0):
        return format_.read_array_header_1_0(member)
    if version == (2, 0):
        return format_.read_array_header_2_0(member)
    raise ValueError(f"an array is of version {version[0]}.{version[1]} of NumPy's format; 1.0 and 2.0 are read")
