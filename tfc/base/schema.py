"""What the values of a file may be: types, ranges, lengths. The standard library alone.

A check is a function of a value and of the value's name in the file. It returns the value or raises `ValueError` with a
sentence that names the place and says what is allowed. Checks are made of checks:

    SUMMARY = record({"rounds": whole(1), "accuracy": number(0, 1)}, {"label": text()})
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tfc.base.clean_text import clean
from tfc.base.regular_file import LONGEST_TEXT, read_regular, reading

Check = Callable[[Any, str], Any]

LARGEST = 2**53
"""Largest whole number of a file: up to here float64, and so every other reader of JSON, holds them exactly."""
_MOST_ITEMS = 1_000_000
_LONGEST_SHOWN = 60


def _refuse(place: str, wanted: str, value: Any) -> ValueError:
    return ValueError(f"{clean(place)} must be {wanted}; found {clean(repr(value), _LONGEST_SHOWN)}")


def number(least: float = -math.inf, most: float = math.inf, *, above: bool = False) -> Check:
    """Returns a check for finite numbers.

    Args:
        least: Smallest value.
        most: Largest value.
        above: Whether `least` itself is not allowed.
    """
    bounds = f" of {least:g} to {most:g}" if most < math.inf else f" of at least {least:g}" if least > -math.inf else ""
    wanted = f"a finite number{bounds}" if not above else f"a finite number above {least:g}"

    def check(value: Any, place: str) -> Any:
        if type(value) not in (int, float) or abs(value) > 1e308 or not math.isfinite(value):
            raise _refuse(place, wanted, value)
        if not least <= value <= most or (above and value == least):
            raise _refuse(place, wanted, value)
        return value

    return check


def whole(least: int = 0, most: int = LARGEST) -> Check:
    """Returns a check for whole numbers.

    Args:
        least: Smallest value.
        most: Largest value.
    """

    def check(value: Any, place: str) -> Any:
        if type(value) is not int or not least <= value <= most:
            raise _refuse(place, f"a whole number of {least} to {most}", value)
        return value

    return check


def text(longest: int = 1000) -> Check:
    """Returns a check for texts of one line without control characters.

    Args:
        longest: Most characters.
    """

    def check(value: Any, place: str) -> Any:
        if type(value) is not str or len(value) > longest or clean(value, longest + 1) != value:
            raise _refuse(place, f"a text of at most {longest} characters, without control characters", value)
        return value

    return check


def flag() -> Check:
    """Returns a check for true and false."""

    def check(value: Any, place: str) -> Any:
        if type(value) is not bool:
            raise _refuse(place, "true or false", value)
        return value

    return check


def optional(inner: Check) -> Check:
    """Returns a check that also takes null.

    Args:
        inner: For all other values.
    """
    return lambda value, place: None if value is None else inner(value, place)


def either(*choices: Check) -> Check:
    """Returns a check that takes what one of several takes.

    Args:
        *choices: Tried in order; the last one names what is allowed.
    """

    def check(value: Any, place: str) -> Any:
        for choice in choices[:-1]:
            try:
                return choice(value, place)
            except ValueError:
                continue
        return choices[-1](value, place)

    return check


def listed(inner: Check, least: int = 0, most: int = _MOST_ITEMS) -> Check:
    """Returns a check for lists.

    Args:
        inner: For each item.
        least: Fewest items.
        most: Most items.
    """

    def check(value: Any, place: str) -> Any:
        if type(value) is not list or not least <= len(value) <= most:
            raise _refuse(place, f"a list of {least} to {most} items", value)
        return [inner(item, f"{place}[{position}]") for position, item in enumerate(value)]

    return check


def record(
    required: Mapping[str, Check], others: Mapping[str, Check] | None = None, rest: Check | None = None
) -> Check:
    """Returns a check for tables with named values.

    Args:
        required: Values that must be there.
        others: Values that may be there.
        rest: For values of any other name; None where there must be none.
    """
    known = {**required, **(others or {})}

    def check(value: Any, place: str) -> Any:
        if type(value) is not dict:
            raise _refuse(place or "the file", "a table", value)
        missing = [name for name in required if name not in value]
        if missing:
            raise ValueError(f"{clean(place) + ' ' if place else ''}lacks {', '.join(missing)}")
        found = {}
        for name, item in value.items():
            inner = known.get(name, rest)
            if inner is None:
                raise ValueError(
                    f"{clean(place) + ' ' if place else ''}has an unknown key {clean(name, _LONGEST_SHOWN)}"
                )
            found[text(200)(name, "a key") if name not in known else name] = inner(
                item, f"{place}.{name}" if place else name
            )
        return found

    return check


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number of JSON")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {clean(twice, _LONGEST_SHOWN)} is there twice")
    return found


def parse_json(content: bytes | str) -> Any:
    """Returns what a text in JSON says; refuses NaN, infinities and keys that are there twice.

    Args:
        content: The text, in UTF-8 if bytes.

    Raises:
        ValueError: If it is something else.
        RecursionError: If it is nested too deeply.
    """
    decoded = content if isinstance(content, str) else content.decode("utf-8")
    return json.loads(decoded, parse_constant=_no_constant, object_pairs_hook=_no_duplicates)


def read_json(path: Path, check: Check, error_class: type[Exception], what: str, most: int = LONGEST_TEXT) -> Any:
    """Reads a file in JSON.

    Args:
        path: The file.
        check: What it may hold.
        error_class: The format's error.
        what: What the file should be, with its article.
        most: Bytes of the longest file that is read.

    Raises:
        Exception: Of `error_class`; names the file, the place and what is allowed there.
    """
    with reading(path, error_class, what):
        return check(parse_json(read_regular(path, most)), "")


def read_csv(path: Path, error_class: type[Exception], what: str, most: int = LONGEST_TEXT) -> list[list[str]]:
    """Reads a file of comma-separated values: rows of equal length, the header first.

    Args:
        path: The file.
        error_class: The format's error.
        what: What the file should be, with its article.
        most: Bytes of the longest file that is read.

    Raises:
        Exception: Of `error_class`, if the file can't be read, or was cut off.
    """
    with reading(path, error_class, what):
        content = read_regular(path, most).decode("utf-8")
        if not content.endswith("\n"):
            raise ValueError("it does not end with a line's end: cut off")
        if "\0" in content:
            raise ValueError("it holds a NUL character")
        rows = list(csv.reader(content.splitlines(keepends=True), strict=True))
        if len(set(rows[0])) != len(rows[0]):
            raise ValueError("a column is there twice")
        uneven = next((number for number, row in enumerate(rows, 1) if len(row) != len(rows[0])), None)
        if uneven:
            raise ValueError(f"its rows differ in length: row {uneven} has {len(rows[uneven - 1])} cells")
        return rows


def cell(kind: type, value: str) -> Any:
    """Returns the number that a cell says.

    Args:
        kind: int or float.
        value: The cell.

    Raises:
        ValueError: If it is something else.
    """
    if len(value) > 40 or "_" in value or value != value.strip() or not value.isascii():
        raise ValueError(f"{clean(repr(value), _LONGEST_SHOWN)} is not a number")
    return kind(value)
