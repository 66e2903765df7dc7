"""`edge firmware`: what a microcontroller's firmware needs of a model, as C++ files."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

from tfc.base.atomic_write import atomic_write
from tfc.base.command_line import Commands
from tfc.base.errors import EdgeError


def _class_names(path: Path | None) -> tuple[str, ...]:
    if path is None:
        return ()
    try:
        names = tuple(path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise EdgeError(f"{path}: cannot be read: {error}") from error
    if not names or not all(name.strip() for name in names):
        raise EdgeError(f"{path}: needs one class name per line, and no empty lines")
    return names


def _run(options: argparse.Namespace) -> int:
    from edge.firmware.bundle import firmware_bundle

    bundle = firmware_bundle(
        options.model,
        options.data,
        examples=options.examples,
        class_names=_class_names(options.class_names),
        seed=options.seed,
    )
    with contextlib.ExitStack() as all_or_none:
        for name, text in bundle.files.items():
            all_or_none.enter_context(atomic_write(options.out / name)).write_text(text, encoding="utf-8")
    print(f"{options.out}: {', '.join(bundle.files)}")
    print(f"flash  {bundle.flash_bytes:,} bytes of model")
    print(
        f"RAM    {bundle.arena_bytes:,} bytes of arena: {bundle.arena_scratch_bytes:,} scratch, "
        f"{bundle.arena_persistent_bytes:,} kept (on a 64-bit machine; less on a 32-bit one)"
    )
    print(f"operators  {', '.join(bundle.operators)}")
    if options.compare is not None:
        other = firmware_bundle(options.compare, options.data, examples=1, seed=options.seed)
        flash, ram = bundle.flash_bytes - other.flash_bytes, bundle.arena_bytes - other.arena_bytes
        print(f"against {options.compare}: {flash:+,} bytes of flash, {ram:+,} bytes of RAM")
    return 0


def add_to(commands: Commands) -> None:
    """Adds the command.

    Args:
        commands: Those of the program.
    """
    parser = commands.add(
        "firmware",
        "write C++ files for a microcontroller: model, operators, arena, golden examples (needs tflite-micro)",
        "edge firmware out/model-lut.tflite --out firmware --data test.npz\n"
        "edge firmware out/model-lut.tflite --out firmware --compare out/model-int8.tflite",
    )
    parser.add_argument("model", type=Path, metavar="MODEL.tflite", help=".tflite file that TFLM runs, packed or not")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the files")
    parser.add_argument("--data", type=Path, metavar="NPZ", help="examples x for the golden inputs (default: random)")
    parser.add_argument("--examples", type=int, default=2, metavar="N", help="golden examples (default: 2)")
    parser.add_argument("--class-names", type=Path, metavar="FILE", help="names of the classes, one per line")
    parser.add_argument("--seed", type=int, default=0, help="of random examples (default: 0)")
    parser.add_argument(
        "--compare", type=Path, metavar="OTHER.tflite", help="print what flash and RAM cost against another file"
    )
    parser.set_defaults(function=_run)
