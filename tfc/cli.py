"""The command `tfc`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from tfc.base.command_line import Commands, exit_code
from tfc.base.errors import TfcError
from tfc.base.freed_memory import keep_little
from tfc.base.version import __version__
from tfc.commands import compare, data, presets, replay, run, status, sweep, worker
from tfc.commands.workstation import INSTALL


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of `tfc` and all its commands."""
    commands = Commands(
        "tfc",
        "Federated learning with weight clustering (FedCompress) on TensorFlow Federated.",
        version=__version__,
        examples="tfc presets\n"
        "tfc run demo --out runs/demo\n"
        "tfc run demo --set method=fedavg --out runs/demo-fedavg\n"
        "tfc compare runs/demo-fedavg runs/demo --html report.html",
        exit_codes="0 done, 1 refused with one line on standard error, 2 invalid arguments, 130 interrupted by Ctrl-C",
    )
    for command in (run, status, worker, sweep, replay, presets, compare, data):
        command.add_to(commands)
    return commands.parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: Words after `tfc`; those of the process where None.

    Returns:
        The exit code: 0 done, 1 refused with one line on standard error, 130 interrupted. (argparse ends the process
        with 2 at words that it does not know.)
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow talks of GPUs at level 2
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # and of its own deprecations
    keep_little()
    options = build_parser().parse_args(arguments)
    return exit_code(lambda: int(options.function(options)), TfcError, INSTALL)


if __name__ == "__main__":
    sys.exit(main())
