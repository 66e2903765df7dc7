"""`tfc data`: a data set's files for `edge`."""

from __future__ import annotations

import argparse
from pathlib import Path

from tfc.base.command_line import Commands
from tfc.commands.options import add_experiment
from tfc.commands.workstation import require_workstation


def _run(options: argparse.Namespace) -> int:
    from tfc import config

    experiment = config.load(options.experiment, options.set)
    require_workstation()
    from tfc.simulation.device_data import write_device_data

    for path in write_device_data(experiment, options.out, options.calibration_examples):
        print(path)
    return 0


def add_to(commands: Commands) -> None:
    """Adds the command.

    Args:
        commands: Those of the program.
    """
    parser = commands.add(
        "data", "write a data set's calibration.npz and test.npz for 'edge'", "tfc data demo --out runs/data"
    )
    add_experiment(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the two files")
    parser.add_argument("--calibration-examples", type=int, default=256, metavar="N", help="default: 256")
    parser.set_defaults(function=_run)
