"""The conversion of a Keras model to variants, its palettes kept."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import tensorflow as tf

from edge.conversion.calibration import Inputs, input_specs
from edge.conversion.checks import check_types
from edge.conversion.conversion import INTEGERS, Conversion, PaletteRequest, needs_data
from edge.conversion.converter import quiet_converter, to_float32, to_int8
from edge.conversion.flatbuffer import FlatbufferModel
from edge.conversion.integer import PalettizedInt8, to_palettized_int8
from edge.conversion.keras_kernels import FoldedKernel, kernels_of, match
from edge.conversion.kernel_fates import KernelFate, fates
from edge.conversion.progress import Progress, no_progress


class KerasConversion(Conversion):
    """The conversion of a Keras model."""

    def __init__(
        self,
        model: tf.keras.Model,
        calibration: np.ndarray | Inputs | None = None,
        palettes: PaletteRequest | None = None,
        progress: Progress = no_progress,
    ) -> None:
        """Takes a model.

        Args:
            model: A built Keras model.
            calibration: As of `Conversion`.
            palettes: As of `Conversion`.
            progress: As of `Conversion`.
        """
        super().__init__(input_specs(model), calibration, palettes, progress)
        self._model = model

    @cached_property
    def float_content(self) -> bytes:
        """The float32 model."""
        with quiet_converter():
            return to_float32(self._model)

    @cached_property
    def _matched(self) -> tuple[list[FoldedKernel], list[str]]:
        return match(self.reference, kernels_of(self._model))

    @property
    def folded(self) -> list[FoldedKernel]:
        """The palettized kernels in the float32 model."""
        return self._matched[0]

    @cached_property
    def integer_parts(self) -> PalettizedInt8:
        """The full-integer model, with the palettes that the Keras model has."""
        data = needs_data(self._calibration)
        with quiet_converter():
            quantized = to_int8(self._model, data)
        check_types(quantized, "int8")
        return to_palettized_int8(self.reference, FlatbufferModel(quantized), self.folded)

    @property
    def plain_kernels(self) -> set[str]:
        """Layers whose few values turned out to be no palette; complete once the variants are made."""
        made = self.__dict__
        found = self.coded.plain if "weight_only" in made else []
        return {*found, *(self.integer_parts.plain if "integer_parts" in made else [])}

    @property
    def lost_palettes(self) -> dict[str, str]:
        """Layers whose palette an integer variant loses, and why; complete once the variants are made."""
        unmatched = "the converter changed its kernel beyond a factor per channel"
        one_scale = "BatchNorm is folded into a dense kernel, which has one scale in int8"
        lost = self.integer_parts.lost if "integer_parts" in self.__dict__ else []
        return {**dict.fromkeys(self._matched[1], unmatched), **dict.fromkeys(lost, one_scale)}

    def fates(self, variants: tuple[str, ...]) -> tuple[KernelFate, ...]:
        """Returns what happened to the kernels of the Keras model.

        Args:
            variants: Those that were made.
        """
        if self.palettes is not None:
            return ()
        lost = self.lost_palettes if set(variants) != {"f32"} else {}
        return fates(self._model, lost, self.plain_kernels, variants)

    def described(self, variant: str) -> str:
        """Returns a variant's name, with what is known to crash the converter.

        Args:
            variant: Its name.
        """
        if variant in INTEGERS and self.reference.has_loops:
            return f"{variant} a model with a loop (of a GRU, SimpleRNN or RNN: unroll=True makes it work)"
        return variant
