"""What a model takes and gives: the names, shapes, types and ranges of its inputs and outputs. NumPy alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from edge.formats.tflite_reader import TfliteView

_LARGEST_SHARE = 2.0
"""A quantised input that reaches beyond it takes pixels from 0 to 255 and not shares of 255."""


class Boundary(NamedTuple):
    """An input or output of a model.

    Attributes:
        shape: Its shape, the batch included.
        dtype: NumPy type.
        scale: Value of one quantisation step; 0 for floats, and for integers that are no quantised numbers.
        zero_point: The integer that stands for 0.
        name: By which data in an NPZ archive are found; empty where the file has none.
        limit: For integers that select a row of a table, such as tokens, the number of rows; 0 for others.

    Examples:
        >>> import edge
        >>> edge.Boundary(shape=(1, 28, 28, 1), dtype="int8", scale=1 / 255, zero_point=-128).zero_point
        -128
    """

    shape: tuple[int, ...]
    dtype: Any
    scale: float
    zero_point: int
    name: str = ""
    limit: int = 0

    @property
    def is_integer(self) -> bool:
        """Whether it holds integers, quantised or not."""
        return np.issubdtype(np.dtype(self.dtype), np.integer)

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest value: what a quantised tensor can represent, numbers of rows, else 0 and 1."""
        dtype = np.dtype(self.dtype)
        if self.scale:
            limits = np.iinfo(dtype)
            return (limits.min - self.zero_point) * self.scale, (limits.max - self.zero_point) * self.scale
        if self.limit:
            return 0.0, float(self.limit - 1)
        if dtype in (np.uint8, np.int8):
            return float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)
        return 0.0, 1.0

    @property
    def takes_pixels(self) -> bool:
        """Whether it takes pixels from 0 to 255: bytes, or quantised with a range made for them; floats do not tell."""
        if not self.scale:
            return np.dtype(self.dtype) == np.uint8
        return self.range[1] > _LARGEST_SHARE

    def random(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Returns random examples within `range`, (count, *shape without the batch).

        float32 for floats and quantised integers, else the tensor's own type.

        Args:
            count: Examples.
            rng: The source of randomness.
        """
        (low, high), shape = self.range, (count, *self.shape[1:])
        if self.scale or np.issubdtype(np.dtype(self.dtype), np.floating):
            return rng.uniform(low, high, shape).astype(np.float32)
        return rng.integers(int(low), int(high) + 1, shape).astype(self.dtype)

    def quantised(self, x: np.ndarray) -> np.ndarray:
        """Returns values in the tensor's own type.

        Args:
            x: Numbers to quantise with scale and zero point; those of the tensor's own integer type stay as they are.
        """
        if x.dtype == self.dtype or not self.scale:
            return x.astype(self.dtype, copy=False)
        limits = np.iinfo(self.dtype)
        codes = np.clip(np.round(x.astype(np.float32) / self.scale) + self.zero_point, limits.min, limits.max)
        return codes.astype(self.dtype)

    def values(self, raw: np.ndarray) -> np.ndarray:
        """Returns what the tensor's own numbers stand for: float32, or integers where they are no quantised numbers.

        Args:
            raw: In the tensor's own type.
        """
        if self.scale:
            return (raw.astype(np.float32) - self.zero_point) * np.float32(self.scale)
        return raw if not np.issubdtype(raw.dtype, np.floating) else raw.astype(np.float32)


def _plain_name(name: str) -> str:
    """A tensor's name without what TensorFlow puts around it: `serving_default_image:0` is `image`."""
    return re.sub(r":\d+$", "", name).removeprefix("serving_default_")


def _table_rows(view: TfliteView, tensor: int) -> int:
    """Rows of the smallest table that an input selects rows of, also through operators that change type or shape."""
    reached, rows = {tensor}, list[int]()
    for operator in view.operators:
        if operator.name == "GATHER" and len(operator.inputs) > 1 and operator.inputs[1] in reached:
            table = view.tensors[operator.inputs[0]]
            rows += table.shape[:1] if table.shape and table.num_bytes else ()
        elif operator.inputs and operator.inputs[0] in reached and operator.name not in ("FULLY_CONNECTED", "CONV_2D"):
            reached.update(operator.outputs)
    return min(rows, default=0)


def named(boundaries: Sequence[Boundary], view: TfliteView, *, inputs: bool) -> tuple[Boundary, ...]:
    """Returns an interpreter's inputs or outputs with the names, and the number of rows, that the file has for them.

    Args:
        boundaries: As the interpreter gives them, in the order of the file.
        view: The file's main subgraph.
        inputs: Whether they are inputs.
    """
    numbers = view.inputs if inputs else view.outputs
    if len(numbers) != len(boundaries):
        return tuple(boundaries)
    found = []
    for boundary, number in zip(boundaries, numbers, strict=True):
        name = view.signature_names.get(number) or _plain_name(view.tensors[number].name)
        rows = _table_rows(view, number) if inputs and boundary.is_integer and not boundary.scale else 0
        found.append(boundary._replace(name=name, limit=rows))
    return tuple(found)


def has_state(view: TfliteView) -> tuple[bool, bool]:
    """Returns whether runs of a model depend on the runs before: by variable tensors, and by resource variables.

    Args:
        view: Any of its subgraphs.
    """
    tensors = any(subgraph.has_variable_tensors for subgraph in view.subgraphs)
    resources = any(operator.name == "VAR_HANDLE" for subgraph in view.subgraphs for operator in subgraph.operators)
    return tensors, resources
