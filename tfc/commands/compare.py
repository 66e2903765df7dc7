"""`tfc compare`: finished runs side by side."""

from __future__ import annotations

import argparse
from pathlib import Path

from tfc.base.atomic_write import STANDARD_OUTPUT, atomic_write, messages_beside
from tfc.base.command_line import Commands


def _run(options: argparse.Namespace) -> int:
    with messages_beside(options.csv, options.latex, options.html):
        return _compare(options)


def _compare(options: argparse.Namespace) -> int:
    from tfc.report.page import latency_table, read_bench, write_report
    from tfc.report.tables import comparison_table, mean_numbers, mean_table
    from tfc.simulation.folder import read_runs

    runs = read_runs(options.runs, options.smooth)
    bench = read_bench(options.bench) if options.bench else None
    means = mean_table(runs)
    print(comparison_table(runs).to_markdown())
    if len(runs) > 1:
        print(f"\n{means.to_markdown()}\n{means.note}")
    for path, text in ((options.csv, mean_numbers(runs).to_csv()), (options.latex, means.to_latex())):
        if path:
            with atomic_write(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
    if bench:
        print("\n" + latency_table(bench).to_markdown())
    if options.html:
        write_report(runs, bench, options.html)
        print(f"\nreport: {options.html if options.html == STANDARD_OUTPUT else options.html.resolve()}")
    if options.figures:
        from tfc.report.figures import save_figures

        print("\n".join(map(str, save_figures(runs, options.figures))))
    return 0


def add_to(commands: Commands) -> None:
    """Adds the command.

    Args:
        commands: Those of the program.
    """
    parser = commands.add(
        "compare",
        "put finished runs side by side",
        "tfc compare runs/demo-fedavg runs/demo-fedcompress --html report.html",
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a finished run")
    parser.add_argument(
        "--smooth",
        type=int,
        default=1,
        metavar="ROUNDS",
        help="average accuracies over so many rounds (default: curves over 1, what a run reached over 3); "
        "for runs in which few clients take part at a time, whose accuracy swings from round to round",
    )
    parser.add_argument(
        "--csv", type=Path, metavar="FILE", help="the means over seeds as CSV, plain numbers; - for standard output"
    )
    parser.add_argument("--latex", type=Path, metavar="FILE", help="the means over seeds as a LaTeX table; - likewise")
    parser.add_argument("--bench", type=Path, metavar="JSON", help="result of 'edge bench' to show beside them")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a self-contained report; - likewise")
    parser.add_argument("--figures", type=Path, metavar="DIR", help="write the figures as PNG, SVG and PDF")
    parser.set_defaults(function=_run)
