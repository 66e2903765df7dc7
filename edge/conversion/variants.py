"""The variants of a model by name, and their conversion from a Keras model."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import tensorflow as tf

from edge.conversion.calibration import Inputs, input_specs, read_representative
from edge.conversion.checks import LARGEST_DIFFERENCE, check_types, difference, outputs_of, probes
from edge.conversion.converter import quiet_converter, to_float32, to_int8
from edge.conversion.flatbuffer import FlatbufferModel
from edge.conversion.integer import PalettizedInt8, to_palettized_int8
from edge.conversion.keras_file import load_keras_model
from edge.conversion.keras_kernels import FoldedKernel, kernels_of, match
from edge.conversion.kernel_fates import KernelFate, fates
from edge.conversion.lookup_table import to_look_up_tables
from edge.conversion.weight_only import to_weight_only
from edge.formats.packing import SUFFIX as PACKED_SUFFIX
from edge.formats.packing import pack
from tfc.base.atomic_write import atomic_write
from tfc.base.errors import DataFileError, EdgeError, ModelFileError
from tfc.base.run_files import CALIBRATION
from tfc.keras_files.loading import first_line

_LOG = logging.getLogger(__name__)

PACKED = "packed"
"""Not a variant of its own: entropy-coded copies of the others."""


INTEGER = {"int8", "lut"}
"""Variants that need a representative data set."""

_NO_DATA = "int8 needs a representative data set: --calibration FILE.npz (see 'tfc data --help')"


NO_TABLES = "no kernel is smaller as a look-up table: it needs a palette, and some hundred weights"


class Conversion:
    """The conversion of one Keras model to variants; intermediate results are made once and shared."""

    def __init__(self, model: tf.keras.Model, calibration: np.ndarray | Inputs | None = None) -> None:
        """Takes a model.

        Args:
            model: A built Keras model.
            calibration: Representative data set for the integer variants, (examples, *input_shape); a tuple of these,
                one per input, of a model with several.
        """
        self._model = model
        self._calibration = (calibration,) if isinstance(calibration, np.ndarray) else calibration

    @cached_property
    def float_content(self) -> bytes:
        """The float32 model."""
        with quiet_converter():
            return to_float32(self._model)

    @cached_property
    def reference(self) -> FlatbufferModel:
        """The float32 model, opened."""
        return FlatbufferModel(self.float_content)

    @cached_property
    def _matched(self) -> tuple[list[FoldedKernel], list[str]]:
        return match(self.reference, kernels_of(self._model))

    @property
    def folded(self) -> list[FoldedKernel]:
        """The palettized kernels in the float32 model."""
        return self._matched[0]

    @cached_property
    def _palettized(self) -> PalettizedInt8:
        if self._calibration is None:
            raise EdgeError(_NO_DATA)
        with quiet_converter():
            quantized = to_int8(self._model, self._calibration)
        check_types(quantized, "int8")
        return to_palettized_int8(self.reference, FlatbufferModel(quantized), self.folded)

    @property
    def integer(self) -> FlatbufferModel:
        """The full-integer model with its kernels in their palettes."""
        return self._palettized.model

    @cached_property
    def _weight_only(self) -> tuple[FlatbufferModel, list[str]]:
        return to_weight_only(self.reference, self.folded)

    @property
    def weight_only(self) -> FlatbufferModel:
        """The float model with int8 kernels."""
        return self._weight_only[0]

    @property
    def plain_kernels(self) -> set[str]:
        """Layers whose few values turned out to be no palette; complete once the variants are made."""
        made = self.__dict__
        found = made["_weight_only"][1] if "_weight_only" in made else []
        return {*found, *(self._palettized.plain if "_palettized" in made else [])}

    @property
    def lost_palettes(self) -> dict[str, str]:
        """Layers whose palette an integer variant loses, and why; complete once the variants are made."""
        unmatched = "the converter changed its kernel beyond a factor per channel"
        one_scale = "BatchNorm is folded into a dense kernel, which has one scale in int8"
        lost = self._palettized.lost if "_palettized" in self.__dict__ else []
        return {**dict.fromkeys(self._matched[1], unmatched), **dict.fromkeys(lost, one_scale)}

    @cached_property
    def _probes(self) -> Inputs:
        return probes(input_specs(self._model), self._calibration)

    @cached_property
    def _float_outputs(self) -> list[np.ndarray]:
        with quiet_converter():
            outputs = outputs_of(self.float_content, self._probes)
        if self._calibration is not None and not all(np.isfinite(output).all() for output in outputs):
            raise ModelFileError("its outputs for the calibration data are not finite (NaN or infinity)")
        return outputs

    def check_outputs_are_finite(self) -> None:
        """Runs the float model on the calibration data, before the converter does, which would crash on infinities."""
        assert self._float_outputs

    def described(self, variant: str) -> str:
        """Returns a variant's name, with what is known to crash the converter.

        Args:
            variant: A key of `VARIANTS`.
        """
        if variant in INTEGER and self.reference.has_loops:
            return f"{variant} a model with a loop (of a GRU, SimpleRNN or RNN: unroll=True makes it work)"
        return variant

    def difference(self, content: bytes) -> float:
        """Returns the root mean square difference of a variant's outputs to the float model's, of their spread.

        Args:
            content: Of the variant's file.
        """
        with quiet_converter():
            return difference(self._float_outputs, outputs_of(content, self._probes))


VARIANTS: dict[str, Callable[[Conversion], bytes | None]] = {
    "f32": lambda conversion: conversion.float_content,
    "wo8": lambda conversion: conversion.weight_only.to_bytes(),
    "int8": lambda conversion: conversion.integer.to_bytes(),
    "lut": lambda conversion: _tables(conversion),
}
"""Variants by name: functions that make the content of a .tflite file; None where there is nothing to gain."""


def _tables(conversion: Conversion) -> bytes | None:
    model = to_look_up_tables(conversion.integer)
    return None if model is None else model.to_bytes()


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        paths: Path of each variant; `VARIANT.packed` for those packed.
        lost_palettes: Layers whose palette an integer variant does not keep, and why.
        left_out: Variants that were not written, and why: look-up tables that save nothing.
        differences: Of each variant, the root mean square difference of its outputs to the float model's, as a share
            of their spread, on the calibration data; on seeded random inputs where there are none.
        kernels: What happened to each kernel.

    Examples:
        >>> import edge
        >>> done = edge.export("runs/tiny/model.keras", "out", name="tiny")
        >>> done.paths
        {'f32': PosixPath('out/tiny-f32.tflite')}
        >>> done.lost_palettes, done.left_out
        ({}, {})
    """

    paths: dict[str, Path]
    lost_palettes: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    differences: dict[str, float] = field(default_factory=dict)
    kernels: tuple[KernelFate, ...] = ()


def _checked(variants: tuple[str, ...]) -> tuple[str, ...]:
    """The variants that are files of their own; int8 where only packed ones are asked for."""
    unknown = [variant for variant in variants if variant not in (*VARIANTS, PACKED)]
    if unknown or not variants:
        known = ", ".join((*VARIANTS, PACKED))
        raise EdgeError(f"unknown variant {', '.join(unknown) or '(none)'}; known: {known}")
    return tuple(variant for variant in variants if variant != PACKED) or ("int8",)


def _representative(
    source: Path, model: tf.keras.Model, calibration: str | Path | None, *, needed: bool
) -> Inputs | None:
    path = Path(calibration) if calibration else source.with_name(CALIBRATION)
    if calibration is None and not path.is_file():
        if needed:
            raise EdgeError(_NO_DATA)
        return None
    try:
        return read_representative(path, input_specs(model))
    except DataFileError:
        if needed or calibration:
            raise
        return None  # another model's data beside it, and no variant that needs data


def convert(
    conversion: Conversion,
    variants: tuple[str, ...],
    source: Path,
    started: Callable[[str], None] = lambda what: None,
) -> dict[str, bytes]:
    """Makes variants.

    Args:
        conversion: Of the model.
        variants: Keys of `VARIANTS`.
        source: The model's name in errors.
        started: Called before each variant is made, with a description of what is being converted.

    Returns:
        Content of each variant's file; a variant is missing where there is nothing to gain from it.

    Raises:
        EdgeError: If the model or the data don't allow it.
    """
    contents = {}
    for variant in variants:
        _LOG.info("%s: converting to %s", source, variant)
        try:
            started(conversion.described(variant))
            if variant in INTEGER:
                conversion.check_outputs_are_finite()
            content = VARIANTS[variant](conversion)
        except ModelFileError as error:
            raise ModelFileError(f"{source}: {error}") from error
        except EdgeError:
            raise
        except Exception as error:  # the converter's own errors have no common base
            raise ModelFileError(f"{source}: cannot be converted to {variant}: {first_line(error)}") from error
        if content is not None:
            contents[variant] = content
    return contents


def _differences(
    conversion: Conversion, contents: dict[str, bytes], source: Path, *, allow_disagreement: bool
) -> dict[str, float]:
    found = {}
    for variant, content in contents.items():
        if variant == "f32":
            continue
        try:
            found[variant] = conversion.difference(content)
        except (RuntimeError, ValueError) as error:  # the interpreter's
            raise ModelFileError(f"{source}: {variant} was converted, but does not run: {first_line(error)}") from error
        if not found[variant] <= LARGEST_DIFFERENCE and not allow_disagreement:
            raise ModelFileError(
                f"{source}: {variant} does not agree with the float model: its outputs differ by "
                f"{found[variant]:.0%} of their spread on the calibration data, {LARGEST_DIFFERENCE:.0%} is allowed; "
                "nothing was written (--allow-disagreement writes it)"
            )
    return found


def export(
    source: str | Path,
    out: str | Path,
    variants: tuple[str, ...] = ("f32",),
    calibration: str | Path | None = None,
    name: str | None = None,
    prepare: Callable[[tf.keras.Model], tf.keras.Model] = lambda model: model,
    *,
    allow_disagreement: bool = False,
    started: Callable[[str], None] = lambda what: None,
) -> Exported:
    """Exports a Keras model.

    TensorFlow Lite's converter is native code: where it crashes, so does this process. The command `edge export` runs
    it in one of its own.

    Args:
        source: The Keras model: a `.keras` or `.h5` file, also of Keras 3.
        out: Folder for NAME-VARIANT.tflite, and NAME-VARIANT.tflite.packed.
        variants: Keys of `VARIANTS`, and `packed` for packed copies of them (of int8 where it stands alone).
        calibration: NPZ with x, the representative data set for int8 and lut, of the model's own type;
            `calibration.npz` beside the model where None and there is one (runs leave it there). An array per input, by
            its name, for a model with several inputs.
        name: NAME; the source's name without suffix where None.
        prepare: Applied to the model first, such as clustering it.
        allow_disagreement: Whether to write variants whose outputs differ much from the float model's.
        started: Called before each variant is made, with a description of what is being converted.

    Raises:
        EdgeError: If a variant is unknown, the model or the data don't allow it, or a variant's types or outputs are
            not what they must be; nothing is written then.

    Examples:
        >>> import edge
        >>> done = edge.export("runs/tiny/model.keras", "out", ("f32", "int8"), name="tiny")
        >>> [str(path) for path in done.paths.values()]
        ['out/tiny-f32.tflite', 'out/tiny-int8.tflite']
    """
    source, out = Path(source), Path(out)
    plain = _checked(variants)
    model = load_keras_model(source)
    inputs = _representative(source, model, calibration, needed=bool(set(plain) & INTEGER))
    try:
        model = prepare(model)
    except EdgeError:
        raise
    except Exception as error:  # Keras' and tfmot's errors have no common base
        raise ModelFileError(f"{source}: cannot be prepared: {first_line(error)}") from error
    conversion = Conversion(model, inputs)
    contents = convert(conversion, plain, source, started)
    left_out = dict.fromkeys((variant for variant in plain if variant not in contents), NO_TABLES)
    if not contents:
        raise EdgeError(f"{source}: nothing to write as {', '.join(left_out)}: {NO_TABLES}")
    differences = _differences(conversion, contents, source, allow_disagreement=allow_disagreement)
    files = {}
    for variant, content in contents.items():
        path = out / f"{name or source.stem}-{variant}.tflite"
        if set(variants) != {PACKED}:
            files[variant] = path, content
        if PACKED in variants:
            files[f"{variant}.{PACKED}"] = path.with_name(path.name + PACKED_SUFFIX), pack(content)
    lost = conversion.lost_palettes if set(plain) != {"f32"} else {}
    with contextlib.ExitStack() as all_or_none:
        opened = [(all_or_none.enter_context(atomic_write(path)), content) for path, content in files.values()]
        for temporary, content in opened:
            temporary.write_bytes(content)
    kernels = fates(model, lost, conversion.plain_kernels, tuple(contents))
    return Exported({variant: path for variant, (path, _) in files.items()}, lost, left_out, differences, kernels)
