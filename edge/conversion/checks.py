"""What a variant promises, checked before its file appears: the types of its tensors, and its outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from edge.conversion.calibration import Inputs, InputSpec
from edge.formats.boundaries import Boundary
from edge.formats.table_expansion import expand_tables
from edge.formats.tflite_reader import TfliteView
from tfc.base.errors import ModelFileError

LARGEST_DIFFERENCE = 0.5
"""Root mean square difference to the float model's outputs, as a share of their spread, that counts as agreement. Int8
models differ by some hundredths; a model that is broken by its quantisation differs by one or more."""

_MOST_EXAMPLES = 64


def check_types(content: bytes, variant: str) -> None:
    """Checks that a full-integer variant computes in integers, and has integer kernels.

    Args:
        content: Of a .tflite file.
        variant: Its name.

    Raises:
        ModelFileError: If some operators compute in floating point.
    """
    floats, count = set(), 0
    for view in TfliteView(content).subgraphs:
        for operator in view.operators:
            count += 1
            if any(number >= 0 and view.tensors[number].type == "float32" for number in operator.outputs):
                floats.add(operator.name)
        for kernel in view.kernels:
            if view.tensors[kernel.tensor].type == "float32":
                floats.add(kernel.operator)
    if floats:
        raise ModelFileError(
            f"cannot be converted to {variant}: the converter left {', '.join(sorted(floats))} in floating point, of "
            f"{count} operators"
        )


def probes(specs: tuple[InputSpec, ...], data: Inputs | None) -> Inputs:
    """Returns the inputs that outputs are compared on: some of the calibration data, else seeded random ones.

    Args:
        specs: The model's inputs.
        data: The calibration data; None where there are none.
    """
    if data is not None:
        chosen = np.linspace(0, len(data[0]) - 1, min(len(data[0]), _MOST_EXAMPLES)).astype(int)
        return tuple(values[chosen] for values in data)
    rng = np.random.default_rng(0)

    def drawn(spec: InputSpec) -> np.ndarray:
        # Integers may be numbers of rows of a table: small ones are in any.
        return rng.random((16, *spec.shape)) if np.dtype(spec.dtype).kind == "f" else np.zeros((16, *spec.shape))

    return tuple(drawn(spec).astype(spec.dtype) for spec in specs)


def boundary_of(detail: dict[str, Any]) -> Boundary:
    """Returns an input or output as TensorFlow's interpreter describes it.

    Args:
        detail: One of `get_input_details()` or `get_output_details()`.
    """
    scale, zero_point = detail["quantization"]
    return Boundary(tuple(map(int, detail["shape"])), detail["dtype"], float(scale), int(zero_point), detail["name"])


def _dequantized(values: np.ndarray, boundary: Boundary) -> np.ndarray:
    exact = values.astype(np.float64)
    return (exact - boundary.zero_point) * boundary.scale if boundary.scale else exact


def inputs_of(content: bytes) -> list[Boundary]:
    """Returns the inputs of a file.

    Args:
        content: Of a .tflite file.
    """
    return [boundary_of(detail) for detail in tf.lite.Interpreter(model_content=content).get_input_details()]


def outputs_of(content: bytes, examples: Inputs) -> list[np.ndarray]:
    """Runs a file on TensorFlow's own interpreter; state is reset before every example.

    Args:
        content: Of a .tflite file; look-up tables are expanded.
        examples: Its inputs.

    Returns:
        Each output, float64 (examples, ...).
    """
    interpreter = tf.lite.Interpreter(model_content=expand_tables(content), num_threads=1)
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    found: list[list[np.ndarray]] = [[] for _ in outputs]
    for each in zip(*examples, strict=True):
        interpreter.reset_all_variables()
        for detail, values in zip(inputs, each, strict=True):
            interpreter.set_tensor(detail["index"], boundary_of(detail).quantised(values[None]))
        interpreter.invoke()
        for detail, values in zip(outputs, found, strict=True):
            values.append(_dequantized(interpreter.get_tensor(detail["index"])[0], boundary_of(detail)))
    return [np.stack(values) for values in found]


def difference(reference: list[np.ndarray], found: list[np.ndarray]) -> float:
    """Returns the root mean square difference of outputs as a share of the reference's spread, the worst output's.

    Args:
        reference: Outputs of the float model, each (examples, ...).
        found: Those of a variant.
    """
    worst = 0.0
    for exact, values in zip(reference, found, strict=True):
        error = float(np.sqrt(np.mean((values - exact) ** 2)))
        spread, size = float(exact.std()), float(np.sqrt(np.mean(exact**2)))
        if spread < 1e-3 * size:  # constant outputs
            spread = size
        if not np.isfinite(error):
            return float("inf")
        worst = max(worst, error / spread if spread else float(error > 0))
    return worst
