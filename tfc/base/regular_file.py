"""Opens files of strangers: regular files alone, of bounded length; a FIFO or a device is refused and never waited for.

The standard library alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tfc.base.clean_text import clean

LONGEST_TEXT = 64_000_000
"""Bytes of the longest text file that is read: a results file of tens of thousands of rounds has less."""
_LONGEST_REASON = 300


@contextlib.contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """Opens a regular file for reading.

    Args:
        path: The file.

    Yields:
        The file, open.

    Raises:
        OSError: If it can't be opened, or is a FIFO, a device, a socket or a folder; names the file.
    """
    # Without O_NONBLOCK, opening a FIFO waits for a writer.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        file = os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise
    with file:
        yield file


def read_regular(path: Path, most_bytes: int = LONGEST_TEXT) -> bytes:
    """Returns the content of a regular file.

    Args:
        path: The file.
        most_bytes: A longer file is refused before it is read.

    Raises:
        OSError: If it can't be read, is no regular file, or is longer; names the file.
    """
    with open_regular(path) as file:
        length = os.fstat(file.fileno()).st_size
        content = file.read(most_bytes + 1) if length <= most_bytes else b""
    if max(length, len(content)) > most_bytes:
        raise OSError(errno.EFBIG, f"longer than {most_bytes:,} bytes", str(path))
    return content


@contextlib.contextmanager
def reading(path: Path, error_class: type[Exception], what: str) -> Iterator[None]:
    """Turns whatever goes wrong while a file is read into the one error of its format.

    Libraries raise what the damaged part happens to raise (RecursionError, OverflowError, csv.Error, zlib.error,
    tokenize.TokenError, TensorFlow's OpError): a list of classes would never be complete.

    Args:
        path: The file, which the error names.
        error_class: The format's error; an error of this class passes as it is.
        what: What the file should be, with its article: `an NPZ file`.

    Raises:
        Exception: Of `error_class`.
    """
    try:
        yield
    except error_class:
        raise
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise error_class(f"{clean(path)}: not {what}: {clean(reason, _LONGEST_REASON)}") from error
    except RecursionError as error:
        raise error_class(f"{clean(path)}: not {what}: nested too deeply") from error
    except MemoryError as error:
        raise error_class(f"{clean(path)}: not {what}: it would take more memory than there is") from error
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise error_class(f"{clean(path)}: not {what}: {clean(reason, _LONGEST_REASON)}") from error
