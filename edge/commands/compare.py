"""`edge compare`: measurements of several machines side by side."""

from __future__ import annotations

import argparse
from pathlib import Path

from tfc.base.command_line import Commands


def _run(options: argparse.Namespace) -> int:
    from edge.measuring.bench_result import read_bench
    from edge.measuring.bench_table import format_comparison

    print(format_comparison([read_bench(path) for path in options.files]))
    return 0


def add_to(commands: Commands) -> None:
    """Adds the command.

    Args:
        commands: Those of the program.
    """
    parser = commands.add(
        "compare",
        "put measurements of several machines side by side",
        "edge compare laptop.json pi.json",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="JSON", help="what 'edge bench --json' wrote")
    parser.set_defaults(function=_run)
