"""Golden examples: inputs, and what the microcontroller interpreter makes of them on this machine, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from edge.formats.boundaries import Boundary
from edge.formats.example_data import read_examples
from edge.running.loaded_model import TfliteModel
from edge.running.runtime import find_runtime
from tfc.base.errors import EdgeError


class Arena(NamedTuple):
    """Bytes of the arena, on a 64-bit machine; pointers are half as large on a 32-bit one.

    Attributes:
        scratch: For tensors, used again from operator to operator.
        persistent: For what is kept: quantisation, operators' data.
    """

    scratch: int
    persistent: int


class Golden(NamedTuple):
    """A model as the microcontroller interpreter runs it.

    Attributes:
        inputs: The model's inputs.
        outputs: Its outputs.
        examples: Per input (examples, ...) in the input's own type.
        results: Per output (examples, ...) in the output's own type.
        arena: What the interpreter allocates.
    """

    inputs: tuple[Boundary, ...]
    outputs: tuple[Boundary, ...]
    examples: tuple[np.ndarray, ...]
    results: tuple[np.ndarray, ...]
    arena: Arena


def golden(path: Path, data: Path | None, count: int, seed: int) -> Golden:
    """Runs a model on some examples.

    Args:
        path: A .tflite file, packed or not.
        data: NPZ with examples; None for random ones of the inputs' range.
        count: Number of examples.
        seed: Of random ones.

    Raises:
        EdgeError: If the interpreter is missing or can't run the file, or the data do not fit.
    """
    if count < 1:
        raise EdgeError(f"--examples must be at least 1; found {count}")
    model = TfliteModel(path, find_runtime("tflm"))
    if data is None:
        found = model.random_inputs(count, np.random.default_rng(seed))
    else:
        found = tuple(values[:count] for values in read_examples(data, model.inputs, labelled=False).inputs)
    examples = tuple(each.quantised(values) for each, values in zip(model.inputs, found, strict=True))
    results = model.predict_all(examples, raw=True)
    if any(not each.size for each in results):
        raise EdgeError(f"{path}: an output's shape changes from one example to the next")
    return Golden(model.inputs, model.outputs, examples, results, Arena(*model.arena_parts()))
