"""Inspection of a model file's kernels: their values, and their size in each form. NumPy alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.formats import kernel_stream
from edge.formats.costs import costs_of
from edge.formats.kernel_operators import KERNEL_OPERATORS
from edge.formats.lookup_table import DECODE_OPERATOR, METADATA_BYTES
from edge.formats.packing import is_packed, pack, read_bytes, unpack
from edge.formats.table_expansion import expanded_kernel
from edge.formats.tflite_reader import TensorView, TfliteView
from tfc.base.clean_text import clean
from tfc.base.errors import ModelFileError
from tfc.base.table import aligned

_LARGE_BYTES = 1024
_WEIGHTS = ("float32", "float16", "float64", "int8", "uint8")
"""Types of constants that may be weights; integers of more bytes are shapes and numbers of rows."""


@dataclass(frozen=True)
class KernelRow:
    """One kernel.

    Attributes:
        name: Its tensor's name, or its number in a file without names.
        operator: The operator that uses it.
        shape: Its shape in the file.
        type: NumPy's name of its type; `int4`; `lut` for a look-up table; `type N, not understood` for others.
        distinct: Distinct values in the whole kernel; None where they are not understood.
        distinct_per_channel: In the output channel that has most of them; None likewise.
        index_bits: Bits of an index into the kernel's distinct values; None likewise.
        num_bytes: Its size in the file, in bytes.
        table_bytes: Its size in bytes as a look-up table of TFLM (packed indices, and a table per channel where there
            is a scale per channel); None where it has too many values for one.
        coded_bytes: Its entropy-coded size in bytes, as in a packed file; None for floats.
    """

    name: str
    operator: str
    shape: tuple[int, ...]
    type: str
    distinct: int | None
    distinct_per_channel: int | None
    index_bits: int | None
    num_bytes: int
    table_bytes: int | None
    coded_bytes: int | None


def _distinct_per_channel(values: np.ndarray, axis: int) -> list[int]:
    rows = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
    return [len(np.unique(row)) for row in rows]


def _row(view: TfliteView, number: int, operator: str, axis: int) -> KernelRow:
    tensor = view.tensors[number]
    values, type_, num_bytes = view.values(number), tensor.stored_as, tensor.num_bytes
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
        coded = kernel_stream.encode([values.view(np.uint8)])
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


def _not_understood(tensor: TensorView, number: int, operator: str) -> KernelRow:
    type_ = f"{tensor.stored_as}, not understood"
    name = tensor.name or f"#{number}"
    return KernelRow(name, operator, tensor.shape, type_, None, None, None, tensor.num_bytes, None, None)


def _rows(view: TfliteView) -> Iterator[KernelRow]:
    """The kernels of a subgraph in the order of execution; then other large constants, with who uses them."""
    kernels = {kernel.tensor for kernel in view.kernels}
    for kernel in view.kernels:
        yield _row(view, kernel.tensor, kernel.operator, kernel.channel_axis)
    biases = {
        operator.inputs[place.bias_input]
        for operator in view.operators
        for place in KERNEL_OPERATORS.get(operator.name, ())
        if place.bias_input < len(operator.inputs)
    }
    for operator in view.operators:
        for number in operator.inputs:
            if number < 0 or number in kernels or number in biases or operator.name == DECODE_OPERATOR:
                continue
            tensor = view.tensors[number]
            if tensor.num_bytes < _LARGE_BYTES or len(tensor.shape) < 2:
                continue
            kernels.add(number)
            if view.values(number) is None:
                yield _not_understood(tensor, number, operator.name)
            elif tensor.type in _WEIGHTS:
                yield _row(view, number, operator.name, 0)


def _boundaries(view: TfliteView, numbers: tuple[int, ...]) -> list[dict[str, Any]]:
    """Inputs or outputs."""
    found = []
    for number in numbers:
        tensor = view.tensors[number]
        name = view.signature_names.get(number) or tensor.name
        row: dict[str, Any] = {"name": clean(name), "shape": list(tensor.shape), "type": tensor.stored_as}
        if len(tensor.scales):
            row |= {"scale": float(tensor.scales[0]), "zero_point": tensor.zero_point}
        found.append(row)
    return found


def inspect(path: str | Path) -> dict[str, Any]:
    """Looks into a model file.

    Args:
        path: A .tflite file, packed or not.

    Returns:
        `file`, `file_bytes`, `model_bytes` (unpacked), `packed_bytes`; `inputs` and `outputs` (name, shape, type, scale
        and zero point each); `operators` (number by name), `macs`, `activation_bytes` (most bytes of tensors that are
        needed at once), `weight_bytes` (of constants: kernels, tables, biases, others); `kernels` (rows of
        `KernelRow`'s fields; other constants of at least 1024 bytes and two dimensions are among them), and `total`
        with the sums of `weights`, `num_bytes`, `table_bytes` and `coded_bytes` where every kernel has them, and the
        number of kernels that are `not_understood`.

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
    stored = read_bytes(path)  # once: it may be a pipe
    try:
        content = unpack(stored) if is_packed(stored) else stored
        view = TfliteView(content)
        rows = [row for subgraph in view.subgraphs for row in _rows(subgraph)]
        costs = costs_of(view)
        boundaries = {"inputs": _boundaries(view, view.inputs), "outputs": _boundaries(view, view.outputs)}
        packed = len(pack(content))
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from error

    def total(name: str) -> int | None:
        values = [getattr(row, name) for row in rows]
        return None if any(value is None for value in values) else sum(values)

    return {
        "file": str(path),
        "file_bytes": len(stored),
        "model_bytes": len(content),
        "packed_bytes": packed,
        **boundaries,
        **asdict(costs),
        "kernels": [asdict(row) for row in rows],
        "total": {
            "weights": sum(int(np.prod(row.shape)) for row in rows),
            "num_bytes": total("num_bytes"),
            "table_bytes": total("table_bytes"),
            "coded_bytes": total("coded_bytes"),
            "not_understood": sum(row.distinct is None for row in rows),
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
            count(row["distinct"]),
            count(row["distinct_per_channel"]),
            count(row["index_bits"]),
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
    about = [
        f"{kind}: {row['name']} {'x'.join(map(str, row['shape']))} {row['type']}"
        + (f", scale {row['scale']:.6g}, zero point {row['zero_point']}" if "scale" in row else "")
        for kind in ("input", "output")
        for row in found[f"{kind}s"]
    ]
    operators = ", ".join(name if count == 1 else f"{count} {name}" for name, count in found["operators"].items())
    weights = ", ".join(f"{kind} {size:,}" for kind, size in found["weight_bytes"].items() if size)
    about += [
        f"operators: {operators}",
        f"{found['macs']:,} MACs, activations {found['activation_bytes']:,} bytes at once",
        f"constants in bytes: {weights}",
    ]
    if total["not_understood"]:
        summary += f"; {total['not_understood']} kernels are of a type that is not understood"
    return "\n".join([aligned(titles, lines, left=4), summary, *about])
