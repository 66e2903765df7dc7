"""The conversion of a .tflite file of any framework to variants."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tensorflow.lite.python import convert
from tensorflow.lite.python.optimize import calibrator
from tensorflow.lite.toco import types_pb2

from edge.conversion.calibration import Inputs, InputSpec
from edge.conversion.checks import check_types, inputs_of
from edge.conversion.conversion import Conversion, PaletteRequest, needs_data
from edge.conversion.converter import quiet_converter, state_reset_between_examples
from edge.conversion.flatbuffer import FlatbufferModel
from edge.conversion.integer import PalettizedInt8, to_palettized_int8
from edge.conversion.keras_kernels import FoldedKernel, KerasKernel, is_palette
from edge.conversion.progress import Progress, no_progress
from edge.conversion.unpacked_weights import with_plain_weights
from edge.formats.boundaries import Boundary, named
from edge.formats.example_data import read_examples
from edge.formats.packing import read_model_content
from edge.formats.table_expansion import expand_tables
from edge.formats.tflite_reader import TfliteView
from tfc.base.errors import ModelFileError
from tfc.keras_files.loading import first_line


class TfliteFile:
    """A .tflite file that is to be converted.

    Attributes:
        content: Of the file, unpacked, its look-up tables expanded, and weights that are only stored in few bits as
            floats.
        inputs: Its inputs.
    """

    def __init__(self, content: bytes) -> None:
        """Takes a file apart.

        Args:
            content: Of a .tflite file.

        Raises:
            ModelFileError: If it can't be loaded, or has no fixed input shapes for one example.
        """
        for subgraph in TfliteView(content).subgraphs:  # checks every position, which the schema's classes do not
            assert subgraph.operators is not None and subgraph.inputs is not None and subgraph.outputs is not None
        try:
            self.content = with_plain_weights(expand_tables(content))
        except ModelFileError:
            raise
        except Exception as error:  # whatever a damaged file makes of NumPy and of the schema's classes
            raise ModelFileError(f"damaged: {first_line(error)}") from error
        try:
            boundaries = inputs_of(self.content)
        except (RuntimeError, ValueError) as error:
            raise ModelFileError(f"TensorFlow's interpreter can't load it: {first_line(error)}") from error
        self.inputs: tuple[Boundary, ...] = named(boundaries, TfliteView(self.content), inputs=True)
        for each in self.inputs:
            if not each.shape or each.shape[0] != 1:
                raise ModelFileError(f"its input {each.name} has shape {each.shape}; export needs a batch of one")

    @classmethod
    def read(cls, path: Path) -> TfliteFile:
        """Reads a file.

        Args:
            path: Of the file, packed or not.

        Raises:
            ModelFileError: If it can't be read or loaded.
        """
        content = read_model_content(path)
        try:
            return cls(content)
        except ModelFileError as error:
            raise ModelFileError(f"{path}: {error}") from error

    @property
    def specs(self) -> tuple[InputSpec, ...]:
        """Its inputs as examples have them: quantised ones as floats."""
        single = len(self.inputs) == 1
        return tuple(
            InputSpec(
                "x" if single else each.name, each.shape[1:], "float32" if each.scale else np.dtype(each.dtype).name
            )
            for each in self.inputs
        )

    def read_calibration(self, path: Path) -> Inputs:
        """Reads a representative data set.

        Args:
            path: An NPZ file: `x`, or an array per input; `x_train` of a whole data set.

        Returns:
            Per input (examples, ...): numbers; integers of an integer input.

        Raises:
            DataFileError: If it is missing or damaged, or does not fit.
        """
        found = read_examples(path, self.inputs, labelled=False, part="train").inputs
        return tuple(
            each.values(values) if values.dtype == each.dtype else values
            for each, values in zip(self.inputs, found, strict=True)
        )


def _to_int8(content: bytes, inputs: tuple[Boundary, ...], calibration: Inputs) -> bytes:
    """Quantises a float .tflite file: TensorFlow Lite's calibrator and quantiser, as its converter uses them."""

    def examples() -> Iterator[Any]:
        for each in zip(*calibration, strict=True):
            yield [boundary.quantised(value[None]) for boundary, value in zip(inputs, each, strict=True)]

    with state_reset_between_examples():
        calibrated = calibrator.Calibrator(content).calibrate(examples)
    return bytes(
        convert.mlir_quantize(
            calibrated,
            fully_quantize=True,
            inference_type=types_pb2.QUANTIZED_INT8,
            input_data_type=types_pb2.INT8,
            output_data_type=types_pb2.INT8,
        )
    )


class TfliteConversion(Conversion):
    """The conversion of a .tflite file."""

    def __init__(
        self,
        file: TfliteFile,
        calibration: np.ndarray | Inputs | None = None,
        palettes: PaletteRequest | None = None,
        progress: Progress = no_progress,
    ) -> None:
        """Takes a file.

        Args:
            file: The file.
            calibration: As of `Conversion`.
            palettes: As of `Conversion`.
            progress: As of `Conversion`.
        """
        super().__init__(file.specs, calibration, palettes, progress)
        self._file = file

    @cached_property
    def is_integer(self) -> bool:
        """Whether some kernel is computed with in integers: such a file stays as it is but for its codes."""
        model = FlatbufferModel(self._file.content)
        return any(len(model.scales(use.input)) == 1 and len(model.scales(use.kernel)) for use in model.kernel_uses())

    @property
    def given(self) -> bytes:
        """What variants are compared with."""
        return self._file.content

    @property
    def keeps_descriptions(self) -> bool:
        """Metadata and signatures are the user's."""
        return True

    @property
    def float_content(self) -> bytes:
        """The float32 model.

        Raises:
            ModelFileError: If the file computes in integers.
        """
        if self.is_integer:
            raise ModelFileError(
                "it computes in integers already, so that f32 and wo8 are not possible; int8 and lut are"
            )
        return self._file.content

    @cached_property
    def folded(self) -> list[FoldedKernel]:
        """Kernels that have few distinct values as they are."""
        found = []
        for use in self.reference.kernel_uses():
            values = self.reference.constant(use.kernel)
            if values is None or values.dtype != np.float32:
                continue
            palette = np.unique(values)
            if is_palette(palette, values):
                kernel = KerasKernel(use.kernel, "kernel", values, palette)
                found.append(FoldedKernel(use, kernel, np.ones(values.shape[use.channel_axis], np.float32)))
        return found

    @cached_property
    def integer_parts(self) -> PalettizedInt8:
        """The full-integer model."""
        if self.is_integer:
            return PalettizedInt8(FlatbufferModel(self._file.content), [], [])
        data = needs_data(self._calibration)
        with quiet_converter():
            quantized = _to_int8(self._file.content, self._file.inputs, data)
        check_types(quantized, "int8")
        return to_palettized_int8(self.reference, FlatbufferModel(quantized), self.folded)
