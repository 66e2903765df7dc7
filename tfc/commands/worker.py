"""`tfc worker`: trains clients for runs of other machines."""

from __future__ import annotations

import argparse

from tfc.base.command_line import Commands
from tfc.commands.options import add_insecure_worker


def _run(options: argparse.Namespace) -> int:
    from tfc.workers.serve import serve

    serve(options.listen, options.port, insecure=options.insecure_worker)
    return 0


def add_to(commands: Commands) -> None:
    """Adds the command.

    Args:
        commands: Those of the program.
    """
    parser = commands.add(
        "worker",
        "train clients for runs of other machines, until Ctrl-C",
        "tfc worker --port 7000                                        # on each host\n"
        "ssh -N -L 7001:127.0.0.1:7000 user@host                       # on the machine of the run, once per host\n"
        "tfc run demo --workers 127.0.0.1:7001,127.0.0.1:7002",
    )
    parser.add_argument("--port", type=int, required=True, metavar="N", help="TCP port; 0 for a free one")
    parser.add_argument(
        "--listen",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address of this host where it is reached (default: 127.0.0.1, which every user of this host reaches; "
        "no authentication: use a private network only)",
    )
    add_insecure_worker(parser)
    parser.set_defaults(function=_run)
