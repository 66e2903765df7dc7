"""Tables and the HTML report of one run or of several."""

from __future__ import annotations

import base64
import datetime
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfc.codec.whole_file import written_whole
from tfc.errors import RunError
from tfc.replay import ReplayedRound
from tfc.run_folder import FinishedRun

_TEMPLATE = Path(__file__).parent / "report.html.jinja"


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        title: What it shows.
        header: Names of the columns.
        rows: One tuple of texts per row, as long as the header.
        note: What a reader has to know to read the numbers.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def to_markdown(self) -> str:
        """Returns the table in Markdown, columns aligned for a terminal."""
        widths = [max(len(row[column]) for row in (self.header, *self.rows)) for column in range(len(self.header))]

        def line(cells: Sequence[str]) -> str:
            padded = (
                cell.ljust(width) if column == 0 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
            )
            return "| " + " | ".join(padded) + " |"

        rule = "|" + "|".join(
            "-" * (width + 2) if column == 0 else "-" * (width + 1) + ":" for column, width in enumerate(widths)
        )
        return "\n".join([line(self.header), rule + "|", *map(line, self.rows)])


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.3f}"


def _formula_mark(run: FinishedRun) -> str:
    return " (formula)" if run.summary.get("uplink_counted_by") == "formula" else ""


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}x"


def _mark(run: FinishedRun) -> str:
    return " (synthetic data)" if run.summary.get("synthetic") else ""


def comparison_table(runs: Sequence[FinishedRun]) -> Table:
    """Returns accuracy and traffic, one row per run.

    Args:
        runs: Finished runs.
    """
    rows = tuple(
        (
            run.name + _mark(run),
            str(run.summary["method"]),
            str(run.summary["rounds"]),
            f"{run.summary['final_accuracy']:.4f}",
            f"{run.summary['last3_accuracy']:.4f}",
            str(run.summary["num_clusters"] or "-"),
            _megabytes(run.summary["uplink_bytes"]) + _formula_mark(run),
            _megabytes(run.summary["downlink_bytes"]),
            _ratio(run.summary["communication_ratio"]),
        )
        for run in runs
    )
    return Table(
        "Federated training",
        ("run", "method", "rounds", "accuracy", "last 3 rounds", "clusters", "MB up", "MB down", "ratio"),
        rows,
        "MB = 10^6 bytes of all payloads of all clients and rounds, headers and scalars included. Ratio: what FedAvg "
        "would send with float32 for every parameter, both directions, same clients and rounds, by what was sent. "
        "(formula): not the length of payloads, but what the tensors would take.",
    )


def _settings_but_seed(run: FinishedRun) -> str:
    lines = (run.path / "config.toml").read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("seed ="))


def mean_table(runs: Sequence[FinishedRun]) -> Table:
    """Returns means over seeds: one row per set of runs that differ in nothing but their seed.

    Args:
        runs: Finished runs.
    """
    groups: dict[str, list[FinishedRun]] = {}
    for run in runs:
        groups.setdefault(_settings_but_seed(run), []).append(run)

    def mean(group: list[FinishedRun], key: str) -> float:
        return sum(run.summary[key] for run in group) / len(group)

    rows = tuple(
        (
            (re.sub(r"-?seed\d+$", "", group[0].name) or group[0].name) + _mark(group[0]),
            str(len(group)),
            f"{mean(group, 'last3_accuracy'):.4f}",
            f"{mean(group, 'uplink_bytes') / 1e6:.3f}{_formula_mark(group[0])}",
            f"{mean(group, 'downlink_bytes') / 1e6:.3f}",
            f"{mean(group, 'fedavg_bytes') / (mean(group, 'uplink_bytes') + mean(group, 'downlink_bytes')):.2f}x",
        )
        for group in groups.values()
    )
    return Table("Means over seeds", ("runs", "seeds", "last 3 rounds", "MB up", "MB down", "ratio"), rows)


def replay_table(rounds: Sequence[ReplayedRound], *, deflated: bool) -> Table:
    """Returns what playing a run's payloads again found, one row per round and one for all.

    Args:
        rounds: From `tfc.replay.replay`.
        deflated: Whether deflated files were measured.
    """

    def verdict(equal: bool) -> str:
        return "equal" if equal else "DIFFERENT"

    def row(name: str, part: Sequence[ReplayedRound]) -> tuple[str, ...]:
        cells = (
            name,
            str(sum(each.uplink_bytes for each in part)),
            str(sum(each.downlink_bytes for each in part)),
            verdict(all(each.broadcast_equal for each in part)),
            verdict(all(each.mean_equal for each in part)),
        )
        return (*cells, str(sum(each.deflated_bytes for each in part))) if deflated else cells

    header = ("round", "bytes up", "bytes down", "broadcast", "mean", *(("deflated weights",) if deflated else ()))
    rows = tuple(row(str(each.round), [each]) for each in rounds)
    return Table("Payloads played again", header, (*rows, row("all", rounds)))


def read_bench(path: Path) -> dict[str, Any]:
    """Reads the result of `edge bench`.

    Args:
        path: bench.json.

    Raises:
        RunError: If it is missing or no such file.
    """
    from edge import bench
    from edge.errors import DataFileError

    try:
        return bench.read_bench(path)
    except DataFileError as error:
        raise RunError(str(error)) from error


def latency_table(bench: dict[str, Any]) -> Table:
    """Returns bytes, accuracy and latency, one row per .tflite file.

    Args:
        bench: Content of bench.json.
    """

    def share(value: float | None) -> str:
        return "not measured" if value is None else f"{value:.4f}"

    rows = tuple(
        (
            item["name"],
            item["runtime"],
            f"{item['bytes']:,}",
            f"{item['bytes_deflated']:,}",
            share(item["accuracy"]),
            share(item["agreement"]),
            f"{item['latency_ms']['median']:.3f}",
            "-" if item["speedup"] is None else f"{item['speedup']:.2f}x",
        )
        for item in bench["files"]
    )
    machine = bench["machine"]
    versions = dict.fromkeys(f"{item['runtime']} {item['runtime_version']}" for item in bench["files"])
    return Table(
        "On the device",
        ("file", "runtime", "bytes", "deflated", "accuracy", "agreement", "median ms", "speed-up"),
        rows,
        f"{', '.join(versions)} on {machine['processor']}, {bench['threads']} thread(s). "
        "Speed-up: median of the ratios of neighbouring, alternating slices. Agreement: same class as the model's own "
        "float32 file.",
    )


def _svg_data_uri(figure: Any) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def write_report(runs: Sequence[FinishedRun], bench: dict[str, Any] | None, out: Path) -> None:
    """Writes a report in one HTML file without external resources.

    Args:
        runs: Finished runs.
        bench: Content of bench.json, or None.
        out: The HTML file; replaced whole.

    Raises:
        RunError: If it cannot be written.
    """
    import jinja2

    from tfc.figures import FIGURES

    tables = [comparison_table(runs), *([latency_table(bench)] if bench else [])]
    figures = [
        {"name": name, "caption": (draw.__doc__ or "").strip(), "uri": _svg_data_uri(draw(runs))}
        for name, draw in FIGURES.items()
    ]
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    html = environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        title=" / ".join(run.name for run in runs),
        date=datetime.date.today().isoformat(),
        tables=tables,
        figures=figures,
        configurations=[
            {"name": run.name, "toml": (run.path / "config.toml").read_text(encoding="utf-8")} for run in runs
        ],
        versions=runs[0].summary["versions"],
    )
    try:
        with written_whole(out) as temporary:
            temporary.write_text(html, encoding="utf-8")
    except OSError as error:
        raise RunError(f"{out}: cannot be written: {error.strerror or error}") from error
