"""The command `edge`."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from edge import bench_commands
from edge.running.interpreters import KERNELS
from edge.running.runtime import RUNTIMES
from tfc.base.atomic_write import atomic_write
from tfc.base.command_line import Commands, add_loudness, exit_code, shows_progress
from tfc.base.errors import EdgeError, ModelFileError
from tfc.base.version import __version__

Result = TypeVar("Result")

DIFFERENT = 2
"""Exit code of `verify` where the files do not agree."""


def _export(options: argparse.Namespace) -> int:
    try:
        from edge.conversion.clustering import ClusterSettings, prepare
        from edge.conversion.variants import export
    except ImportError as error:
        raise EdgeError(
            f"export needs TensorFlow ({error}): run 'pip install --no-deps -r requirements.txt' on a workstation"
        ) from error
    from edge.running.data_files import read_examples

    settings = ClusterSettings(options.clusters, options.cqat, options.epochs, options.learning_rate)
    train: Path | None = options.train

    def prepared(model: Any) -> Any:
        data = read_examples(train, tuple(model.input_shape[1:])) if train else None
        return prepare(model, settings, data, options.seed, progress=shows_progress(options))

    variants = tuple(options.variants.split(","))
    done = export(options.model, options.out, variants, options.calibration, options.name, prepared)
    for path in done.paths.values():
        print(f"{path}  {path.stat().st_size:,} bytes")
    for layer, reason in done.lost_palettes.items():
        print(f"warning: {layer} does not keep its palette: {reason}", file=sys.stderr)
    return 0


def _inspect(options: argparse.Namespace) -> int:
    from edge.formats.inspection import format_inspection, inspect

    found = [inspect(path) for path in options.files]
    text = json.dumps(found[0] if len(found) == 1 else found, indent=1)
    if options.json == Path("-"):
        print(text)
        return 0
    print("\n\n".join(map(format_inspection, found)))
    if options.json:
        with atomic_write(options.json) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from edge.running.verification import VerifySettings, format_verification, verify

    settings = VerifySettings(
        options.runtime,
        True if options.exact else None,
        options.min_agreement,
        options.random_inputs,
        options.seed,
        options.kernels,
    )
    found = verify(options.reference, options.candidate, options.data, settings)
    print(format_verification(found))
    return 0 if found["passed"] else DIFFERENT


def _doctor(options: argparse.Namespace) -> int:
    from edge.measuring.doctor import examine, format_findings

    print(format_findings(examine()))
    return 0


def _write(path: Path, content: bytes, was: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
    print(f"{path}  {len(content):,} bytes, {was}")


def _in_file(path: Path, work: Callable[[], Result]) -> Result:
    try:
        return work()
    except EdgeError as error:
        raise ModelFileError(f"{path}: {error}") from error


def _pack(options: argparse.Namespace) -> int:
    from edge.formats.packing import SUFFIX, pack, read_bytes

    out = options.out or options.file.with_name(options.file.name + SUFFIX)
    content = read_bytes(options.file)
    packed = _in_file(options.file, lambda: pack(content))
    _write(out, packed, f"{len(content) / len(packed):.2f}x smaller")
    return 0


def _unpack(options: argparse.Namespace) -> int:
    from edge.formats.packing import SUFFIX, read_bytes, unpack

    if options.out is None and options.file.suffix != SUFFIX:
        raise EdgeError(f"{options.file}: its name does not end with {SUFFIX}; name the result with --out FILE")
    out = options.out or options.file.with_suffix("")
    packed = read_bytes(options.file)
    content = _in_file(options.file, lambda: unpack(packed))
    _write(out, content, "restored bit for bit")
    return 0


def _patch_make(options: argparse.Namespace) -> int:
    from edge.formats.packing import read_model_content
    from edge.formats.patch import make_patch
    from edge.formats.tflite_reader import TfliteView

    old, new = read_model_content(options.old), read_model_content(options.new)
    _in_file(options.old, lambda: TfliteView(old))
    patch = _in_file(options.new, lambda: make_patch(old, new))
    _write(options.out, patch, f"{len(new) / len(patch):.2f}x smaller than {options.new}")
    return 0


def _patch_apply(options: argparse.Namespace) -> int:
    from edge.formats.packing import read_bytes, read_model_content
    from edge.formats.patch import apply_patch

    old, patch = read_model_content(options.old), read_bytes(options.patch)
    new = _in_file(options.patch, lambda: apply_patch(old, patch))
    _write(options.out, new, "as the patch's checksum says")
    return 0


@contextlib.contextmanager
def _log(options: argparse.Namespace) -> Iterator[None]:
    """With --verbose, what is logged goes to standard error."""
    logger, handler = logging.getLogger("edge"), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    level, propagate = logger.level, logger.propagate
    if getattr(options, "verbose", False):
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of `edge` and all its commands."""
    commands = Commands(
        "edge",
        "Exports palettized Keras models to TFLite and measures them on this machine.",
        version=__version__,
        examples="edge export runs/demo/fedcompress/model.keras --out out --variants f32,int8,packed\n"
        "edge inspect out/model-int8.tflite\n"
        "edge bench out/*.tflite --data runs/demo/data/test.npz --json bench.json",
        exit_codes="0 done, 1 refused with one line on standard error, 2 not understood (of 'verify' also: the files\n"
        "differ), 130 interrupted by Ctrl-C",
    )
    add = commands.add

    export = add(
        "export",
        "convert a Keras model to .tflite variants (needs TensorFlow)",
        "edge export runs/demo/fedcompress/model.keras --out out --variants f32,wo8,int8,lut,packed\n"
        "edge export my.keras --out out --variants int8 --clusters 16 --train train.npz --calibration train.npz",
    )
    export.add_argument("model", type=Path, metavar="MODEL.keras", help="Keras model, such as runs/NAME/model.keras")
    export.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for NAME-VARIANT.tflite")
    export.add_argument("--name", help="start of the files' names (default: the model's, without suffix)")
    export.add_argument(
        "--variants",
        default="f32",
        metavar="LIST",
        help="f32, wo8 (int8 weights, float computation), int8 (full integer), lut (look-up tables for "
        "microcontrollers), packed (the others once more, entropy-coded); with commas (default: f32)",
    )
    export.add_argument(
        "--calibration",
        type=Path,
        metavar="NPZ",
        help="representative data x for int8 and lut: training data, never the test set (default: calibration.npz "
        "beside the model, where a run leaves it)",
    )
    export.add_argument("--clusters", type=int, default=0, metavar="K", help="palettize first: K clusters per kernel")
    export.add_argument("--cqat", action="store_true", help="train on, quantised, with the palettes kept")
    export.add_argument("--train", type=Path, metavar="NPZ", help="x and y to fine-tune on, for --clusters and --cqat")
    export.add_argument("--epochs", type=int, default=1, metavar="N", help="epochs of fine-tuning (default: 1)")
    export.add_argument(
        "--learning-rate", type=float, default=1e-4, metavar="RATE", help="Adam's, in fine-tuning (default: 1e-4)"
    )
    export.add_argument("--seed", type=int, default=0, help="of fine-tuning (default: 0)")
    add_loudness(export, "say what is being done, a line per step")
    export.set_defaults(function=_export)

    inspect = add(
        "inspect",
        "show what the kernels of .tflite files are made of",
        "edge inspect model-int8.tflite",
    )
    inspect.add_argument("files", nargs="+", type=Path, metavar="FILE", help=".tflite files, packed or not")
    inspect.add_argument(
        "--json", type=Path, metavar="FILE", help="everything found; - prints it in place of the table"
    )
    inspect.set_defaults(function=_inspect)

    verify = add(
        "verify",
        "run the same inputs through two files and compare; exit code 0 if they agree, 2 if not, 1 for errors",
        "edge verify model-int8.tflite model-lut.tflite\n"
        "edge verify model-f32.tflite model-int8.tflite --data test.npz",
    )
    verify.add_argument("reference", type=Path, metavar="REFERENCE", help="the file that is right")
    verify.add_argument("candidate", type=Path, metavar="CANDIDATE", help="the file in question")
    verify.add_argument(
        "--data", type=Path, metavar="NPZ", help="x and y, or x_test and y_test; adds real inputs and accuracy"
    )
    verify.add_argument("--exact", action="store_true", help="outputs must be equal bit for bit, whatever the files")
    verify.add_argument(
        "--min-agreement", type=float, default=0.9, metavar="SHARE", help="where they may differ (default: 0.9)"
    )
    verify.add_argument("--random-inputs", type=int, default=100, metavar="N", help="default: 100")
    verify.add_argument("--seed", type=int, default=0, help="of the random inputs (default: 0)")
    verify.add_argument(
        "--runtime", default="auto", choices=["auto", *RUNTIMES], help="interpreter (default: tflm for look-up tables)"
    )
    verify.add_argument(
        "--kernels", default="xnnpack", choices=list(KERNELS), help="what computes (default: xnnpack where it can)"
    )
    add_loudness(verify, "say what is being done, a line per step")
    verify.set_defaults(function=_verify)

    doctor = add(
        "doctor", "say what is installed, what will work here, and what to install for the rest", "edge doctor"
    )
    doctor.set_defaults(function=_doctor)

    pack = add(
        "pack",
        "make a model file smaller, to be restored bit for bit",
        "edge pack model-int8.tflite --out model.packed",
    )
    pack.add_argument("file", type=Path, metavar="FILE", help="a .tflite file")
    pack.add_argument("--out", type=Path, metavar="FILE", help="default: the file's name with .packed behind it")
    pack.set_defaults(function=_pack)

    unpack = add("unpack", "restore a packed model file", "edge unpack model-int8.tflite.packed")
    unpack.add_argument("file", type=Path, metavar="FILE", help="what 'edge pack' wrote")
    unpack.add_argument("--out", type=Path, metavar="FILE", help="default: the file's name without .packed")
    unpack.set_defaults(function=_unpack)

    patch = commands.add_group(
        "patch",
        "over-the-air updates of a model on a device: make one, apply one",
        "edge patch make old-int8.tflite new-int8.tflite --out update.patch\n"
        "edge patch apply old-int8.tflite update.patch --out new-int8.tflite",
    )
    make = add(
        "make",
        "make the update from one export of a model to a later one of the same architecture",
        "edge patch make old-int8.tflite new-int8.tflite --out update.patch",
        patch,
    )
    make.add_argument("old", type=Path, metavar="OLD", help="the .tflite file that devices have, packed or not")
    make.add_argument("new", type=Path, metavar="NEW", help="the .tflite file that they are to have, packed or not")
    make.add_argument("--out", type=Path, required=True, metavar="FILE", help="the update")
    make.set_defaults(function=_patch_make)
    apply = add(
        "apply",
        "apply an update to the file it was made for",
        "edge patch apply old-int8.tflite update.patch --out new-int8.tflite",
        patch,
    )
    apply.add_argument("old", type=Path, metavar="OLD", help="the .tflite file, packed or not; it stays as it is")
    apply.add_argument("patch", type=Path, metavar="PATCH", help="what 'edge patch make' wrote")
    apply.add_argument("--out", type=Path, required=True, metavar="FILE", help="the new .tflite file")
    apply.set_defaults(function=_patch_apply)

    bench_commands.add_to(add)
    return commands.parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: Words after `edge`; those of the process where None.

    Returns:
        The exit code: 0 done, 1 refused with one line on standard error, 2 where `verify` finds a difference (and for
        words that argparse does not know), 130 interrupted.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow talks of GPUs at level 2
    options = build_parser().parse_args(arguments)
    with _log(options):
        return exit_code(
            lambda: int(options.function(options)), EdgeError, "'edge doctor' says what is needed for what"
        )


if __name__ == "__main__":
    sys.exit(main())
