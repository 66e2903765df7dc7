"""The conversion of one model to variants: what Keras models and .tflite files have in common."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from edge.conversion.calibration import Inputs, InputSpec
from edge.conversion.checks import LARGEST_DIFFERENCE, difference, inputs_of, outputs_of, probes
from edge.conversion.converter import quiet_converter
from edge.conversion.flatbuffer import FlatbufferModel
from edge.conversion.integer import PalettizedInt8
from edge.conversion.keras_kernels import FoldedKernel
from edge.conversion.kernel_fates import KernelFate
from edge.conversion.kernel_inputs import moments_of
from edge.conversion.lookup_table import to_look_up_tables
from edge.conversion.palette_budget import Measures, PaletteSettings, chosen, spread_of
from edge.conversion.palettization import Candidates, CodedUse, Palettized, candidates, with_moments
from edge.conversion.progress import Progress, no_progress
from edge.conversion.weight_only import CodedKernels, coded_kernels, to_weight_only
from edge.formats.judgement import agreement, decided
from edge.formats.packing import pack
from tfc.base.errors import EdgeError, ModelFileError

FLOATS = ("f32", "wo8")
"""Variants that compute in floating point."""

INTEGERS = ("int8", "lut")
"""Variants that compute in integers, and need a representative data set."""

PACKED = "packed"
"""Not a variant of its own: entropy-coded copies of the others."""

NO_DATA = "int8 needs a representative data set: --calibration FILE.npz (see 'tfc data --help')"

_HELD_OUT = 4
"""One example of so many measures what palettes do to outputs, and does not take part in making them."""


class Agreement(NamedTuple):
    """How much a variant's outputs are those of the given model.

    Attributes:
        same_class: Share of equal classes; None where the outputs are no classes.
        difference: Root mean square difference as a share of the outputs' spread.
    """

    same_class: float | None
    difference: float


@dataclass(frozen=True)
class PaletteRequest:
    """What palettes are asked for, and for which files.

    Attributes:
        settings: What is asked for.
        variants: Those that will be written, `packed` among them where they are packed.
    """

    settings: PaletteSettings
    variants: tuple[str, ...]


class Conversion(ABC):
    """The conversion of one model; intermediate results are made once and shared."""

    def __init__(
        self,
        specs: tuple[InputSpec, ...],
        calibration: np.ndarray | Inputs | None = None,
        palettes: PaletteRequest | None = None,
        progress: Progress = no_progress,
    ) -> None:
        """Takes what all models have.

        Args:
            specs: The model's inputs.
            calibration: Representative data set for the integer variants, (examples, *input_shape); a tuple of these,
                one per input, of a model with several.
            palettes: Palettes to give to its kernels; None for those that it has.
            progress: Shows the steps of making palettes.
        """
        self.specs = specs
        self._calibration = (calibration,) if isinstance(calibration, np.ndarray) else calibration
        self._palettes, self._progress = palettes, progress

    @property
    @abstractmethod
    def float_content(self) -> bytes:
        """The float32 model.

        Raises:
            ModelFileError: If there is none.
        """

    @property
    @abstractmethod
    def integer_parts(self) -> PalettizedInt8:
        """The full-integer model, with the palettes that the given model has."""

    @property
    def folded(self) -> list[FoldedKernel]:
        """The palettized kernels in the float32 model."""
        return []

    @property
    def given(self) -> bytes:
        """What variants are compared with: content of a .tflite file."""
        return self.float_content

    @property
    def keeps_descriptions(self) -> bool:
        """Whether look-up tables keep metadata and signatures."""
        return False

    @property
    def lost_palettes(self) -> dict[str, str]:
        """Layers whose palette a variant loses, and why; complete once the variants are made."""
        return {}

    def fates(self, variants: tuple[str, ...]) -> tuple[KernelFate, ...]:
        """Returns what happened to the kernels of the given model.

        Args:
            variants: Those that were made.
        """
        return ()

    @cached_property
    def reference(self) -> FlatbufferModel:
        """The float32 model, opened."""
        return FlatbufferModel(self.float_content)

    @cached_property
    def coded(self) -> CodedKernels:
        """The float32 model's kernels in int8."""
        return coded_kernels(self.reference, self.folded)

    @cached_property
    def _palettized_floats(self) -> Palettized | None:
        return None if self._palettes is None else self.palettized(self._palettes, integers=False)

    @property
    def floats(self) -> bytes:
        """The float32 variant."""
        found = self._palettized_floats
        return self.float_content if found is None else found.model.to_bytes()

    @cached_property
    def weight_only(self) -> FlatbufferModel:
        """The float model with int8 kernels."""
        return self.with_codes(self._palettized_floats or Palettized(self.reference, {}, ()))

    @cached_property
    def _palettized_integers(self) -> Palettized | None:
        return None if self._palettes is None else self.palettized(self._palettes, integers=True)

    @property
    def integer(self) -> FlatbufferModel:
        """The full-integer model with its kernels in their palettes."""
        found = self._palettized_integers
        return self.integer_parts.model if found is None else found.model

    @property
    def tables(self) -> FlatbufferModel | None:
        """The full-integer model with look-up tables; None where they save nothing."""
        return self.with_tables(self.integer)

    def with_codes(self, found: Palettized) -> FlatbufferModel:
        """Returns a float model with int8 kernels.

        Args:
            found: The float model, and the codes of the kernels that got palettes; the others have their own.
        """
        return to_weight_only(found.model, {**self.coded.codes, **found.codes})

    def with_tables(self, integer: FlatbufferModel) -> FlatbufferModel | None:
        """Returns a full-integer model with look-up tables; None where they save nothing.

        Args:
            integer: The model.
        """
        return to_look_up_tables(integer, everything=not self.keeps_descriptions)

    def _target_file(self, found: Palettized, variants: tuple[str, ...], *, integers: bool) -> bytes:
        """The file that a number of bytes is about, before it is packed: the first one of those that are written."""
        if not integers:
            if "wo8" not in variants:
                return found.model.to_bytes()
            return self.with_codes(found).to_bytes()
        if "int8" in variants and PACKED in variants:
            return found.model.to_bytes()
        return (self.with_tables(found.model) or found.model).to_bytes()

    @property
    def palettes(self) -> Palettized | None:
        """The palettes that were made: those of the integer variants where there are some."""
        made = self.__dict__
        found: Palettized | None = made.get("_palettized_integers") or made.get("_palettized_floats")
        return found

    @property
    def left_kernels(self) -> dict[str, str]:
        """Kernels that got no palette though palettes were made, and why."""
        made = self.__dict__
        if self.palettes is None:
            return {}
        model = self.integer_parts.model if made.get("_palettized_integers") else self.reference
        return candidates(model).left

    @cached_property
    def _integer_kernels(self) -> tuple[CodedUse, ...]:
        return self._with_inputs(self.integer_parts.model, candidates(self.integer_parts.model))

    @cached_property
    def _float_kernels(self) -> tuple[CodedUse, ...]:
        return self._with_inputs(self.reference, candidates(self.reference, self.coded.codes))

    def _with_inputs(self, model: FlatbufferModel, found: Candidates) -> tuple[CodedUse, ...]:
        """Kernels that may get a palette, with the moments of their inputs."""
        if not found.kernels:
            reasons = "; ".join(dict.fromkeys(found.left.values())) or "it has none"
            raise ModelFileError(f"no kernel can get a palette: {reasons}")
        shown, _ = self._split
        if shown is None:
            return found.kernels
        layouts = {use: kernel.layout for kernel in found.kernels for use in kernel.uses}
        content = model.to_bytes()
        takes = tuple(boundary.quantised(values) for boundary, values in zip(inputs_of(content), shown, strict=True))
        moments = moments_of(model, layouts, takes, progress=lambda n: self._progress("inputs of kernels", n))
        return with_moments(found.kernels, moments)

    def palettized(self, request: PaletteRequest, *, integers: bool) -> Palettized:
        """Returns the model with palettes.

        Args:
            request: What is asked for.
            integers: Whether it is the full-integer model; else the float one.

        Raises:
            EdgeError: If it can't be reached, or no kernel can get a palette.
        """
        model = self.integer_parts.model if integers else self.reference
        kernels = self._integer_kernels if integers else self._float_kernels
        measured = self._split[1]

        @functools.cache
        def exact() -> list[np.ndarray]:
            with quiet_converter():
                return outputs_of(model.to_bytes(), measured)

        def output_error(changed: FlatbufferModel) -> float:
            with quiet_converter():
                outputs = outputs_of(changed.to_bytes(), measured)
            errors = [float(((a - b) ** 2).mean()) for a, b in zip(outputs, exact(), strict=True)]
            return sum(error / spread for error, spread in zip(errors, spread_of(exact()), strict=True))

        def loss(changed: FlatbufferModel) -> float:
            found = self.agreement(changed.to_bytes())
            if found.difference > LARGEST_DIFFERENCE:  # would not be written, whatever the classes
                return float("inf")
            return found.difference if found.same_class is None else 1.0 - found.same_class

        def file_bytes(found: Palettized) -> int:
            content = self._target_file(found, request.variants, integers=integers)
            return len(pack(content)) if PACKED in request.variants else len(content)

        measures = Measures(file_bytes, output_error, loss)
        only_tables = integers and "lut" in request.variants and PACKED not in request.variants
        return chosen(model, kernels, request.settings, measures, self._progress, whole_bits=only_tables)

    @cached_property
    def _split(self) -> tuple[Inputs | None, Inputs]:
        """Calibration examples that palettes are made with, and those that outputs are measured on."""
        if self._calibration is None:
            return None, self._probes
        count = len(self._calibration[0])
        if count < 2 * _HELD_OUT:
            return self._calibration, self._probes
        held_out = np.arange(count) % _HELD_OUT == _HELD_OUT - 1
        rest = tuple(values[~held_out] for values in self._calibration)
        return rest, probes(self.specs, tuple(values[held_out] for values in self._calibration))

    @cached_property
    def _probes(self) -> Inputs:
        return probes(self.specs, self._calibration)

    @cached_property
    def _given_outputs(self) -> list[np.ndarray]:
        with quiet_converter():
            outputs = outputs_of(self.given, self._split[1])
        if self._calibration is not None and not all(np.isfinite(output).all() for output in outputs):
            raise ModelFileError("its outputs for the calibration data are not finite (NaN or infinity)")
        return outputs

    def check_outputs_are_finite(self) -> None:
        """Runs the given model on the calibration data, before the converter does, which would crash on infinities."""
        assert self._given_outputs

    def described(self, variant: str) -> str:
        """Returns a variant's name, with what is known to crash the converter.

        Args:
            variant: Its name.
        """
        return variant

    def agreement(self, content: bytes) -> Agreement:
        """Returns how much a variant's outputs are those of the given model.

        Args:
            content: Of the variant's file.
        """
        with quiet_converter():
            return self._agreement(self._given_outputs, outputs_of(content, self._split[1]))

    @staticmethod
    def _agreement(exact: list[np.ndarray], outputs: list[np.ndarray]) -> Agreement:
        classes = [(decided(values), decided(reference)) for values, reference in zip(outputs, exact, strict=True)]
        shares = [agreement(ours, theirs) for ours, theirs in classes if ours is not None and theirs is not None]
        known = [share for share in shares if share is not None]
        return Agreement(min(known) if len(known) == len(classes) else None, difference(exact, outputs))


def needs_data(calibration: Inputs | None) -> Inputs:
    """Returns calibration data.

    Args:
        calibration: The data, or None.

    Raises:
        EdgeError: If there are none.
    """
    if calibration is None:
        raise EdgeError(NO_DATA)
    return calibration
