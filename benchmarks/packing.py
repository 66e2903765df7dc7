"""Bytes of packed files beside general compressors, and the time that unpacking takes.

    python benchmarks/packing.py model-int8.tflite other.tflite ...

Per file: its bytes; those of xz (preset 9, extreme), of brotli (quality 11, where the package is installed), and of
`edge pack`; the median of 15 times unpacking it. Every packed file is restored and compared.
"""

from __future__ import annotations

import argparse
import lzma
import statistics
import time
from pathlib import Path
from typing import Any

from record import save

from edge.formats.packing import is_in_parts, pack, unpack

TURNS = 15


def brotli_bytes(content: bytes) -> int | None:
    """Bytes that brotli needs; None where it is not installed."""
    try:
        import brotli
    except ModuleNotFoundError:
        return None
    return len(brotli.compress(content, quality=11, lgwin=24))


def measured(path: Path) -> dict[str, Any]:
    """What packing makes of a file."""
    content = path.read_bytes()
    packed = pack(content)
    times = []
    for _ in range(TURNS):
        start = time.perf_counter()
        restored = unpack(packed)
        times.append(1000 * (time.perf_counter() - start))
    if restored != content:
        raise RuntimeError(f"{path} is not restored")
    return {
        "name": path.name,
        "bytes": len(content),
        "xz": len(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME)),
        "brotli": brotli_bytes(content),
        "packed": len(packed),
        "in_parts": is_in_parts(packed),
        "unpack_ms": round(statistics.median(times), 2),
    }


def main() -> None:
    """Measures the files that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help=".tflite files")
    options = parser.parse_args()
    rows = [measured(path) for path in options.files]
    print(f"{'file':36} {'bytes':>9} {'xz -9e':>9} {'brotli':>9} {'packed':>9} {'of xz':>6} {'unpack ms':>9}")
    for row in rows:
        brotli = "-" if row["brotli"] is None else f"{row['brotli']:,}"
        print(
            f"{row['name']:36} {row['bytes']:9,} {row['xz']:9,} {brotli:>9} {row['packed']:9,} "
            f"{row['packed'] / row['xz']:6.3f} {row['unpack_ms']:9.1f}"
        )
    save("packing", "python benchmarks/packing.py FILES", {"files": rows})


if __name__ == "__main__":
    main()
