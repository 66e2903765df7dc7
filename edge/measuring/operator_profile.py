"""Times of single operators, from TensorFlow's C++ benchmark tool where the user has it. The standard library alone."""

from __future__ import annotations

import csv
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.formats.packing import read_model_content
from edge.formats.table_expansion import expand_tables
from edge.measuring.interleaving import BenchSettings
from tfc.base.errors import EdgeError
from tfc.base.table import aligned

_SECTION = "Operator-wise Profiling Info for Regular Benchmark Runs:"
_TABLE = "Run Order"
_TIMEOUT_SECONDS = 600


@dataclass(frozen=True)
class OperatorTime:
    """The time of one operator.

    Attributes:
        kind: Its type, such as CONV_2D.
        name: Its name, mostly that of its output.
        average_ms: Milliseconds per run of the model.
        calls: Calls per run of the model.
    """

    kind: str
    name: str
    average_ms: float
    calls: int


def parse_profile(text: str) -> list[OperatorTime]:
    """Reads what the tool writes with `--profiling_output_csv_file`.

    Source: TensorFlow's `StatsCalculator` (tsl/util/stats_calculator.cc): tables under titles, commas within names
    replaced by tabs, columns `node type, first, avg_ms, %, cdf%, mem KB, times called, name`; columns are found by
    their names, since older versions have one more.

    Args:
        text: Content of the file.

    Returns:
        The operators in the order in which they run.

    Raises:
        EdgeError: If it has no table of operators.
    """
    lines = iter(text.splitlines())
    for line in lines:
        if line.strip().endswith(_SECTION):
            break
    for line in lines:
        if _TABLE in line and line.startswith("==="):
            break
    header = [cell.strip() for cell in next(lines, "").split(",")]
    columns = ("node type", "name", "avg_ms", "times called")
    if not set(columns) <= set(header):
        raise EdgeError(f"the benchmark tool's CSV has no table {_TABLE!r} under {_SECTION!r}")
    kind, name, average, calls = map(header.index, columns)
    found = []
    for row in csv.reader(lines, skipinitialspace=True):
        if len(row) != len(header):
            break
        try:
            found.append(OperatorTime(row[kind], row[name].replace("\t", ","), float(row[average]), int(row[calls])))
        except ValueError as error:
            raise EdgeError(f"the benchmark tool's CSV has a damaged row: {', '.join(row)}") from error
    if not found:
        raise EdgeError(f"the benchmark tool's CSV lists no operator under {_TABLE!r}")
    return found


def profile(tool: Path, file: Path, settings: BenchSettings) -> list[OperatorTime]:
    """Runs the tool on a model file and reads its times per operator.

    Args:
        tool: TensorFlow's `benchmark_model`, built for this machine.
        file: The model, packed or not; look-up tables are expanded first, since the tool does not support them.
        settings: Threads, kernels, runs and seconds.

    Raises:
        EdgeError: If the tool can't be run, fails, or writes something else.
    """
    content = expand_tables(read_model_content(file))
    with tempfile.TemporaryDirectory() as folder:
        model, output = Path(folder, "model.tflite"), Path(folder, "profile.csv")
        model.write_bytes(content)
        words = [
            str(tool.resolve()),
            f"--graph={model}",
            f"--num_threads={settings.threads}",
            f"--num_runs={settings.min_runs}",
            f"--min_secs={settings.min_seconds:g}",
            f"--warmup_runs={settings.warm_up_runs}",
            f"--use_xnnpack={'true' if settings.kernels == 'xnnpack' else 'false'}",
            "--enable_op_profiling=true",
            f"--profiling_output_csv_file={output}",
        ]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, errors="replace")
        except OSError as error:
            raise EdgeError(f"--benchmark-model {tool}: can't be run: {error.strerror or error}") from error
        except subprocess.TimeoutExpired as error:
            raise EdgeError(f"--benchmark-model {tool}: did not end within {_TIMEOUT_SECONDS} s on {file}") from error
        if done.returncode:
            words_ = (done.stderr or done.stdout).strip().splitlines()
            raise EdgeError(
                f"--benchmark-model {tool}: failed on {file} (exit code {done.returncode}"
                f"{': ' + words_[-1] if words_ else ''})"
            )
        text = output.read_text(encoding="utf-8", errors="replace") if output.is_file() else ""
    try:
        return parse_profile(text)
    except EdgeError as error:
        raise EdgeError(f"--benchmark-model {tool}: {file}: {error}") from error


def format_profile(operators: Sequence[OperatorTime]) -> str:
    """Returns operators as a table with bars for a terminal.

    Args:
        operators: In the order in which they run.
    """
    total = sum(operator.average_ms for operator in operators) or 1.0
    rows = [
        (
            operator.kind,
            operator.name[:60],
            f"{operator.average_ms:.4f}",
            f"{operator.average_ms / total:.1%}",
            ("#" * round(40 * operator.average_ms / total)).ljust(40),
        )
        for operator in operators
    ]
    return aligned(("kind", "operator", "ms", "share", "".ljust(40)), rows)
