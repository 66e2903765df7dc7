"""Pieces of C++ source: arrays, names, comments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

_PER_LINE = 16
C_TYPES = {
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "int32": "int32_t",
    "float32": "float",
    "bool": "bool",
}
"""C++ types by NumPy's names."""


def identifier(text: str) -> str:
    """Returns a text as a name in C++: letters, digits and underscores, not a digit first.

    Args:
        text: Any text.

    Examples:
        >>> identifier("model-lut.v2")
        'model_lut_v2'
    """
    name = re.sub(r"[^0-9A-Za-z]+", "_", text).strip("_") or "model"
    return f"m_{name}" if name[0].isdigit() else name


def string_literal(text: str) -> str:
    """Returns a text as a string of C++, in ASCII.

    Args:
        text: Any text.
    """
    escaped = "".join(
        character
        if character.isascii() and character.isprintable() and character not in '"\\?'
        else "".join(f"\\{byte:03o}" for byte in character.encode())
        for character in text
    )
    return f'"{escaped}"'


def numbers(values: Iterable[object]) -> str:
    """Returns numbers as lines of an initialiser.

    Args:
        values: Texts or numbers.
    """
    texts = [str(value) for value in values]
    lines = [", ".join(texts[start : start + _PER_LINE]) for start in range(0, len(texts), _PER_LINE)]
    return "".join(f"    {line},\n" for line in lines)


def array_of(values: np.ndarray) -> str:
    """Returns an array's values as lines of an initialiser, exactly.

    Args:
        values: Any shape; whole numbers, booleans or float32.
    """
    flat = values.reshape(-1)
    if values.dtype == bool:
        return numbers("true" if value else "false" for value in flat)
    if values.dtype.kind == "f":
        return numbers(f"{float(value).hex()}f" for value in flat)
    return numbers(int(value) for value in flat)


def bytes_of(content: bytes) -> str:
    """Returns bytes as lines of an initialiser.

    Args:
        content: Of a file.
    """
    return numbers(f"0x{byte:02x}" for byte in content)


def guarded(name: str, body: Sequence[str]) -> str:
    """Returns a header's text.

    Args:
        name: Of the header, for its guard.
        body: Its lines.
    """
    guard = f"{identifier(name).upper()}_H_"
    return "\n".join([f"#ifndef {guard}", f"#define {guard}", "", *body, "", f"#endif  // {guard}", ""])
