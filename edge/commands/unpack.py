"""`edge unpack`: a packed model file is restored."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge.commands.model_files import in_file, write
from tfc.base.command_line import Commands
from tfc.base.errors import EdgeError


def _run(options: argparse.Namespace) -> int:
    from edge.formats.packing import SUFFIX, read_bytes, unpack

    if options.out is None and options.file.suffix != SUFFIX:
        raise EdgeError(f"{options.file}: its name does not end with {SUFFIX}; name the result with --out FILE")
    out = options.out or options.file.with_suffix("")
    packed = read_bytes(options.file)
    content = in_file(options.file, lambda: unpack(packed))
    write(out, content, "restored bit for bit")
    return 0


def add_to(commands: Commands) -> None:
    """Adds the command.

    Args:
        commands: Those of the program.
    """
    parser = commands.add("unpack", "restore a packed model file", "edge unpack model-int8.tflite.packed")
    parser.add_argument("file", type=Path, metavar="FILE", help="what 'edge pack' wrote")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="default: the file's name without .packed; - for standard output"
    )
    parser.set_defaults(function=_run)
