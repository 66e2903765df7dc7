"""Tables of texts, and their forms: Markdown, CSV, LaTeX."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

from tfc.base.clean_text import clean, clean_cell, clean_markdown


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        title: What it shows.
        header: Names of the columns.
        rows: One tuple of texts per row, as long as the header.
        note: Explanation of the columns.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def to_markdown(self) -> str:
        """Returns the table in Markdown, columns aligned for a terminal."""
        header, *rows = [tuple(map(clean_markdown, row)) for row in (self.header, *self.rows)]
        widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]

        def line(cells: Sequence[str]) -> str:
            padded = (
                cell.ljust(width) if column == 0 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
            )
            return "| " + " | ".join(padded) + " |"

        rule = "|" + "|".join(
            "-" * (width + 2) if column == 0 else "-" * (width + 1) + ":" for column, width in enumerate(widths)
        )
        return "\n".join([line(header), rule + "|", *map(line, rows)])

    def to_csv(self) -> str:
        """Returns the table as CSV, texts as they are shown; none of them is a formula to a spreadsheet."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerows(map(clean_cell, row) for row in (self.header, *self.rows))
        return out.getvalue()

    def to_latex(self) -> str:
        """Returns a LaTeX `tabular` with the rules of the package booktabs."""

        def line(cells: Sequence[str]) -> str:
            return "  " + " & ".join(map(_latex, cells)) + r" \\"

        columns = "l" + "r" * (len(self.header) - 1)
        body = [line(self.header), r"  \midrule", *map(line, self.rows)]
        return "\n".join(
            [rf"\begin{{tabular}}{{{columns}}}", r"  \toprule", *body, r"  \bottomrule", r"\end{tabular}", ""]
        )


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 2) -> str:
    """Returns rows in columns, the first ones to the left, the others to the right.

    Args:
        header: Names of the columns.
        rows: Texts, as many per row.
        left: How many columns are texts.
    """
    header, *rows = [tuple(map(clean, row)) for row in (header, *rows)]
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join(padded).rstrip()

    return "\n".join(line(row) for row in (header, *rows))


def significant(value: float, decimals: int = 3) -> str:
    """Returns a number with fixed decimals; a small one with so many that its first three digits show.

    Args:
        value: Any number.
        decimals: Decimals of numbers that they suffice for.

    Examples:
        >>> significant(12.3456), significant(0.0001234), significant(0.0)
        ('12.346', '0.000123', '0.000')
    """
    if not value or abs(value) >= 0.1:
        return f"{value:.{decimals}f}"
    return f"{value:.{max(decimals, 2 - math.floor(math.log10(abs(value))))}f}"


_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
_LATEX |= {character: f"\\{character}" for character in "&%$#_{}"}


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in clean(text))
