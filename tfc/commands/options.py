"""Options that several commands have."""

from __future__ import annotations

import argparse

VERBOSE = "show what goes to runs' logs, a line per round"
"""Help of --verbose."""


def add_experiment(parser: argparse.ArgumentParser) -> None:
    """Adds the experiment's name and --set.

    Args:
        parser: That of a command.
    """
    parser.add_argument("experiment", metavar="PRESET-or-TOML", help="name of a preset, or path of a TOML file")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a key (see 'tfc presets --keys'); may be repeated",
    )


def add_insecure_worker(parser: argparse.ArgumentParser) -> None:
    """Adds --insecure-worker.

    Args:
        parser: That of a command that starts a worker.
    """
    parser.add_argument(
        "--insecure-worker",
        action="store_true",
        help="where the system permits no private network, start a worker all the same: whoever reaches this machine "
        "can then run programs as this user",
    )
