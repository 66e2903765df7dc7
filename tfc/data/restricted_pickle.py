"""Pickles of arrays, read without running what a pickle may ask for."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from tfc.base.clean_text import clean


def _bytes_of(text: str, encoding: str) -> bytes:
    """What Python 3 writes for bytes in old pickle protocols: text in Latin-1, nothing else."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"text encoded as {encoding}")
    return text.encode("latin1")


class _PlainType:
    """A type of elements by its name alone; what a pickle says of its flags or fields is not looked at.

    NumPy's own `dtype` takes flags from a pickle, and a type of objects without its flags lets raw bytes pass for
    addresses.
    """

    def __init__(self, name: str, *_: Any) -> None:
        self._dtype = np.dtype(name)
        if self._dtype.kind not in "biufO":
            raise pickle.UnpicklingError(f"it holds elements of type {clean(name, 40)}")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = state[1]
        if order in ("<", ">", "=") and self._dtype.kind != "O":
            self._dtype = self._dtype.newbyteorder(order)

    @property
    def dtype(self) -> np.dtype:
        """NumPy's type."""
        return self._dtype


class _Array(np.ndarray):
    """An array whose state is checked before NumPy takes it."""

    def __setstate__(self, state: Any) -> None:
        version, shape, kind, is_fortran, content = state
        plain = kind.dtype if isinstance(kind, _PlainType) else None
        wanted = list if plain is not None and plain.kind == "O" else bytes
        if plain is None or type(content) is not wanted:
            raise pickle.UnpicklingError("it holds an array whose content does not go with its type")
        super().__setstate__((version, shape, plain, is_fortran, content))


def _new_array(kind: type, shape: tuple[int, ...], code: Any) -> _Array:
    """What NumPy's `_reconstruct` makes, an empty array that its state fills."""
    array: _Array = np.ndarray.__new__(_Array, (0,), "b")
    return array


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _PlainType,
    ("numpy.core.multiarray", "_reconstruct"): _new_array,
    ("numpy._core.multiarray", "_reconstruct"): _new_array,
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
