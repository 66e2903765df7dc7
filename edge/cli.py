"""The command `edge`."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence

from edge.commands import bench, compare, doctor, export, firmware, inspect, pack, patch, unpack, verify
from tfc.base.command_line import Commands, exit_code
from tfc.base.errors import EdgeError
from tfc.base.version import __version__


@contextlib.contextmanager
def _log(options: argparse.Namespace) -> Iterator[None]:
    """With --verbose, what is logged goes to standard error."""
    logger, handler = logging.getLogger("edge"), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    level, propagate = logger.level, logger.propagate
    if getattr(options, "verbose", False):
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of `edge` and all its commands."""
    commands = Commands(
        "edge",
        "Exports models to small TFLite files and measures them on devices.",
        version=__version__,
        examples="edge export runs/demo/fedcompress/model.keras --out out --variants f32,int8,packed\n"
        "edge inspect out/model-int8.tflite\n"
        "edge bench out/*.tflite --data runs/demo/data/test.npz --json bench.json",
        exit_codes="0 done, 1 refused with one line on standard error, 2 invalid arguments (of 'verify' also: the\n"
        "files differ; of 'bench': a limit is not kept), 130 interrupted by Ctrl-C",
    )
    for command in (export, inspect, verify, firmware, doctor, pack, unpack, patch, bench, compare):
        command.add_to(commands)
    return commands.parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: Words after `edge`; those of the process where None.

    Returns:
        The exit code: 0 done, 1 refused with one line on standard error, 2 where `verify` finds a difference (and for
        words that argparse does not know), 130 interrupted.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow talks of GPUs at level 2
    options = build_parser().parse_args(arguments)
    with _log(options):
        return exit_code(
            lambda: int(options.function(options)), EdgeError, "'edge doctor' says what is needed for what"
        )


if __name__ == "__main__":
    sys.exit(main())
