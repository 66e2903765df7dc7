"""`tfc sweep`: every combination of methods, seeds and other keys."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from tfc.base.command_line import Commands, add_loudness, shows_progress
from tfc.commands.options import VERBOSE, add_experiment
from tfc.commands.workstation import require_workstation


def _run(options: argparse.Namespace) -> int:
    from tfc.base.errors import ConfigError
    from tfc.simulation.sweep import parse_axis, plan, run_all
    from tfc.simulation.sweep_file import is_sweep_file, plan_file

    if is_sweep_file(options.experiment):
        if options.methods or options.seeds or options.vary:
            raise ConfigError(f"{options.experiment} is a sweep: methods, seeds and what varies are named in it")
        runs = plan_file(Path(options.experiment), options.set)
    else:
        axes = [
            ("method", options.methods or ["fedavg", "fedcompress"]),
            *map(parse_axis, options.vary),
            ("seed", list(map(str, dict.fromkeys(options.seeds or [0])))),
        ]
        runs = plan(options.experiment, options.set, axes)
    if options.list:
        print("\n".join(planned.name for planned in runs))
        return 0
    require_workstation()
    from tfc.report.tables import comparison_table, mean_table
    from tfc.simulation.log import console_log

    with console_log(logging.INFO if options.verbose else logging.WARNING):
        finished = run_all(runs, options.out, progress=shows_progress(options))
    print(comparison_table(finished).to_markdown())
    means = mean_table(finished)
    print(f"\n{means.to_markdown()}\n{means.note}")
    return 0


def add_to(commands: Commands) -> None:
    """Adds the command.

    Args:
        commands: Those of the program.
    """
    parser = commands.add(
        "sweep",
        "run every combination of methods, seeds and other keys, one at a time; unfinished runs are resumed",
        "tfc sweep fashion-resnet8 --seeds 0 1 2 --out runs/reference\n"
        "tfc sweep demo --methods fedcompress --vary communication.rate_weight=0.4,0.8 --out runs/rates\n"
        "tfc sweep benchmarks/sweeps/methods-iid.toml --out runs/methods-iid",
    )
    add_experiment(parser)
    parser.add_argument("--methods", nargs="+", default=[], metavar="METHOD", help="default: fedavg fedcompress")
    parser.add_argument("--seeds", nargs="+", type=int, default=[], metavar="SEED", help="default: 0")
    parser.add_argument(
        "--vary", action="append", default=[], metavar="KEY=VALUE,VALUE", help="another key's values; may be repeated"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the runs' folders")
    parser.add_argument("--list", action="store_true", help="list the runs' names and end")
    add_loudness(parser, VERBOSE)
    parser.set_defaults(function=_run)
