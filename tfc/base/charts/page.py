"""HTML pages of one file each, shared by the reports of both command lines. The standard library alone.

A page loads no external resources, and forbids them (Content-Security-Policy). It can be read without JavaScript; with
it, tables are sorted by a click on a header, and figures tell the values of the point that is pointed at or focused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from tfc.base.clean_text import clean, clean_lines

_FOLDER = Path(__file__).parent
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], name: str) -> str:
    """Returns a table that scrolls in a box of its own and can be sorted.

    Args:
        header: Names of the columns.
        rows: One sequence of texts per row, as long as the header; the first names the row.
        name: What it shows, for readers who can't see it.
    """
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>\n'
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name, quote=True)}">'
        f'<table class="sortable"><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>\n'
    )


def figure(svg: str, caption: str, heading: str = "", *, wide: bool = False) -> str:
    """Returns a figure that scrolls in a box of its own where the window is narrow.

    Args:
        svg: The drawing.
        caption: What it shows, and what was counted.
        heading: A heading of the third level above it.
        wide: Whether it is made for the whole width of a page.
    """
    title = f"<h3>{escape(heading)}</h3>" if heading else ""
    # A scrolling box must be reachable with the keyboard; its points are, but only with JavaScript.
    box = f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(heading or caption, quote=True)}">'
    kind = ' class="wide"' if wide else ""
    return f"<figure{kind}>{title}{box}{svg}</div><figcaption>{escape(caption)}</figcaption></figure>\n"


def pairs(values: Iterable[tuple[str, object]]) -> str:
    """Returns names and values, one pair per line.

    Args:
        values: Name and value each; names may repeat.
    """
    shown = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in values)
    return f"<dl>{shown}</dl>\n"


def page(title: str, body: str) -> str:
    """Returns a whole page.

    Args:
        title: Its title; also its heading of the first level.
        body: HTML below that heading.
    """
    title, body = clean(title), clean_lines(body)  # the one door of texts from files to HTML
    style, script = ((_FOLDER / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n<h1>{escape(title)}</h1>\n"
        f"{body}</main>\n<script>\n{script}</script>\n</body>\n</html>\n"
    )
