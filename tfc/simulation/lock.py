"""One process at a time in a run's folder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from tfc.base.errors import RunError

LOCK = "run.lock"
"""Name of the locked file. It is never removed: a lock on a removed file would exclude nobody."""


class RunLock:
    """An exclusive lock on a run's folder, flock(2); the kernel releases it with the process, however that ends.

    A context manager; leaving it releases the lock where it was taken.
    """

    def __init__(self, folder: Path) -> None:
        """Does not take the lock yet.

        Args:
            folder: The run's folder.
        """
        self._path = folder / LOCK
        self._descriptor: int | None = None

    def __enter__(self) -> RunLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def take_if_there(self) -> None:
        """Takes the lock if the folder has a lock file; creates nothing.

        Raises:
            RunError: If another process holds it; names its process id.
        """
        if self._path.is_file():
            self.take()

    def take(self) -> None:
        """Takes the lock; creates folder and file. Taking it twice has no effect.

        Raises:
            RunError: If another process holds it (named by its process id), or nothing can be written there.
        """
        if self._descriptor is not None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise RunError(f"{self._path.parent}: cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
            os.close(descriptor)
            who = f"process {holder}" if holder.isdecimal() else "another process"
            raise RunError(f"{self._path.parent} is in use by {who}: let it finish, or choose another --out") from error
        self._descriptor = descriptor
        os.ftruncate(descriptor, 0)
        try:
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError:  # a full disk: the lock is held all the same, but other processes can't read the holder's id
            os.ftruncate(descriptor, 0)
