"""`edge inspect`: what the kernels of .tflite files are made of."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tfc.base.atomic_write import atomic_write, is_standard_output
from tfc.base.command_line import Commands


def _run(options: argparse.Namespace) -> int:
    from edge.formats.inspection import format_inspection, inspect

    found = [inspect(path) for path in options.files]
    text = json.dumps(found[0] if len(found) == 1 else found, indent=1)
    if is_standard_output(options.json):
        print(text)
        return 0
    print("\n\n".join(map(format_inspection, found)))
    if options.json:
        with atomic_write(options.json) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    return 0


def add_to(commands: Commands) -> None:
    """Adds the command.

    Args:
        commands: Those of the program.
    """
    parser = commands.add(
        "inspect",
        "show what the kernels of .tflite files are made of",
        "edge inspect model-int8.tflite",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help=".tflite files, packed or not")
    parser.add_argument("--json", type=Path, metavar="FILE", help="everything found; - prints it in place of the table")
    parser.set_defaults(function=_run)
