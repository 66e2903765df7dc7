"""Files that appear under their name only once they are complete. The standard library alone."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Lets a file appear under its name only once it is complete.

    Args:
        path: The file's final place; its folder is created.

    Yields:
        A temporary path in the same folder; it is renamed on success and removed on failure.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    except OSError as error:
        error.filename = str(path)  # the temporary name says nothing to anybody
        raise
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
