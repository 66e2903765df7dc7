"""The variants of a model by name, and their conversion from a Keras model."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import tensorflow as tf

from edge.conversion.converter import load_keras_model, quiet_converter, to_float32, to_int8
from edge.conversion.flatbuffer import FlatbufferModel
from edge.conversion.integer import to_palettized_int8
from edge.conversion.keras_kernels import FoldedKernel, kernels_of, match
from edge.conversion.lookup_table import to_look_up_tables
from edge.conversion.weight_only import to_weight_only
from edge.formats.data_files import read_inputs
from edge.formats.packing import SUFFIX as PACKED_SUFFIX
from edge.formats.packing import pack
from tfc.base.atomic_write import atomic_write
from tfc.base.errors import EdgeError, ModelFileError
from tfc.base.run_files import CALIBRATION
from tfc.keras_files.loading import first_line

_LOG = logging.getLogger(__name__)

PACKED = "packed"
"""Not a variant of its own: entropy-coded copies of the others."""


INTEGER = {"int8", "lut"}
"""Variants that need a representative data set."""

_NO_DATA = "int8 needs a representative data set: --calibration FILE.npz (see 'tfc data --help')"


class Conversion:
    """The conversion of one Keras model to variants; intermediate results are made once and shared."""

    def __init__(self, model: tf.keras.Model, calibration: np.ndarray | None = None) -> None:
        """Takes a model.

        Args:
            model: Keras model with one input and one output.
            calibration: Representative data set, float32 (examples, *input_shape), for the integer variants.
        """
        self._model, self._calibration = model, calibration
        self._lost: list[str] = []

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
    def integer(self) -> FlatbufferModel:
        """The full-integer model with its kernels in their palettes."""
        if self._calibration is None:
            raise EdgeError(_NO_DATA)
        with quiet_converter():
            quantized = FlatbufferModel(to_int8(self._model, self._calibration))
        model, self._lost = to_palettized_int8(self.reference, quantized, self.folded)
        return model

    @property
    def lost_palettes(self) -> dict[str, str]:
        """Layers whose palette an integer variant loses, and why; complete once the variants are made."""
        unmatched = "the converter changed its kernel beyond a factor per channel"
        one_scale = "BatchNorm is folded into a dense kernel, which has one scale in int8"
        return {**dict.fromkeys(self._matched[1], unmatched), **dict.fromkeys(self._lost, one_scale)}


VARIANTS: dict[str, Callable[[Conversion], bytes]] = {
    "f32": lambda conversion: conversion.float_content,
    "wo8": lambda conversion: to_weight_only(conversion.reference, conversion.folded).to_bytes(),
    "int8": lambda conversion: conversion.integer.to_bytes(),
    "lut": lambda conversion: to_look_up_tables(conversion.integer).to_bytes(),
}
"""Variants by name: functions that make the content of a .tflite file."""


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        paths: Path of each variant; `VARIANT.packed` for those packed.
        lost_palettes: Layers whose palette an integer variant does not keep, and why.

    Examples:
        >>> import edge
        >>> done = edge.export("runs/tiny/model.keras", "out", name="tiny")
        >>> done
        Exported(paths={'f32': PosixPath('out/tiny-f32.tflite')}, lost_palettes={})
    """

    paths: dict[str, Path]
    lost_palettes: dict[str, str] = field(default_factory=dict)


def _checked(variants: tuple[str, ...]) -> tuple[str, ...]:
    """The variants that are files of their own; int8 where only packed ones are asked for."""
    unknown = [variant for variant in variants if variant not in (*VARIANTS, PACKED)]
    if unknown or not variants:
        known = ", ".join((*VARIANTS, PACKED))
        raise EdgeError(f"unknown variant {', '.join(unknown) or '(none)'}; known: {known}")
    return tuple(variant for variant in variants if variant != PACKED) or ("int8",)


def _representative(source: Path, model: tf.keras.Model, calibration: str | Path | None) -> np.ndarray:
    beside = source.with_name(CALIBRATION)
    if calibration is None and not beside.is_file():
        raise EdgeError(_NO_DATA)
    return read_inputs(Path(calibration or beside), tuple(model.input_shape[1:]))


def convert(conversion: Conversion, variants: tuple[str, ...], source: Path) -> dict[str, bytes]:
    """Makes variants.

    Args:
        conversion: Of the model.
        variants: Keys of `VARIANTS`.
        source: The model's name in errors.

    Returns:
        Content of each variant's file.

    Raises:
        EdgeError: If the model or the data don't allow it.
    """
    contents = {}
    for variant in variants:
        _LOG.info("%s: converting to %s", source, variant)
        try:
            contents[variant] = VARIANTS[variant](conversion)
        except ModelFileError as error:
            raise ModelFileError(f"{source}: {error}") from error
        except EdgeError:
            raise
        except Exception as error:  # the converter's own errors have no common base
            raise ModelFileError(f"{source}: cannot be converted to {variant}: {first_line(error)}") from error
    return contents


def export(
    source: str | Path,
    out: str | Path,
    variants: tuple[str, ...] = ("f32",),
    calibration: str | Path | None = None,
    name: str | None = None,
    prepare: Callable[[tf.keras.Model], tf.keras.Model] = lambda model: model,
) -> Exported:
    """Exports a Keras model file.

    Args:
        source: The Keras model.
        out: Folder for NAME-VARIANT.tflite, and NAME-VARIANT.tflite.packed.
        variants: Keys of `VARIANTS`, and `packed` for packed copies of them (of int8 where it stands alone).
        calibration: NPZ with x, the representative data set for int8 and lut; `calibration.npz` beside the model where
            None and there is one (runs leave it there).
        name: NAME; the source's name without suffix where None.
        prepare: Applied to the model first, such as clustering it.

    Raises:
        EdgeError: If a variant is unknown, or the model or the data don't allow it; nothing is written then.

    Examples:
        >>> import edge
        >>> done = edge.export("runs/tiny/model.keras", "out", ("f32", "int8"), name="tiny")
        >>> [str(path) for path in done.paths.values()]
        ['out/tiny-f32.tflite', 'out/tiny-int8.tflite']
    """
    source, out = Path(source), Path(out)
    plain = _checked(variants)
    model = load_keras_model(source)
    inputs = _representative(source, model, calibration) if set(plain) & INTEGER else None
    try:
        conversion = Conversion(prepare(model), inputs)
    except EdgeError:
        raise
    except Exception as error:  # Keras' and tfmot's errors have no common base
        raise ModelFileError(f"{source}: cannot be prepared: {first_line(error)}") from error
    files = {}
    for variant, content in convert(conversion, plain, source).items():
        path = out / f"{name or source.stem}-{variant}.tflite"
        if set(variants) != {PACKED}:
            files[variant] = path, content
        if PACKED in variants:
            files[f"{variant}.{PACKED}"] = path.with_name(path.name + PACKED_SUFFIX), pack(content)
    lost = conversion.lost_palettes if set(plain) != {"f32"} else {}
    for path, content in files.values():
        with atomic_write(path) as temporary:
            temporary.write_bytes(content)
    return Exported({variant: path for variant, (path, _) in files.items()}, lost)
