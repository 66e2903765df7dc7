"""`edge doctor`: what is installed and what will work here."""

from __future__ import annotations

import argparse

from tfc.base.command_line import Commands


def _run(options: argparse.Namespace) -> int:
    from edge.measuring.doctor import examine, format_findings

    print(format_findings(examine()))
    return 0


def add_to(commands: Commands) -> None:
    """Adds the command.

    Args:
        commands: Those of the program.
    """
    parser = commands.add(
        "doctor", "say what is installed, what will work here, and what to install for the rest", "edge doctor"
    )
    parser.set_defaults(function=_run)
