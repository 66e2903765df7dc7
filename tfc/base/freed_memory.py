"""Freed memory goes back to the system instead of staying with the C library."""

from __future__ import annotations

import contextlib
import ctypes
import gc

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_LARGE_BYTES = 1 << 20


def keep_little() -> None:
    """Tells the C library to keep little of what this process frees, where it can (glibc); for a program of its own.

    Messages of many MB are built and freed in every round, by several threads. By default each thread has a pool of
    its own, and blocks of up to 32 MB stay in it.

    Source: mallopt(3), M_ARENA_MAX and M_MMAP_THRESHOLD.
    """
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_ARENA_MAX, 2)
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def give_back() -> None:
    """Collects garbage and returns what the C library keeps of freed memory, where it can (glibc).

    Tracing and compiling a learning process frees hundreds of MB in small pieces, which the library would keep for the
    rest of the run.

    Source: malloc_trim(3).
    """
    gc.collect()
    trim()


def trim() -> None:
    """Returns what the C library keeps of freed memory, where it can (glibc), in milliseconds.

    Source: malloc_trim(3).
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
