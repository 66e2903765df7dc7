"""`edge pack`: a model file becomes smaller."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge.commands.model_files import in_file, write
from tfc.base.command_line import Commands


def _run(options: argparse.Namespace) -> int:
    from edge.formats.packing import SUFFIX, is_in_parts, pack, read_bytes

    out = options.out or options.file.with_name(options.file.name + SUFFIX)
    content = read_bytes(options.file)
    packed = in_file(options.file, lambda: pack(content))
    how = "" if is_in_parts(packed) else ", compressed as a whole: its parts would take more"
    write(out, packed, f"{len(content) / len(packed):.2f}x smaller{how}")
    return 0


def add_to(commands: Commands) -> None:
    """Adds the command.

    Args:
        commands: Those of the program.
    """
    parser = commands.add(
        "pack",
        "entropy-code a model file for distribution (lossless)",
        "edge pack model-int8.tflite --out model.packed",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a .tflite file")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="default: the file's name with .packed behind it; - for standard output",
    )
    parser.set_defaults(function=_run)
