"""`tfc replay`: a recorded run from its payloads alone."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tfc.base.command_line import Commands
from tfc.base.errors import RunError
from tfc.base.run_files import CONFIG, METRICS, MODEL
from tfc.commands.workstation import require_workstation

if TYPE_CHECKING:
    from tfc.replay.replay import RecordedRun


def _final_model(run: Path, recorded: RecordedRun) -> str:
    """Compares model.keras with the model that the payloads end with; returns what was found."""
    final = recorded.final()
    if final is None:
        return f"{MODEL} was not checked: the version that recorded the run did not keep the final model's payload"
    require_workstation()
    from tfc.replay.round_model import differs_from_saved_model

    difference = differs_from_saved_model(run, final)
    if difference:
        raise RunError(f"{run / MODEL}: not the model that the payloads end with: {difference}")
    return f"{MODEL}: the model that the payloads end with, bit for bit"


def _run(options: argparse.Namespace) -> int:
    from tfc.replay.replay import RecordedRun
    from tfc.report.tables import replay_table

    if (options.round is None) != (options.model is None):
        raise RunError("--round and --model must be given together")

    recorded = RecordedRun(options.run, deflate=options.deflated)
    rounds = [recorded.play(expected) for expected in recorded.rounds]
    print(replay_table(rounds, deflated=options.deflated).to_markdown())
    different = [str(row.round) for row in rounds if not (row.broadcast_equal and row.mean_equal)]
    if different:
        raise RunError(f"{options.run}: payloads and the server's models differ in round {', '.join(different)}")
    print(
        f"\n{len(rounds)} rounds, all of {CONFIG}: every client decoded the server's model, and the answers give its "
        f"mean, bit for bit; clients and bytes are those of {METRICS}"
    )
    print(_final_model(options.run, recorded))
    if options.model:
        require_workstation()
        from tfc.replay.round_model import write_round_model

        write_round_model(options.run, options.round, options.model)
        print(f"{options.model}: what clients were sent in round {options.round}")
    return 0


def add_to(commands: Commands) -> None:
    """Adds the command.

    Args:
        commands: Those of the program.
    """
    parser = commands.add(
        "replay",
        "decode a recorded run's payloads again with NumPy, and check the models",
        "tfc run demo --record-payloads --out runs/demo && tfc replay runs/demo",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run made with --record-payloads")
    parser.add_argument(
        "--deflated", action="store_true", help="also measure the models as deflated files of float32 weights"
    )
    parser.add_argument("--round", type=int, metavar="N", help="with --model: the round, from 1")
    parser.add_argument(
        "--model", type=Path, metavar="FILE.keras", help="also write the model that clients were sent in round N"
    )
    parser.set_defaults(function=_run)
