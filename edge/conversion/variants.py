"""The variants of a model by name, and their conversion from a Keras model or a .tflite file."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import tensorflow as tf

from edge.conversion.calibration import Inputs, input_specs, read_representative
from edge.conversion.checks import LARGEST_DIFFERENCE
from edge.conversion.conversion import FLOATS, INTEGERS, NO_DATA, PACKED, Agreement, Conversion, PaletteRequest
from edge.conversion.keras_conversion import KerasConversion
from edge.conversion.keras_file import load_keras_model
from edge.conversion.kernel_fates import KernelFate
from edge.conversion.palette_budget import PaletteSettings, mean_bits
from edge.conversion.palette_sweep import SweepPoint, sweep_json, sweep_page
from edge.conversion.palette_sweep import sweep as sweep_of
from edge.conversion.palettization import KernelPalette, Palettized
from edge.conversion.progress import Progress, no_progress, progress_bar
from edge.conversion.saved_model import is_saved_model, saved_model_to_tflite
from edge.conversion.tflite_conversion import TfliteConversion, TfliteFile
from edge.formats.packing import SUFFIX as PACKED_SUFFIX
from edge.formats.packing import is_model_file, pack
from tfc.base.atomic_write import atomic_write
from tfc.base.errors import DataFileError, EdgeError, ModelFileError
from tfc.base.run_files import CALIBRATION
from tfc.keras_files.loading import first_line

_LOG = logging.getLogger(__name__)

NO_TABLES = "no kernel is smaller as a look-up table: it needs a palette, and some hundred weights"

VARIANTS: dict[str, Callable[[Conversion], bytes | None]] = {
    "f32": lambda conversion: conversion.floats,
    "wo8": lambda conversion: conversion.weight_only.to_bytes(),
    "int8": lambda conversion: conversion.integer.to_bytes(),
    "lut": lambda conversion: _tables(conversion),
}
"""Variants by name: functions that make the content of a .tflite file; None where there is nothing to gain."""


def _tables(conversion: Conversion) -> bytes | None:
    model = conversion.tables
    return None if model is None else model.to_bytes()


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        paths: Path of each variant; `VARIANT.packed` for those packed.
        lost_palettes: Layers whose palette an integer variant does not keep, and why.
        left_out: Variants that were not written, and why: look-up tables that save nothing.
        differences: Of each variant, the root mean square difference of its outputs to the given model's, as a share
            of their spread, on the calibration data; on seeded random inputs where there are none. Examples that
            palettes were made with do not count.
        kernels: What happened to each kernel of a Keras model that kept its own palettes.
        agreements: Of each variant, the share of examples whose largest output is the given model's; of outputs of
            which that tells nothing, it is missing.
        palettes: The kernels that got a palette here.
        left_kernels: Kernels that got none though palettes were made, and why.
        sweep: Bytes and agreement by the number of clusters, where they were asked for.

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
    agreements: dict[str, float] = field(default_factory=dict)
    palettes: tuple[KernelPalette, ...] = ()
    left_kernels: dict[str, str] = field(default_factory=dict)
    sweep: tuple[SweepPoint, ...] = ()


def _checked(variants: tuple[str, ...]) -> tuple[str, ...]:
    """The variants that are files of their own; int8 where only packed ones are asked for."""
    unknown = [variant for variant in variants if variant not in (*VARIANTS, PACKED)]
    if unknown or not variants:
        known = ", ".join((*VARIANTS, PACKED))
        raise EdgeError(f"unknown variant {', '.join(unknown) or '(none)'}; known: {known}")
    return tuple(variant for variant in variants if variant != PACKED) or ("int8",)


def _representative(
    source: Path, calibration: str | Path | None, read: Callable[[Path], Inputs], *, needed: bool
) -> Inputs | None:
    path = Path(calibration) if calibration else source.with_name(CALIBRATION)
    if calibration is None and not path.is_file():
        if needed:
            raise EdgeError(NO_DATA)
        return None
    try:
        return read(path)
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
            if variant in INTEGERS:
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


def _agreements(
    conversion: Conversion, contents: dict[str, bytes], source: Path, *, allow_disagreement: bool
) -> dict[str, Agreement]:
    found = {}
    for variant, content in contents.items():
        if content == conversion.given:
            continue
        try:
            found[variant] = conversion.agreement(content)
        except (RuntimeError, ValueError) as error:  # the interpreter's
            raise ModelFileError(f"{source}: {variant} was converted, but does not run: {first_line(error)}") from error
        differs = found[variant].difference
        if not differs <= LARGEST_DIFFERENCE and not allow_disagreement:
            raise ModelFileError(
                f"{source}: {variant} does not agree with the given model: its outputs differ by "
                f"{differs:.0%} of their spread on the calibration data, {LARGEST_DIFFERENCE:.0%} is allowed; "
                "nothing was written (--allow-disagreement writes it)"
            )
    return found


def _conversion(
    source: Path,
    calibration: str | Path | None,
    prepare: Callable[[tf.keras.Model], tf.keras.Model],
    palettes: PaletteRequest | None,
    plain: tuple[str, ...],
    progress: Progress,
    *,
    trust: bool,
) -> Conversion:
    """Opens the source, whatever it is by its content."""
    needs_data = bool(set(plain) & set(INTEGERS))
    if is_saved_model(source):
        file = TfliteFile(saved_model_to_tflite(source, trust=trust))
    elif is_model_file(source):
        file = TfliteFile.read(source)
    else:
        model = load_keras_model(source)
        data = _representative(
            source, calibration, lambda path: read_representative(path, input_specs(model)), needed=needs_data
        )
        try:
            model = prepare(model)
        except EdgeError:
            raise
        except Exception as error:  # Keras' and tfmot's errors have no common base
            raise ModelFileError(f"{source}: cannot be prepared: {first_line(error)}") from error
        return KerasConversion(model, data, palettes, progress)
    needed = needs_data and not TfliteConversion(file).is_integer
    data = _representative(source, calibration, file.read_calibration, needed=needed)
    return TfliteConversion(file, data, palettes, progress)


def export(
    source: str | Path,
    out: str | Path,
    variants: tuple[str, ...] = ("f32",),
    calibration: str | Path | None = None,
    name: str | None = None,
    prepare: Callable[[tf.keras.Model], tf.keras.Model] = lambda model: model,
    *,
    palettes: PaletteSettings | None = None,
    sweep: bool = False,
    allow_disagreement: bool = False,
    trust: bool = False,
    started: Callable[[str], None] = lambda what: None,
    progress: bool = False,
) -> Exported:
    """Exports a Keras model, a SavedModel, or a .tflite file of any framework.

    A float .tflite file gives all variants; one that computes in integers gives int8 and lut, and stays as it is but
    for its kernels' codes and its biases. Metadata, signatures and further subgraphs survive.

    TensorFlow Lite's converter is native code: where it crashes, so does this process. The command `edge export` runs
    it in one of its own.

    Args:
        source: The model: a `.keras` or `.h5` file, also of Keras 3; a `.tflite` file, packed or not; the folder of a
            SavedModel. What it is, its content tells.
        out: Folder for NAME-VARIANT.tflite, and NAME-VARIANT.tflite.packed.
        variants: Keys of `VARIANTS`, and `packed` for packed copies of them (of int8 where it stands alone).
        calibration: NPZ with x, the representative data set for int8 and lut, of the model's own type;
            `calibration.npz` beside the model where None and there is one (runs leave it there). An array per input, by
            its name, for a model with several inputs.
        name: NAME; the source's name without its suffixes where None.
        prepare: Applied to a Keras model first, such as clustering it.
        palettes: Palettes to give to the converted model's kernels without training; None for those that it has.
        allow_disagreement: Whether to write variants whose outputs differ much from the float model's.
        sweep: Whether bytes and agreement of many numbers of clusters are compared: NAME-sweep.html and .json.
        trust: Whether a SavedModel may be loaded, whose graph can read and write files.
        started: Called before each variant is made, with a description of what is being converted.
        progress: Whether bars are shown on standard error while palettes are made.

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
    request = None
    if palettes is not None:
        palettes.check()
        if palettes.target_bytes is not None and not {PACKED, "lut"} & set(variants):
            raise EdgeError("--target-bytes is about a packed file or look-up tables: add packed or lut to --variants")
        if palettes.target_bytes is not None and PACKED not in variants and set(plain) & set(FLOATS):
            raise EdgeError("--target-bytes without packed is about lut: leave out f32 and wo8, or add packed")
        request = PaletteRequest(palettes, variants if set(variants) != {PACKED} else ("int8", PACKED))
    shown = progress_bar if progress else no_progress
    conversion = _conversion(source, calibration, prepare, request, plain, shown, trust=trust)
    contents = convert(conversion, plain, source, started)
    left_out = dict.fromkeys((variant for variant in plain if variant not in contents), NO_TABLES)
    if not contents:
        raise EdgeError(f"{source}: nothing to write as {', '.join(left_out)}: {NO_TABLES}")
    found = _agreements(conversion, contents, source, allow_disagreement=allow_disagreement)
    files = {}
    stem = name or Path(source.name.removesuffix(PACKED_SUFFIX)).stem
    for variant, content in contents.items():
        path = out / f"{stem}-{variant}.tflite"
        if set(variants) != {PACKED}:
            files[variant] = path, content
        if PACKED in variants:
            files[f"{variant}.{PACKED}"] = path.with_name(path.name + PACKED_SUFFIX), pack(content)
    made = conversion.palettes
    if made is not None:
        files["palettes"] = out / f"{stem}-palettes.json", _palettes_json(made, conversion.left_kernels)
    points = sweep_of(conversion, integers=bool(set(plain) & set(INTEGERS))) if sweep else ()
    if points:
        files["sweep"] = out / f"{stem}-sweep.html", sweep_page(stem, points).encode()
        files["sweep.json"] = out / f"{stem}-sweep.json", json.dumps(sweep_json(points), indent=1).encode()
    if any(path.resolve() == source.resolve() for path, _ in files.values()):
        raise EdgeError(f"{source}: would be replaced by its own variant; choose another --out or --name")
    _write(files)
    return Exported(
        {variant: path for variant, (path, _) in files.items()},
        conversion.lost_palettes if set(plain) != {"f32"} else {},
        left_out,
        {variant: each.difference for variant, each in found.items()},
        conversion.fates(tuple(contents)),
        {variant: each.same_class for variant, each in found.items() if each.same_class is not None},
        () if made is None else made.reports,
        conversion.left_kernels,
        points,
    )


def _palettes_json(made: Palettized, left: Mapping[str, str]) -> bytes:
    kernels = [asdict(report) for report in made.reports]
    return json.dumps({"mean_bits": mean_bits(made), "kernels": kernels, "left": dict(left)}, indent=1).encode()


def _write(files: Mapping[str, tuple[Path, bytes]]) -> None:
    """Writes all files, or none."""
    with contextlib.ExitStack() as all_or_none:
        opened = [(all_or_none.enter_context(atomic_write(path)), content) for path, content in files.values()]
        for temporary, content in opened:
            temporary.write_bytes(content)
