"""The command `tfc`."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tfc.base.command_line import Commands, add_loudness, exit_code, shows_progress
from tfc.base.errors import RunError, TfcError
from tfc.base.version import __version__

_NEEDS_WORKSTATION = ("tensorflow", "tensorflow_federated", "tensorflow_model_optimization")
_VERBOSE = "show what goes to runs' logs, a line per round"
_INSTALL = (
    "run 'pip install --no-deps -r requirements.txt' in a Python 3.11 environment on x86-64 Linux "
    "(or 'make setup' in a clone)"
)


def _require_workstation() -> None:
    missing = [name for name in _NEEDS_WORKSTATION if importlib.util.find_spec(name) is None]
    if missing:
        raise RunError(f"{', '.join(missing)} not installed: {_INSTALL}")


def _run(options: argparse.Namespace) -> int:
    from tfc import config

    experiment = config.load(options.experiment, options.set)
    _require_workstation()
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


def _status(options: argparse.Namespace) -> int:
    from tfc.simulation.status import describe_status, read_status

    print(describe_status(read_status(options.run)))
    return 0


def _worker(options: argparse.Namespace) -> int:
    from tfc.workers.serve import serve

    serve(options.listen, options.port)
    return 0


def _replay(options: argparse.Namespace) -> int:
    from tfc.replay.replay import replay
    from tfc.report.tables import replay_table

    if (options.round is None) != (options.model is None):
        raise RunError("--round and --model belong together")

    rounds = replay(options.run, deflate=options.deflated)
    print(replay_table(rounds, deflated=options.deflated).to_markdown())
    different = [str(row.round) for row in rounds if not (row.broadcast_equal and row.mean_equal)]
    if different:
        raise RunError(f"{options.run}: payloads and the server's models differ in round {', '.join(different)}")
    print(
        f"\n{len(rounds)} rounds: every client arrived at the server's model, and the answers at its mean, bit for bit"
    )
    if options.model:
        _require_workstation()
        from tfc.replay.round_model import write_round_model

        write_round_model(options.run, options.round, options.model)
        print(f"{options.model}: what clients were sent in round {options.round}")
    return 0


def _presets(options: argparse.Namespace) -> int:
    from tfc import config

    if options.keys:
        for name, default, allowed, meaning in config.describe():
            print(f"{name} = {default!r}\n    {meaning}{f' ({allowed})' if allowed else ''}")
    elif options.name:
        print(config.to_toml(config.load(options.name)), end="")
    else:
        for name in config.preset_names():
            first_line = (config.PRESETS / f"{name}.toml").read_text(encoding="utf-8").splitlines()[0]
            print(f"{name:20} {first_line.lstrip('# ')}")
    return 0


def _sweep(options: argparse.Namespace) -> int:
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
    _require_workstation()
    from tfc.report.tables import comparison_table, mean_table
    from tfc.simulation.log import console_log

    with console_log(logging.INFO if options.verbose else logging.WARNING):
        finished = run_all(runs, options.out, progress=shows_progress(options))
    print(comparison_table(finished).to_markdown())
    means = mean_table(finished)
    print(f"\n{means.to_markdown()}\n{means.note}")
    return 0


def _compare(options: argparse.Namespace) -> int:
    from tfc.base.atomic_write import atomic_write
    from tfc.report.page import latency_table, read_bench, write_report
    from tfc.report.tables import comparison_table, mean_table
    from tfc.simulation.folder import read_runs

    runs = read_runs(options.runs)
    bench = read_bench(options.bench) if options.bench else None
    means = mean_table(runs)
    print(comparison_table(runs).to_markdown())
    if len(runs) > 1:
        print(f"\n{means.to_markdown()}\n{means.note}")
    for path, text in ((options.csv, means.to_csv()), (options.latex, means.to_latex())):
        if path:
            with atomic_write(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
    if bench:
        print("\n" + latency_table(bench).to_markdown())
    if options.html:
        write_report(runs, bench, options.html)
        print(f"\nreport: {options.html.resolve()}")
    if options.figures:
        from tfc.report.figures import save_figures

        print("\n".join(map(str, save_figures(runs, options.figures))))
    return 0


def _data(options: argparse.Namespace) -> int:
    from tfc import config

    experiment = config.load(options.experiment, options.set)
    _require_workstation()
    from tfc.simulation.device_data import write_device_data

    for path in write_device_data(experiment, options.out, options.calibration_examples):
        print(path)
    return 0


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
        exit_codes="0 done, 1 refused with one line on standard error, 2 not understood, 130 interrupted by Ctrl-C",
    )
    add = commands.add

    def add_experiment(command: argparse.ArgumentParser) -> None:
        command.add_argument("experiment", metavar="PRESET-or-TOML", help="name of a preset, or path of a TOML file")
        command.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="change a key (see 'tfc presets --keys'); may be repeated",
        )

    run = add(
        "run",
        "run one experiment; one that was not finished goes on after its last round",
        "tfc run fashion-resnet8 --set seed=1 --set communication.target_ratio=40 --out runs/r40",
    )
    add_experiment(run)
    run.add_argument("--out", type=Path, metavar="DIR", help="the run's folder (default: runs/PRESET-METHOD-seedN)")
    run.add_argument("--force", action="store_true", help="start anew where a run is already, finished or not")
    add_loudness(run, _VERBOSE)
    run.add_argument("--record-payloads", action="store_true", help="keep every payload, for 'tfc replay'")
    run.add_argument(
        "--workers", metavar="HOST:PORT,...", help="divide the clients among these workers ('tfc worker' on each host)"
    )
    run.set_defaults(function=_run)

    status = add(
        "status", "say how far a run is, whether it is alive, and how long it will take", "tfc status runs/mine"
    )
    status.add_argument("run", type=Path, metavar="RUN", help="folder of a run, finished or not")
    status.set_defaults(function=_status)

    worker = add(
        "worker",
        "train clients for runs of other machines, until Ctrl-C",
        "tfc worker --port 7000                                        # on each host\n"
        "ssh -N -L 7001:127.0.0.1:7000 user@host                       # on the machine of the run, once per host\n"
        "tfc run demo --workers 127.0.0.1:7001,127.0.0.1:7002",
    )
    worker.add_argument("--port", type=int, required=True, metavar="N", help="TCP port; 0 for a free one")
    worker.add_argument(
        "--listen",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address of this host where it is reached (default: 127.0.0.1; nobody is asked who they are: a private "
        "network only)",
    )
    worker.set_defaults(function=_worker)

    sweep = add(
        "sweep",
        "run every combination of methods, seeds and other keys, one at a time; what was begun goes on",
        "tfc sweep fashion-resnet8 --seeds 0 1 2 --out runs/reference\n"
        "tfc sweep demo --methods fedcompress --vary communication.rate_weight=0.4,0.8 --out runs/rates\n"
        "tfc sweep benchmarks/sweeps/methods-iid.toml --out runs/methods-iid",
    )
    add_experiment(sweep)
    sweep.add_argument("--methods", nargs="+", default=[], metavar="METHOD", help="default: fedavg fedcompress")
    sweep.add_argument("--seeds", nargs="+", type=int, default=[], metavar="SEED", help="default: 0")
    sweep.add_argument(
        "--vary", action="append", default=[], metavar="KEY=VALUE,VALUE", help="another key's values; may be repeated"
    )
    sweep.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the runs' folders")
    sweep.add_argument("--list", action="store_true", help="list the runs' names and end")
    add_loudness(sweep, _VERBOSE)
    sweep.set_defaults(function=_sweep)

    replay = add(
        "replay",
        "play a recorded run again from its payloads alone, with clients and a server in NumPy",
        "tfc run demo --record-payloads --out runs/demo && tfc replay runs/demo",
    )
    replay.add_argument("run", type=Path, metavar="RUN", help="folder of a run made with --record-payloads")
    replay.add_argument(
        "--deflated", action="store_true", help="also measure the models as deflated files of float32 weights"
    )
    replay.add_argument("--round", type=int, metavar="N", help="with --model: the round, from 1")
    replay.add_argument(
        "--model", type=Path, metavar="FILE.keras", help="also write the model that clients were sent in round N"
    )
    replay.set_defaults(function=_replay)

    presets = add("presets", "list the presets, show one, or list all keys", "tfc presets fashion-resnet8 > mine.toml")
    presets.add_argument("name", nargs="?", help="show this preset (or TOML file) with every key")
    presets.add_argument("--keys", action="store_true", help="list all keys: default, meaning, allowed values")
    presets.set_defaults(function=_presets)

    compare = add(
        "compare",
        "put finished runs side by side",
        "tfc compare runs/demo-fedavg runs/demo-fedcompress --html report.html",
    )
    compare.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a finished run")
    compare.add_argument("--csv", type=Path, metavar="FILE", help="write the means over seeds as CSV")
    compare.add_argument("--latex", type=Path, metavar="FILE", help="write the means over seeds as a LaTeX table")
    compare.add_argument("--bench", type=Path, metavar="JSON", help="result of 'edge bench' to show beside them")
    compare.add_argument("--html", type=Path, metavar="FILE", help="write a self-contained report")
    compare.add_argument("--figures", type=Path, metavar="DIR", help="write the figures as PNG")
    compare.set_defaults(function=_compare)

    data = add("data", "write a data set's calibration.npz and test.npz for 'edge'", "tfc data demo --out runs/data")
    add_experiment(data)
    data.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the two files")
    data.add_argument("--calibration-examples", type=int, default=256, metavar="N", help="default: 256")
    data.set_defaults(function=_data)
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
    options = build_parser().parse_args(arguments)
    return exit_code(lambda: int(options.function(options)), TfcError, _INSTALL)


if __name__ == "__main__":
    sys.exit(main())
