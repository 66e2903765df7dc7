"""Inspection of a model file's kernels: their values, and their size in each form. NumPy alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.formats import code_stream
from edge.formats.lookup_table import METADATA_BYTES
from edge.formats.packing import pack, read_model_content
from edge.formats.table_expansion import expanded_kernel
from edge.formats.tflite_reader import TfliteView
from tfc.base.clean_text import clean
from tfc.base.errors import ModelFileError
from tfc.base.table import aligned


@dataclass(frozen=True)
class KernelRow:
    """One kernel.

    Attributes:
        name: Its tensor's name, or its number in a file without names.
        operator: The operator that uses it.
        shape: Its shape in the file.
        type: NumPy's name of its type; `lut` for a look-up table.
        distinct: Distinct values in the whole kernel.
        distinct_per_channel: In the output channel that has most of them.
        index_bits: Bits of an index into the kernel's distinct values.
        num_bytes: Its size in the file, in bytes.
        table_bytes: Its size in bytes as a look-up table of TFLM (packed indices, and a table per channel where there
            is a scale per channel); None where it has too many values for one.
        coded_bytes: Its entropy-coded size in bytes, as in a packed file; None for floats.
    """

    name: str
    operator: str
    shape: tuple[int, ...]
    type: str
    distinct: int
    distinct_per_channel: int
    index_bits: int
    num_bytes: int
    table_bytes: int | None
    coded_bytes: int | None


def _distinct_per_channel(values: np.ndarray, axis: int) -> list[int]:
    rows = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
    return [len(np.unique(row)) for row in rows]


def _row(view: TfliteView, number: int, operator: str, axis: int) -> KernelRow:
    tensor = view.tensors[number]
    values, type_, num_bytes = view.values(number), tensor.type, tensor.num_bytes
    if values is None:
        values, type_ = expanded_kernel(view, number), "lut"
        maker = next(each for each in view.operators if number in each.outputs)
        num_bytes = sum(view.tensors[source].num_bytes for source in maker.inputs)
    if values is None:
        raise ModelFileError(f"kernel {clean(tensor.name) or number} is computed by unknown operators")
    distinct, per_channel = len(np.unique(values)), _distinct_per_channel(values, axis)
    by_channel = len(tensor.scales) > 1
    most = max(per_channel) if by_channel else distinct
    width = max(1, (most - 1).bit_length())
    table_bytes = coded_bytes = None
    if values.dtype == np.int8:
        coded = code_stream.encode([values.reshape(-1).view(np.uint8)])
        coded_bytes = len(coded.side) + len(coded.stream)
        if width <= 7:
            tables = most * (len(per_channel) if by_channel else 1)
            table_bytes = METADATA_BYTES + tables + -(-values.size * width // 8)
    return KernelRow(
        clean(tensor.name) or f"#{number}",
        operator,
        tensor.shape,
        type_,
        distinct,
        max(per_channel),
        max(1, (distinct - 1).bit_length()),
        num_bytes,
        table_bytes,
        coded_bytes,
    )


def inspect(path: str | Path) -> dict[str, Any]:
    """Looks into a model file.

    Args:
        path: A .tflite file, packed or not.

    Returns:
        `file`, `file_bytes`, `model_bytes` (unpacked), `packed_bytes`, `kernels` (rows of `KernelRow`'s fields), and
        `total` with the sums of `weights`, `num_bytes`, `table_bytes` and `coded_bytes` where every kernel has them.

    Raises:
        ModelFileError: If the file is missing, no TFLite model, or damaged.

    Examples:
        >>> import edge
        >>> found = edge.inspect("out/tiny-int8.tflite")
        >>> found["packed_bytes"] < found["model_bytes"]
        True
        >>> max(row["distinct"] for row in found["kernels"]) <= 255
        True
    """
    path = Path(path)
    content = read_model_content(path)
    try:
        view = TfliteView(content)
        rows = [_row(view, kernel.tensor, kernel.operator, kernel.channel_axis) for kernel in view.kernels]
        packed = len(pack(content))
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from error

    def total(name: str) -> int | None:
        values = [getattr(row, name) for row in rows]
        return None if any(value is None for value in values) else sum(values)

    return {
        "file": str(path),
        "file_bytes": path.stat().st_size,
        "model_bytes": len(content),
        "packed_bytes": packed,
        "kernels": [asdict(row) for row in rows],
        "total": {
            "weights": sum(int(np.prod(row.shape)) for row in rows),
            "num_bytes": total("num_bytes"),
            "table_bytes": total("table_bytes"),
            "coded_bytes": total("coded_bytes"),
        },
    }


def format_inspection(found: dict[str, Any]) -> str:
    """Returns what was found as a table for a terminal.

    Args:
        found: What `inspect` returned.

    Examples:
        >>> import edge
        >>> print(edge.format_inspection(edge.inspect("out/tiny-int8.tflite")))
        kernel ... operator ... shape ... type ... distinct ...
    """

    def count(value: int | None) -> str:
        return "-" if value is None else f"{value:,}"

    titles = ("kernel", "operator", "shape", "type", "distinct", "per channel", "bits", "bytes", "as table", "coded")
    lines: list[tuple[str, ...]] = [
        (
            row["name"][-40:],
            row["operator"],
            "x".join(map(str, row["shape"])),
            row["type"],
            str(row["distinct"]),
            str(row["distinct_per_channel"]),
            str(row["index_bits"]),
            count(row["num_bytes"]),
            count(row["table_bytes"]),
            count(row["coded_bytes"]),
        )
        for row in found["kernels"]
    ]
    total = found["total"]
    sums = [count(total[name]) for name in ("num_bytes", "table_bytes", "coded_bytes")]
    lines.append(("all kernels", "", f"{total['weights']:,} weights", "", "", "", "", *sums))
    summary = (
        f"{found['file']}: {found['file_bytes']:,} bytes; as a model {found['model_bytes']:,}, packed "
        f"{found['packed_bytes']:,}"
    )
    return f"{aligned(titles, lines, left=4)}\n{summary}"
