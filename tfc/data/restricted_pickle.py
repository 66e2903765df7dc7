"""Pickles of arrays, read without running what a pickle may ask for."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np


def _bytes_of(text: str, encoding: str) -> bytes:
    """What Python 3 writes for bytes in old pickle protocols: text in Latin-1, nothing else."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"text encoded as {encoding}")
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): np.core.multiarray._reconstruct,  # type: ignore[attr-defined]
    ("numpy._core.multiarray", "_reconstruct"): np.core.multiarray._reconstruct,  # type: ignore[attr-defined]
    ("_codecs", "encode"): _bytes_of,
}


class ArraysOnly(pickle.Unpickler):
    """Builds containers, numbers, texts, bytes and NumPy arrays; a pickle that names anything else is refused."""

    def find_class(self, module: str, name: str) -> Any:
        """Returns one of the few callables that an array needs."""
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no data set needs") from None
