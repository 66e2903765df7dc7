"""`edge patch make` and `edge patch apply`: over-the-air updates of a model."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from edge.commands.model_files import in_file, write
from tfc.base.command_line import Commands


def _make(options: argparse.Namespace) -> int:
    from edge.formats.packing import pack, read_model_content
    from edge.formats.patch import make_patch
    from edge.formats.tflite_reader import TfliteView

    old, new = read_model_content(options.old), read_model_content(options.new)
    in_file(options.old, lambda: TfliteView(old))
    patch = in_file(options.new, lambda: make_patch(old, new))
    write(options.out, patch, f"{len(new) / len(patch):.2f}x smaller than {options.new}")
    packed = len(in_file(options.new, lambda: pack(new)))
    if packed < len(patch):
        print(
            f"note: {options.new} packed is smaller than the patch, {packed:,} bytes: use 'edge pack'", file=sys.stderr
        )
    return 0


def _apply(options: argparse.Namespace) -> int:
    from edge.formats.packing import read_bytes, read_model_content
    from edge.formats.patch import apply_patch

    old, patch = read_model_content(options.old), read_bytes(options.patch)
    new = in_file(options.patch, lambda: apply_patch(old, patch))
    write(options.out, new, "as the patch's checksum says")
    return 0


def add_to(commands: Commands) -> None:
    """Adds the commands.

    Args:
        commands: Those of the program.
    """
    group = commands.add_group(
        "patch",
        "over-the-air updates of a model on a device: make one, apply one",
        "edge patch make old-int8.tflite new-int8.tflite --out update.patch\n"
        "edge patch apply old-int8.tflite update.patch --out new-int8.tflite",
    )
    _add_make(commands, group)
    _add_apply(commands, group)


def _add_make(commands: Commands, group: Any) -> None:
    parser = commands.add(
        "make",
        "make the update from one export of a model to a later one of the same architecture",
        "edge patch make old-int8.tflite new-int8.tflite --out update.patch",
        group,
    )
    parser.add_argument("old", type=Path, metavar="OLD", help="the .tflite file that devices have, packed or not")
    parser.add_argument("new", type=Path, metavar="NEW", help="the .tflite file that they are to have, packed or not")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the update; - for standard output")
    parser.set_defaults(function=_make)


def _add_apply(commands: Commands, group: Any) -> None:
    parser = commands.add(
        "apply",
        "apply an update to the file it was made for",
        "edge patch apply old-int8.tflite update.patch --out new-int8.tflite",
        group,
    )
    parser.add_argument("old", type=Path, metavar="OLD", help="the .tflite file, packed or not; it stays as it is")
    parser.add_argument("patch", type=Path, metavar="PATCH", help="what 'edge patch make' wrote")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="the new .tflite file; - for standard output"
    )
    parser.set_defaults(function=_apply)
