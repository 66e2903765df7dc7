"""Gives freed memory back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import gc


def give_back() -> None:
    """Collects garbage and returns what the C library keeps of freed memory, where it can (glibc).

    Tracing and compiling a learning process frees hundreds of MB in small pieces, which the library would keep for the
    rest of the run.

    Source: malloc_trim(3).
    """
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
