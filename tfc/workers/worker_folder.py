"""Folders of workers' sockets: one per worker, which only its user can enter, and none that outlives its process.

A process that is killed can't remove its folder. Each holds a locked file for as long as its process lives (flock(2)),
so the next start finds the folders whose lock is free and removes them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path

_PREFIX, _LOCK = "tfc-worker-", "lock"
_LONGEST_NAME = 100 - len("/worker")  # sun_path has 108 bytes
_UNLOCKED_SECONDS = 3600.0
"""A folder without a lock is somebody's who is about to lock it, or of an older version: only old ones are removed."""


class WorkerFolder:
    """A folder for a worker's socket.

    Attributes:
        path: Where it is.
    """

    def __init__(self) -> None:
        """Makes the folder, and removes those that killed processes of this user left behind."""
        parent = Path(tempfile.gettempdir())
        if len(str(parent / _PREFIX)) + 8 > _LONGEST_NAME:
            parent = Path("/tmp")
        remove_leftovers(parent)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        self._lock = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def cleanup(self) -> None:
        """Removes the folder; a second call has no effect."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def remove_leftovers(parent: Path) -> None:
    """Removes this user's folders of workers whose process is gone.

    Args:
        parent: The folder they are in.
    """
    for path in parent.glob(_PREFIX + "*"):
        with contextlib.suppress(OSError):
            found = path.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and _is_left(path, found.st_mtime):
                shutil.rmtree(path)


def _is_left(path: Path, changed: float) -> bool:
    """Whether nobody holds the folder's lock."""
    try:
        descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return time.time() - changed > _UNLOCKED_SECONDS
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
