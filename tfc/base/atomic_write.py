"""The one way to write a file: it appears under its name only once it is complete. The standard library alone.

What is not a regular file keeps its place: links are followed, pipes and devices are written through, `-` is standard
output. Nothing of these is ever replaced, not even by root.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

STANDARD_OUTPUT = Path("-")
"""Stands for standard output wherever a command writes a file; a file of this name is written by its absolute path."""

_TEMPORARY = re.compile(r"\..+-[a-z0-9_]{8}(\.\w+)?")
_DESCRIPTOR = re.compile(r"(?:/dev|/proc/(?:self|\d+))/fd/(\d+)")
_STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}


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


def is_standard_output(path: Path | None) -> bool:
    """Whether what is written to a path goes to standard output, so that nothing else may be printed there.

    Args:
        path: Where a command is to write; None where it is not to.
    """
    return path is not None and (path == STANDARD_OUTPUT or _descriptor(path) == 1)


@contextlib.contextmanager
def messages_beside(*outputs: Path | None) -> Iterator[None]:
    """Lets what is printed go to standard error where a result goes to standard output.

    Args:
        outputs: Where results go; None where there is none.
    """
    if any(map(is_standard_output, outputs)):
        with contextlib.redirect_stdout(sys.stderr):
            yield
    else:
        yield


def _descriptor(path: Path) -> int | None:
    """The open file of this process that a path stands for; None where it is an ordinary path."""
    found = _DESCRIPTOR.fullmatch(str(path))
    return int(found[1]) if found else _STREAMS.get(str(path))


def _is_written_through(path: Path) -> bool:
    """Whether a path is something that exists and is neither a regular file nor a folder."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _send(content: Path, path: Path, descriptor: int | None) -> None:
    """Copies a complete file to what a path stands for; neither creates nor truncates anything."""
    if descriptor is None:
        opened = os.open(path, os.O_WRONLY)
    else:
        sys.stdout.flush()
        opened = os.dup(descriptor)
    with content.open("rb") as source, os.fdopen(opened, "wb") as target:
        shutil.copyfileobj(source, target)


@contextlib.contextmanager
def _written_through(path: Path, descriptor: int | None) -> Iterator[Path]:
    """Yields a file of the system's temporary folder; its content is sent on once it is complete."""
    with tempfile.TemporaryDirectory() as folder:
        # The suffix tells some libraries which format to write.
        temporary = Path(folder, f"content{path.suffix}")
        temporary.touch()
        yield temporary
        try:
            _send(temporary, path, descriptor)
        except OSError as error:
            if descriptor is None:  # else the reader of standard output has closed it, which is told without a name
                error.filename = str(path)
            raise


def _new_parents(path: Path) -> list[Path]:
    """The folders above a file that do not exist yet, the innermost first."""
    return [parent for parent in path.parents if not parent.exists()]


@contextlib.contextmanager
def atomic_write(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Writes a file atomically: it appears under its name only once it is complete.

    A link is followed: the file it leads to is the one that is written. A pipe or a device is written through, once
    everything is there; so is standard output, for `-`.

    Args:
        path: The file's final place; its folder is created.
        durable: Whether to flush it to the disk, so that it survives a loss of power.

    Yields:
        A temporary path in the same folder, `.NAME-...`; it is renamed on success and removed on failure, with the
        folders that were created for it. In the system's temporary folder for what is written through.

    Raises:
        OSError: If it can't be written; names the file.
    """
    descriptor = 1 if path == STANDARD_OUTPUT else _descriptor(path)
    if descriptor is not None or _is_written_through(path):
        with _written_through(path, descriptor) as temporary:
            yield temporary
        return
    place = Path(os.path.realpath(path)) if path.is_symlink() else path
    if place.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    created = _new_parents(place)
    content: Path | None = None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.stem}-", suffix=place.suffix)
        os.close(number)
        content = Path(name)
        yield content
        content.chmod(0o644)
        if durable:
            _flushed(content)
        content.replace(place)
        if durable:
            _flushed(place.parent)
    except BaseException as error:
        if content:
            content.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # a folder that others use by now stays
            for folder in created:
                folder.rmdir()
        if isinstance(error, OSError) and (content is None or error.filename in (None, str(content))):
            error.filename = str(path)  # errors name the final file, not the temporary one
        raise
