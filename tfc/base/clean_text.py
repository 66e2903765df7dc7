"""Cleans texts that come from files before they reach a terminal, a table, CSV or HTML. The standard library alone.

A name in a file may hold an escape sequence that changes the terminal's title, a line break that adds a row to a table,
a mark that turns the direction of writing, or a formula that a spreadsheet runs. Every text passes `clean` where it is
shown, and `clean_cell` where it becomes a cell of CSV.
"""

from __future__ import annotations

import unicodedata
from typing import Any

LONGEST = 1000
"""Characters that are shown of a text; what is longer is cut and ends with an ellipsis."""

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Categories of Unicode that are shown escaped: controls, marks of direction, halves of pairs, line separators."""
_FORMULA = ("=", "+", "-", "@")


def _shown(character: str) -> str:
    if character.isascii() and character.isprintable():
        return character
    if unicodedata.category(character) not in _HIDDEN:
        return character
    return character.encode("unicode_escape").decode("ascii")


def clean(text: Any, longest: int = LONGEST) -> str:
    r"""Returns a text of one line without characters that control what shows it; those are written as escapes.

    Args:
        text: Any object; its `str` is taken.
        longest: Most characters of the result, at least 1.

    Returns:
        The text: unchanged where all its characters are printable.

    Examples:
        >>> clean("red\x1b[31m")
        'red\\x1b[31m'
    """
    raw = str(text)
    shown = raw if raw.isascii() and raw.isprintable() else "".join(map(_shown, raw[: longest + 1]))
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def clean_lines(text: str) -> str:
    """Returns a text of several lines, each of them clean; nothing is cut.

    Args:
        text: The text; its line feeds stay.
    """
    return "\n".join(clean(line, len(line) * 10 + 1) for line in text.split("\n"))


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", ""))
    except ValueError:
        return False
    return True


def clean_cell(text: Any) -> str:
    """Returns a text for a cell of CSV: clean, and never a formula.

    Spreadsheets run a cell that starts with =, +, - or @; an apostrophe in front makes it a text. Numbers stay.

    Source: OWASP, CSV Injection.

    Args:
        text: Any object; its `str` is taken.

    Examples:
        >>> clean_cell("=1+1"), clean_cell("-0.5"), clean_cell("fedavg")
        ("'=1+1", '-0.5', 'fedavg')
    """
    shown = clean(text)
    runs = shown.lstrip().startswith(_FORMULA) and shown != "-" and not _is_number(shown)
    return "'" + shown if runs else shown


def clean_markdown(text: Any) -> str:
    r"""Returns a text for a cell of a Markdown table: clean, and without bars that would start another cell.

    Args:
        text: Any object; its `str` is taken.

    Examples:
        >>> clean_markdown("a|b")
        'a\\|b'
    """
    return clean(text).replace("|", r"\|")
