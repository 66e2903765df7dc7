"""What commands that turn one file into another have in common: errors that name the file, and how results are told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tfc.base.atomic_write import atomic_write, messages_beside
from tfc.base.errors import EdgeError, ModelFileError

Result = TypeVar("Result")


def in_file(path: Path, work: Callable[[], Result]) -> Result:
    """Does work on a file's content; errors say which file it was.

    Args:
        path: The file.
        work: What is done.

    Raises:
        ModelFileError: Where the work raises an EdgeError.
    """
    try:
        return work()
    except EdgeError as error:
        raise ModelFileError(f"{path}: {error}") from error


def write(path: Path, content: bytes, remark: str) -> None:
    """Writes a file and prints its name, its size and a remark; on standard error where the file is standard output.

    Args:
        path: The file; replaced whole. `-` for standard output.
        content: What it gets.
        remark: What else there is to say.
    """
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
    with messages_beside(path):
        print(f"{path}  {len(content):,} bytes, {remark}")
