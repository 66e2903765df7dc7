"""Python's FlatBuffers builder with what TFLite's files need besides: shared vectors, aligned constants."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np

_CONSTANT_ALIGNMENT = 16


class SharingBuilder(flatbuffers.Builder):
    """Stores equal vectors of integers and strings once, and aligns constants."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._vectors: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802
        """Stores a vector, or finds the equal one that is stored; returns its position."""
        if x.dtype == np.uint8:  # constants; no other vector of this schema has unsigned bytes
            self.StartVector(1, len(x), _CONSTANT_ALIGNMENT)
            self.head -= len(x)
            self.Bytes[self.head : self.head + len(x)] = x.tobytes()
            return int(self.EndVector())
        if x.dtype.kind == "f" or (x.dtype == np.int64 and len(x) == 1):  # a scale; the zero point of an activation
            return int(super().CreateNumpyVector(x))
        key = (x.dtype.str, x.tobytes())
        if key not in self._vectors:
            self._vectors[key] = super().CreateNumpyVector(x)
        return self._vectors[key]

    def CreateString(self, s: Any, encoding: str = "utf-8", errors: str = "strict") -> int:  # noqa: N802
        """Stores a string, or finds the equal one that is stored; returns its position."""
        key = ("string", s if isinstance(s, bytes) else s.encode(encoding, errors))
        if key not in self._vectors:
            self._vectors[key] = super().CreateString(s, encoding, errors)
        return self._vectors[key]
