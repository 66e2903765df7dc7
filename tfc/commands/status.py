"""`tfc status`: how far a run is."""

from __future__ import annotations

import argparse
from pathlib import Path

from tfc.base.command_line import Commands


def _run(options: argparse.Namespace) -> int:
    from tfc.simulation.status import describe_status, read_status

    print(describe_status(read_status(options.run)))
    return 0


def add_to(commands: Commands) -> None:
    """Adds the command.

    Args:
        commands: Those of the program.
    """
    parser = commands.add(
        "status", "show a run's progress, whether its process is running, and the time left", "tfc status runs/mine"
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run, finished or not")
    parser.set_defaults(function=_run)
