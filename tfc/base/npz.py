"""Reads arrays from NPZ archives; damaged files give one clear error. NumPy alone."""

from __future__ import annotations

import contextlib
import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tfc.base.errors import NpzError


def _seekable(opened: BinaryIO) -> BinaryIO:
    """An open file itself, or what comes out of a pipe, in memory: an archive's table of contents is at its end."""
    return opened if opened.seekable() else io.BytesIO(opened.read())


def read_arrays(path: Path, names: Sequence[str], otherwise: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Reads named arrays.

    Args:
        path: The archive.
        names: Required arrays.
        otherwise: Arrays to read instead, if some of `names` are missing and all of these are present.

    Returns:
        The arrays by name.

    Raises:
        NpzError: If the file is missing, not an archive, damaged, or lacks an array.
    """
    with _opened(path) as archive:
        missing = [name for name in names if name not in archive]
        if missing and otherwise and all(name in archive for name in otherwise):
            names = otherwise
        elif missing:
            held = ", ".join(archive.files) or "nothing"
            raise NpzError(f"{path}: lacks {', '.join(missing)}; it holds {held}")
        return {name: archive[name] for name in names}


def names_of_arrays(path: Path) -> tuple[str, ...]:
    """Returns the names of the arrays that an archive holds.

    Args:
        path: The archive.

    Raises:
        NpzError: If the file is missing, or no archive.
    """
    with _opened(path) as archive:
        return tuple(archive.files)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Opens an archive; whatever goes wrong with it is an NpzError."""
    try:
        # Opened here: NumPy leaves a truncated archive open.
        with path.open("rb") as opened, _seekable(opened) as file, np.load(file, allow_pickle=False) as archive:
            yield archive
    except NpzError:
        raise
    # A single array in place of an archive is no context manager: AttributeError or, from Python 3.11, TypeError.
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zlib.error, zipfile.BadZipFile) as error:
        if "allow_pickle" in str(error):
            raise NpzError(
                f"{path}: not a readable NPZ file: it holds pickled Python objects, which can run code and are not "
                "loaded; save arrays of numbers or texts"
            ) from error
        raise NpzError(f"{path}: not a readable NPZ file: {error}") from error
