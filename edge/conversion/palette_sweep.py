"""Bytes against agreement over the number of clusters: a table, a figure, and where the curve bends.

Source of the knee: Satopaa et al., "Finding a 'Kneedle' in a Haystack" (ICDCS workshops 2011): the point that is
farthest below the straight line between the curve's ends, both axes scaled to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from edge.conversion.conversion import PACKED, Conversion, PaletteRequest
from edge.conversion.palette_budget import PaletteSettings, mean_bits
from edge.conversion.palettization import Palettized
from edge.formats.packing import pack
from tfc.base.charts.line import Axis, Curve, line_chart
from tfc.base.charts.page import figure, page, table
from tfc.base.table import aligned

SIZES = (2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128)
"""Numbers of clusters that are tried."""


@dataclass(frozen=True)
class SweepPoint:
    """A model with so many clusters per kernel.

    Attributes:
        clusters: Largest number of values of a kernel.
        bits: Mean entropy of a palettized weight, in bits.
        file_bytes: Of the .tflite file.
        table_bytes: Of the file with look-up tables; None for float models.
        packed_bytes: Of the smaller packed file.
        same_largest: Share of examples whose largest output is the given model's; None where that tells nothing.
        difference: Root mean square difference of the outputs as a share of their spread.

    Examples:
        >>> import edge
        >>> edge.SweepPoint(16, 3.76, 93584, 57632, 43789, 0.875, 0.263).clusters
        16
    """

    clusters: int
    bits: float
    file_bytes: int
    table_bytes: int | None
    packed_bytes: int
    same_largest: float | None
    difference: float


def _point(conversion: Conversion, found: Palettized, clusters: int, *, integers: bool) -> SweepPoint:
    content = (found.model if integers else conversion.with_codes(found)).to_bytes()
    tables = conversion.with_tables(found.model) if integers else None
    as_tables = None if tables is None else tables.to_bytes()
    packed = min(len(pack(each)) for each in (content, as_tables) if each is not None)
    agreement = conversion.agreement(content)
    return SweepPoint(
        clusters,
        mean_bits(found),
        len(content),
        None if as_tables is None else len(as_tables),
        packed,
        agreement.same_class,
        agreement.difference,
    )


def sweep(conversion: Conversion, *, integers: bool) -> tuple[SweepPoint, ...]:
    """Tries numbers of clusters.

    Args:
        conversion: Of the model.
        integers: Whether the full-integer model is looked at; else the float one with weights in int8.
    """
    variants = ("int8", PACKED) if integers else ("wo8", PACKED)
    found = []
    for clusters in SIZES:
        request = PaletteRequest(PaletteSettings(clusters), variants)
        found.append(_point(conversion, conversion.palettized(request, integers=integers), clusters, integers=integers))
    return tuple(found)


def knee(points: Sequence[SweepPoint]) -> SweepPoint:
    """Returns the point where more bytes begin to gain little.

    Args:
        points: Of a sweep, by ascending number of clusters.
    """
    sizes, errors = [point.packed_bytes for point in points], [point.difference for point in points]
    wide, high = max(sizes) - min(sizes) or 1, max(errors) - min(errors) or 1.0

    def below(point: SweepPoint) -> float:
        across, up = (point.packed_bytes - min(sizes)) / wide, (point.difference - min(errors)) / high
        return 1 - across - up

    return max(points, key=below)


_HEADER = ("clusters", "bits/weight", "file bytes", "lut bytes", "packed bytes", "same largest output", "difference")


def _row(point: SweepPoint) -> tuple[str, ...]:
    return (
        str(point.clusters),
        f"{point.bits:.2f}",
        f"{point.file_bytes:,}",
        "-" if point.table_bytes is None else f"{point.table_bytes:,}",
        f"{point.packed_bytes:,}",
        "-" if point.same_largest is None else f"{point.same_largest:.1%}",
        f"{point.difference:.1%}",
    )


def _named(point: SweepPoint) -> str:
    return (
        f"The curve bends at {point.clusters} clusters per kernel: {point.packed_bytes:,} bytes packed, outputs differ "
        f"by {point.difference:.1%} of their spread."
    )


_EXPLAINED = (
    "Same largest output: the share of examples whose largest output is the given model's. Difference: root mean "
    "square difference of the outputs as a share of their spread. Both on calibration examples that the palettes were "
    "not made with."
)


def format_sweep(points: Sequence[SweepPoint]) -> str:
    """Returns a sweep as a table for a terminal, with its knee.

    Args:
        points: What `sweep` returned.
    """
    return f"{aligned(_HEADER, [_row(point) for point in points], left=0)}\n{_named(knee(points))}"


def sweep_page(name: str, points: Sequence[SweepPoint]) -> str:
    """Returns a sweep as a page of HTML: figures and the table.

    Args:
        name: Of the model.
        points: What `sweep` returned.
    """
    bend = knee(points)
    axis = Axis("bytes, packed", log=True)

    def chart(title: str, label: str, values: Sequence[float]) -> str:
        texts = [
            f"{point.clusters} clusters: {point.packed_bytes:,} bytes, {label} {value:.1f}"
            for point, value in zip(points, values, strict=True)
        ]
        curve = Curve(title, [point.packed_bytes for point in points], values, texts, 0)
        ring = (bend.packed_bytes, values[list(points).index(bend)])
        return line_chart(title, axis, Axis(label), [curve], rings=[ring])

    shares = [point.same_largest for point in points if point.same_largest is not None]
    figures = ""
    if len(shares) == len(points):
        values = [100 * share for share in shares]
        figures += figure(chart("same largest output", "same largest output, %", values), _named(bend), wide=True)
    differences = [100 * point.difference for point in points]
    figures += figure(chart("difference", "difference of outputs, % of spread", differences), _named(bend), wide=True)
    rows = [_row(point) for point in points]
    body = f"{figures}{table(_HEADER, rows, 'Sizes and agreements')}<p>{escape(_EXPLAINED)}</p>"
    return page(f"Palettes of {name}", body)


def sweep_json(points: Sequence[SweepPoint]) -> dict[str, Any]:
    """Returns a sweep for a JSON file.

    Args:
        points: What `sweep` returned.
    """
    return {"knee": knee(points).clusters, "points": [asdict(point) for point in points]}
