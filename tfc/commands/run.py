"""`tfc run`: one experiment."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from tfc.base.command_line import Commands, add_loudness, shows_progress
from tfc.commands.options import VERBOSE, add_experiment, add_insecure_worker
from tfc.commands.workstation import require_workstation


def _run(options: argparse.Namespace) -> int:
    from tfc import config

    insecure = ["insecure_worker=true"] if options.insecure_worker else []
    experiment = config.load(options.experiment, [*options.set, *insecure])
    require_workstation()
    from tfc.simulation.configured_data import refuse_impossible_clients

    refuse_impossible_clients(experiment)
    from tfc.report.tables import comparison_table
    from tfc.simulation.log import console_log
    from tfc.simulation.loop import run
    from tfc.workers.remote import worker_addresses

    name = f"{Path(options.experiment).stem}-{experiment.method}-seed{experiment.seed}"
    out = options.out or Path("runs") / name
    with console_log(logging.INFO if options.verbose else logging.WARNING):
        finished = run(
            experiment,
            out,
            force=options.force,
            progress=shows_progress(options),
            record_payloads=options.record_payloads,
            workers=worker_addresses(options.workers) if options.workers is not None else (),
        )
    print(comparison_table([finished]).to_markdown())
    payloads = ", payloads/" if options.record_payloads else ""
    print(f"\n{out}/: config.toml, metrics.csv, summary.json, figures/, model.keras, calibration.npz{payloads}")
    return 0


def add_to(commands: Commands) -> None:
    """Adds the command.

    Args:
        commands: Those of the program.
    """
    parser = commands.add(
        "run",
        "train one experiment, or resume an unfinished run",
        "tfc run fashion-resnet8 --set seed=1 --set communication.target_ratio=40 --out runs/r40",
    )
    add_experiment(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="the run's folder (default: runs/PRESET-METHOD-seedN)")
    parser.add_argument("--force", action="store_true", help="replace an existing run, finished or not")
    add_loudness(parser, VERBOSE)
    parser.add_argument("--record-payloads", action="store_true", help="keep every payload, for 'tfc replay'")
    parser.add_argument(
        "--workers", metavar="HOST:PORT,...", help="divide the clients among these workers ('tfc worker' on each host)"
    )
    add_insecure_worker(parser)
    parser.set_defaults(function=_run)
