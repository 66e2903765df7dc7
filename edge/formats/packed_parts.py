"""The parts of a .tflite file that packing treats apart: codes, words, and scales that follow from others. NumPy alone.

Codes are constants of one byte per value: kernels, indices of look-up tables. Words are constants of four bytes per
value (biases, floats) and vectors of scales; halves those of two bytes. A bias' scales are left out where they are
the product of those of its operator's input and kernel, as the quantisation specification demands.

Source: TensorFlow Lite 8-bit quantization specification ("bias scale = input scale * weight scale").
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from edge.formats.container import SMALLEST_KERNEL
from edge.formats.kernel_operators import KERNEL_OPERATORS
from edge.formats.tflite_reader import TensorView, TfliteView
from tfc.base.errors import ModelFileError

_FEWEST_VALUES = 8
_ITEM_BYTES = {"codes": 1, "words": 4, "halves": 2}
_TYPES = {
    "codes": ("int8", "uint8"),
    "words": ("float32", "int32", "uint32"),
    "halves": ("float16", "int16", "uint16"),
}

Places = np.ndarray
"""int64 (parts, 2): first byte and number of bytes, ascending."""


class Parts(NamedTuple):
    """Where the parts are.

    Attributes:
        codes: Places of codes.
        words: Places of words.
        halves: Places of halves.
        derived: int64 (vectors, 4): first byte and number of scales of a bias, first byte of its kernel's scales and
            of its input's scale.
    """

    codes: Places
    words: Places
    halves: Places
    derived: np.ndarray

    @property
    def taken_out(self) -> Places:
        """Places of all bytes that the skeleton does not have, ascending."""
        vectors = self.derived[:, :2] * [1, 4]
        together = np.concatenate([self.codes, self.words, self.halves, vectors])
        return together[np.argsort(together[:, 0], kind="stable")]

    def to_bytes(self) -> bytes:
        """Returns the form that `read` reads."""
        tables = [np.asarray(table, "<u4") for table in self]
        return b"".join([np.array([len(table) for table in tables], "<u4").tobytes(), *(t.tobytes() for t in tables)])

    @classmethod
    def read(cls, content: bytes, length: int) -> Parts:
        """Reads the places, and checks that they lie within a file and do not overlap.

        Args:
            content: What `to_bytes` returned.
            length: Of the file.

        Raises:
            ModelFileError: If they do not.
        """
        numbers = np.frombuffer(content, "<u4", len(content) // 4).astype(np.int64)
        counts, widths = numbers[:4], (2, 2, 2, 4)
        if len(content) % 4 or len(counts) < 4 or 4 + int((counts * widths).sum()) != len(numbers):
            raise ModelFileError("damaged: the places of constants are cut off")
        ends = 4 + np.cumsum(counts * widths)
        tables = [
            part.reshape(-1, width) for part, width in zip(np.split(numbers[4:], ends[:-1] - 4), widths, strict=True)
        ]
        parts = cls(*tables)
        starts, stops = parts.taken_out[:, 0], parts.taken_out.sum(axis=1)
        sources = np.concatenate([parts.derived[:, 2] + 4 * parts.derived[:, 1], parts.derived[:, 3] + 4])
        if (stops > length).any() or (starts[1:] < stops[:-1]).any() or (sources > length).any():
            raise ModelFileError("damaged: constants overlap, or lie outside of the file")
        if any((table[:, 1] % size).any() for table, size in ((parts.words, 4), (parts.halves, 2))):
            raise ModelFileError("damaged: a constant has a fraction of a value")
        if (parts.codes[:, 1] < SMALLEST_KERNEL).any():
            raise ModelFileError("damaged: a kernel is too small")
        return parts


def _table(places: Iterable[tuple[int, ...]], width: int = 2) -> np.ndarray:
    return np.array(sorted(places), np.int64).reshape(-1, width)


def _scales_place(tensor: TensorView) -> tuple[int, int]:
    return tensor.scales_start, 4 * len(tensor.scales)


def _derived(views: list[TfliteView]) -> dict[int, tuple[int, int, int, int]]:
    """By the first byte of a bias' scales: what they follow from."""
    found = {}
    for view in views:
        for operator in view.operators:
            for place in KERNEL_OPERATORS.get(operator.name, ()):
                inputs = operator.inputs
                if max(place.data_input, place.kernel_input, place.bias_input) >= len(inputs):
                    continue
                numbers = inputs[place.data_input], inputs[place.kernel_input], inputs[place.bias_input]
                if min(numbers) < 0:
                    continue
                data, kernel, bias = (view.tensors[number] for number in numbers)
                count = len(bias.scales)
                if count < _FEWEST_VALUES or len(data.scales) != 1 or len(kernel.scales) != count:
                    continue
                if (kernel.scales * data.scales[0]).astype("<f4").tobytes() == bias.scales.tobytes():
                    found[bias.scales_start] = (bias.scales_start, count, kernel.scales_start, data.scales_start)
    return found


def find_parts(view: TfliteView) -> Parts:
    """Returns the parts of a file, those of all its subgraphs.

    Args:
        view: The file.

    Raises:
        ModelFileError: If some constants overlap, which no converter does.
    """
    tensors = [tensor for subgraph in view.subgraphs for tensor in subgraph.tensors]
    derived = _derived(list(view.subgraphs))
    sources = {start for _, _, *both in derived.values() for start in both}
    # A source must not follow from others itself.
    derived = {start: row for start, row in derived.items() if start not in sources}
    places = {}
    for name, types in _TYPES.items():
        least = SMALLEST_KERNEL if name == "codes" else _FEWEST_VALUES * _ITEM_BYTES[name]
        places[name] = {
            (tensor.start, tensor.num_bytes)
            for tensor in tensors
            if tensor.type in types and tensor.num_bytes >= least and not tensor.num_bytes % _ITEM_BYTES[name]
        }
    places["words"] |= {
        _scales_place(tensor)
        for tensor in tensors
        if len(tensor.scales) >= _FEWEST_VALUES and tensor.scales_start not in derived
    }
    codes, words, halves = (_table(places[name]) for name in ("codes", "words", "halves"))
    parts = Parts(codes, words, halves, _table(derived.values(), 4))
    taken = parts.taken_out
    if (taken[1:, 0] < taken.sum(axis=1)[:-1]).any():
        raise ModelFileError("constants overlap")
    return parts


def gathered(content: bytes, places: Places) -> bytes:
    """Returns the bytes at places, one after the other.

    Args:
        content: Of a file.
        places: Of parts.
    """
    return b"".join(content[start : start + count] for start, count in places.tolist())


def scatter(content: bytearray, places: Places, parts: bytes) -> None:
    """Puts bytes back to their places.

    Args:
        content: Of a file.
        places: Of parts.
        parts: What `gathered` returned.

    Raises:
        ModelFileError: If there are more or fewer bytes than the places have.
    """
    if len(parts) != int(places[:, 1].sum()):
        raise ModelFileError("damaged: constants are cut off")
    position = 0
    for start, count in places.tolist():
        content[start : start + count] = parts[position : position + count]
        position += count


def derive_scales(content: bytearray, derived: np.ndarray) -> None:
    """Computes the scales that were left out.

    Args:
        content: Of a file with everything else in it.
        derived: As `Parts.derived`.
    """
    for start, count, kernel, data in derived.tolist():
        scales = np.frombuffer(content, "<f4", count, kernel) * np.frombuffer(content, "<f4", 1, data)
        content[start : start + 4 * count] = scales.astype("<f4").tobytes()
