"""Atomic writes: a file appears under its name only once it is complete. The standard library alone."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

_TEMPORARY = re.compile(r"\..+-[a-z0-9_]{8}(\.\w+)?")


def _flushed(path: Path) -> None:
    """Flushes a file's content, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_temporary(path: Path) -> bool:
    """Whether a file's name is that of a temporary file of `atomic_write`.

    Args:
        path: The file.
    """
    return bool(_TEMPORARY.fullmatch(path.name))


@contextlib.contextmanager
def atomic_write(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Writes a file atomically: it appears under its name only once it is complete.

    Args:
        path: The file's final place; its folder is created.
        durable: Whether to flush it to the disk, so that it survives a loss of power.

    Yields:
        A temporary path in the same folder, `.NAME-...`; it is renamed on success and removed on failure.

    Raises:
        OSError: If it can't be written; names the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = None
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
        os.close(descriptor)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o644)
        if durable:
            _flushed(temporary)
        temporary.replace(path)
        if durable:
            _flushed(path.parent)
    except BaseException as error:
        if temporary:
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and (temporary is None or error.filename in (None, str(temporary))):
            error.filename = str(path)  # errors name the final file, not the temporary one
        raise
