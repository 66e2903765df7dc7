"""`edge bench`: latency and accuracy of .tflite files, here or on other machines."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.running.interpreters import KERNELS
from edge.running.runtime import RUNTIMES
from tfc.base.atomic_write import atomic_write, is_standard_output, messages_beside
from tfc.base.command_line import INTERRUPTED, Commands, add_loudness, shows_progress
from tfc.base.errors import EdgeError

if TYPE_CHECKING:  # a report is not always wanted
    from edge.measuring.bench_report import Profiles

_BAR = 30
OVER_BUDGET = 2
"""Exit code where a file does not keep a limit."""


def _show_progress(what: str, share: float) -> None:
    done = round(_BAR * share)
    end = "\n" if share >= 1 else ""
    print(f"\r{what} [{'#' * done}{'.' * (_BAR - done)}] {share:4.0%}", end=end, file=sys.stderr, flush=True)


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _here(options: argparse.Namespace) -> dict[str, Any]:
    from edge.measuring.bench import bench_files

    show = shows_progress(options) and not options.verbose
    return bench_files(
        options.files,
        baseline=options.baseline,
        data=options.data,
        runtime=options.runtime,
        settings=_settings(options),
        energy_command=options.energy_command,
        **({"progress": _show_progress} if show else {}),
    )


def _settings(options: argparse.Namespace) -> Any:
    from edge.measuring.interleaving import BenchSettings

    return BenchSettings(
        threads=options.threads,
        kernels=options.kernels,
        batch=options.batch,
        min_runs=options.min_runs,
        min_seconds=options.min_seconds,
        keep_state=options.keep_state,
    )


def _there(options: argparse.Namespace, host: str) -> dict[str, Any]:
    from edge.measuring.remote import RemoteSettings, bench_on

    names = ("threads", "kernels", "batch", "min_runs", "min_seconds")
    words = [word for name in names for word in (f"--{name.replace('_', '-')}", str(getattr(options, name)))]
    words += ["--keep-state"] if options.keep_state else []
    return bench_on(
        host,
        options.files,
        baseline=options.baseline,
        data=options.data,
        runtime=options.runtime,
        options=words,
        settings=RemoteSettings(options.ssh, options.remote_python, options.wheel),
        say=(lambda what: None) if options.quiet else _say,
    )


def _outputs(options: argparse.Namespace) -> list[Path]:
    return [path for path in (options.json, options.csv, options.html) if path]


def _check_outputs(options: argparse.Namespace) -> None:
    """Several machines have a file each."""
    for path in _outputs(options) if len(options.host or []) > 1 else ():
        if is_standard_output(path) or (path.exists() and not path.is_file()):
            raise EdgeError(f"{path}: there is one result for each --host; give the name of a file")


def _named_for(path: Path, host: str, hosts: Sequence[str]) -> Path:
    """bench.json, or bench-HOST.json where there are several."""
    if len(hosts) < 2:
        return path
    safe = "".join(character if character.isalnum() or character in "-_." else "-" for character in host)
    return path.with_name(f"{path.stem}-{safe}{path.suffix}")


def _write(result: dict[str, Any], options: argparse.Namespace, host: str, profiles: Profiles) -> None:
    from edge.measuring.bench_report import to_html
    from edge.measuring.bench_table import to_csv

    texts: tuple[tuple[Path | None, Callable[[], str]], ...] = (
        (options.json, lambda: json.dumps(result, indent=1) + "\n"),
        (options.csv, lambda: to_csv(result)),
        (options.html, lambda: to_html(result, profiles)),
    )
    for path, text in texts:
        if path:
            with atomic_write(_named_for(path, host, options.host)) as temporary:
                temporary.write_text(text(), encoding="utf-8")


def _run(options: argparse.Namespace) -> int:
    from edge.measuring.bench_table import format_bench, format_comparison
    from edge.measuring.budget import Budget
    from edge.measuring.operator_profile import format_profile, profile

    if options.host and options.benchmark_model:
        raise EdgeError("--benchmark-model runs on this machine: not together with --host")
    if options.host and options.energy_command:
        raise EdgeError("--energy-command runs on this machine: not together with --host")
    budget = Budget(options.max_median_ms, options.min_accuracy, options.max_bytes)
    budget.check(has_data=options.data is not None)
    _check_outputs(options)
    profiles: Profiles = []
    if options.benchmark_model:
        # First: a tool that doesn't work is known at once.
        settings = _settings(options)
        profiles = [(path.name, profile(options.benchmark_model, path, settings)) for path in options.files]
    results = []
    for host in options.host or [None]:
        results.append(_here(options) if host is None else _there(options, host))
        # Now: a machine that fails takes nothing from those before it.
        _write(results[-1], options, host or "", profiles)
        with messages_beside(*_outputs(options)):
            print(format_bench(results[-1]))
    with messages_beside(*_outputs(options)):
        for name, operators in profiles:
            print(f"\n{name}, per operator\n{format_profile(operators)}")
        if len(results) > 1:
            print("\n" + format_comparison(results))
    if not all(result["complete"] for result in results):
        return INTERRUPTED
    only_baseline = options.baseline if options.baseline not in options.files else None
    spared = None if only_baseline is None else str(only_baseline)
    broken = [line for result in results for line in budget.broken(result, spared=spared)] if budget != Budget() else []
    for line in broken:
        print(f"over budget: {line}", file=sys.stderr)
    return OVER_BUDGET if broken else 0


def add_to(commands: Commands) -> None:
    """Adds the command.

    Args:
        commands: Those of the program.
    """
    parser = commands.add(
        "bench",
        "measure latency and accuracy of .tflite files, alternating between them (needs NumPy and an interpreter)",
        "edge bench model-int8.tflite --baseline model-f32.tflite --data test.npz --json bench.json --html bench.html\n"
        "edge bench out/*.tflite --all-runtimes\n"
        "edge bench model-int8.tflite model-lut.tflite --runtime tflm\n"
        "edge bench out/*.tflite --data test.npz --host pi@raspberrypi --json pi.json\n"
        "edge bench model-int8.tflite --data test.npz --min-accuracy 0.9 --max-bytes 90000",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help=".tflite files, packed or not")
    parser.add_argument(
        "--baseline", type=Path, metavar="FILE", help="what speed-up refers to (default: the first file)"
    )
    parser.add_argument(
        "--data", type=Path, metavar="NPZ", help="x and y, or x_test and y_test; adds accuracy or numeric error"
    )
    _add_conditions(parser)
    _add_budget(parser)
    _add_results(parser)
    add_loudness(parser, "log a line per step")
    _add_other_machine(parser)
    parser.set_defaults(function=_run)


def _add_conditions(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how is measured")
    group.add_argument("--threads", type=int, default=1, metavar="N", help="threads of the interpreter (default: 1)")
    group.add_argument("--batch", type=int, default=1, metavar="N", help="inputs per run (default: 1)")
    group.add_argument(
        "--kernels",
        default="xnnpack",
        choices=list(KERNELS),
        help="what computes: xnnpack where it can (default), the interpreter's own optimised ones, or its plain ones",
    )
    group.add_argument(
        "--runtime", default="auto", choices=["auto", *RUNTIMES, "all"], help="interpreter (default: auto)"
    )
    group.add_argument(
        "--all-runtimes",
        dest="runtime",
        action="store_const",
        const="all",
        help="all interpreters that are installed, alternating too",
    )
    group.add_argument(
        "--min-runs", type=int, default=100, metavar="N", help="runs of each file at least (default: 100)"
    )
    group.add_argument("--min-seconds", type=float, default=1.0, metavar="S", help="seconds of each file (default: 1)")
    group.add_argument(
        "--energy-command",
        metavar="COMMAND",
        help="a meter's command, which prints the joules used so far: adds millijoules per inference",
    )
    group.add_argument(
        "--keep-state", action="store_true", help="examples are parts of a stream: don't reset the model between them"
    )
    group.add_argument(
        "--benchmark-model", type=Path, metavar="TOOL", help="TensorFlow's C++ benchmark tool: adds times per operator"
    )


def _add_budget(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("limits for a build: exit code 2 where a file does not keep one")
    group.add_argument("--max-median-ms", type=float, metavar="MS", help="largest median latency, in milliseconds")
    group.add_argument("--min-accuracy", type=float, metavar="SHARE", help="lowest accuracy, from 0 to 1")
    group.add_argument("--max-bytes", type=int, metavar="N", help="largest file, in bytes")


def _add_results(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is written")
    group.add_argument(
        "--json", type=Path, metavar="FILE", help="everything measured, every sample; - for standard output"
    )
    group.add_argument("--csv", type=Path, metavar="FILE", help="a row per file; - for standard output")
    group.add_argument(
        "--html", type=Path, metavar="FILE", help="a report with figures, one file; - for standard output"
    )


def _add_other_machine(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("on another machine (its own environment there, removed afterwards)")
    group.add_argument(
        "--host", action="append", default=[], metavar="USER@HOST", help="measure there, over ssh; may be repeated"
    )
    group.add_argument("--ssh", default="ssh", metavar="COMMAND", help="how to connect, such as 'ssh -p 2222'")
    group.add_argument("--remote-python", default="python3", metavar="NAME", help="Python there (default: python3)")
    group.add_argument("--wheel", type=Path, metavar="FILE", help="this package's wheel (default: built from source)")
