"""The HTML report of one run or of several."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from edge.measuring.bench_figures import latency_figure
from edge.measuring.bench_table import bench_notes
from tfc.base.atomic_write import atomic_write
from tfc.base.charts import page as pieces
from tfc.base.charts.page import page
from tfc.base.errors import RunError
from tfc.base.run_files import CONFIG
from tfc.base.table import Table
from tfc.report.curves import report_figures
from tfc.report.partition import partition_figures
from tfc.report.seed_groups import SeedGroup, baseline, ranked, seed_groups, target_accuracy
from tfc.report.settings import data_sets, differing_settings, environments, seeds_of
from tfc.report.tables import comparison_table, mean_table
from tfc.report.thinning import kept, remark
from tfc.simulation.folder import FinishedRun

_TEMPLATE = Path(__file__).parent / "page.html.jinja"
_PIECES: dict[str, Callable[..., str]] = {"table": pieces.table, "figure": pieces.figure, "pairs": pieces.pairs}
_MOST_NAMES = 4


def read_bench(path: Path) -> dict[str, Any]:
    """Reads the result of `edge bench`.

    Args:
        path: bench.json.

    Raises:
        RunError: If it is missing or not a file of `edge bench --json`.
    """
    from edge.measuring import bench_result
    from tfc.base.errors import DataFileError

    try:
        return bench_result.read_bench(path)
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
        "Speed-up: median over alternating slices of the ratio of medians. Agreement: share of inputs with the same "
        "class as in the model's own float32 file.",
    )


def rounds_table(groups: Sequence[SeedGroup]) -> Table:
    """Returns the figures' values, one row per group and round.

    Args:
        groups: The rows of one comparison.
    """
    rows = []
    for group in groups:
        up, down = (group.per_round(value) for value in (lambda row: row.uplink_bytes, lambda row: row.downlink_bytes))
        clusters = group.per_round(lambda row: row.num_clusters)
        scores = group.per_round(lambda row: row.quality_score)
        so_far, hours = group.bytes_so_far, group.hours_so_far
        accuracies, ranges = group.accuracies, group.accuracy_range
        for index in kept(len(accuracies)):
            accuracy, (low, high) = accuracies[index], ranges[index]
            rows.append(
                (
                    group.label,
                    str(index + 1),
                    f"{accuracy:.4f}",
                    f"{low:.4f}",
                    f"{high:.4f}",
                    f"{up[index] / 1e3:.3f}",
                    f"{down[index] / 1e3:.3f}",
                    f"{so_far[index] / 1e6:.3f}",
                    f"{hours[index]:.3f}" if group.is_timed else "not counted",
                    f"{clusters[index]:g}" if clusters[index] else "-",
                    f"{scores[index]:.3f}" if scores[index] else "-",
                )
            )
    header = ("runs", "round", "accuracy", "lowest seed", "highest seed", "kB up", "kB down", "MB so far")
    return Table(
        "All rounds",
        (*header, "simulated h", "clusters", "quality"),
        tuple(rows),
        "Means over seeds. kB = 1,000 and MB = 1,000,000 bytes, all clients together."
        + (f" Accuracy is that of a round{groups[0].averaged.rstrip(',')}." if groups[0].averaged else "")
        + remark(max(len(group.accuracies) for group in groups), "rounds of a row"),
    )


def summary_lines(groups: Sequence[SeedGroup]) -> list[str]:
    """Returns the main result: the row with the fewest bytes to FedAvg's accuracy minus one point.

    Args:
        groups: The rows of one comparison.

    Returns:
        A sentence or two; none where there is nothing to compare with.
    """
    reference, target = baseline(groups), target_accuracy(groups)
    if reference is None or target is None or len(groups) < 2:
        return []
    first = ranked(groups, target)[0]
    needed, usual = first.bytes_to(target), reference.bytes_to(target)
    if first is reference or needed is None:
        return [f"No other row reaches FedAvg's accuracy minus one point ({target:.4f}) with fewer bytes than FedAvg."]
    against = "" if usual is None else f"; FedAvg needs {usual / 1e6:.2f} MB, {usual / needed:.1f} times as many"
    below = 100 * (reference.reached - first.reached)
    lost = " It did not stay there: its curve ends below that accuracy." if first.accuracies[-1] < target else ""
    return [
        f"{first.name} needs the fewest bytes to FedAvg's accuracy minus one point ({target:.4f}): "
        f"{needed / 1e6:.2f} MB{against}. Its last {first.last_rounds} rounds have accuracy {first.reached:.4f}, "
        f"{abs(below):.2f} points {'below' if below >= 0 else 'above'} FedAvg's.{lost}"
    ]


def _body(runs: Sequence[FinishedRun], bench: dict[str, Any] | None) -> str:
    """The text below the heading."""
    import jinja2

    def safe(build: Callable[..., str]) -> Callable[..., Markup]:
        return lambda *values, **options: Markup(build(*values, **options))

    groups = seed_groups(runs)
    target = target_accuracy(groups)
    if target is not None:
        groups = ranked(groups, target)  # as the table; the colours follow
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals |= {name: safe(build) for name, build in _PIECES.items()}
    means = [mean_table(runs)] if len(runs) > 1 else []
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        date=datetime.date.today().isoformat(),
        runs=runs,
        groups=groups,
        data=data_sets(runs),
        summary=summary_lines(groups),
        synthetic=[run.name for run in runs if run.summary.get("synthetic")],
        tables=[*means, comparison_table(runs), *([latency_table(bench)] if bench else [])],
        bench=bench,
        bench_notes=bench_notes(bench)[1:] if bench else [],
        bench_figure=latency_figure(bench) if bench else "",
        figures=[*report_figures(groups), *partition_figures(runs)],
        rounds=rounds_table(groups),
        settings=differing_settings(groups),
        configurations=[
            {
                "name": group.name,
                "seeds": seeds_of(group),
                "first": group.runs[0].name,
                "toml": (group.runs[0].path / CONFIG).read_text(encoding="utf-8"),
            }
            for group in groups
        ],
        environments=environments(runs),
    )


def _title(runs: Sequence[FinishedRun]) -> str:
    names = list(dict.fromkeys(group.name for group in seed_groups(runs)))
    shown = ", ".join(names[:_MOST_NAMES]) + (
        f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    )
    return f"FedCompress report: {shown}"


def write_report(runs: Sequence[FinishedRun], bench: dict[str, Any] | None, out: Path) -> None:
    """Writes a report in one HTML file without external resources.

    Args:
        runs: Finished runs.
        bench: Content of bench.json, or None.
        out: The HTML file; replaced whole.

    Raises:
        RunError: If it cannot be written.
    """
    html = page(_title(runs), _body(runs, bench))
    try:
        with atomic_write(out) as temporary:
            temporary.write_text(html, encoding="utf-8")
    except OSError as error:
        raise RunError(f"{out}: cannot be written: {error.strerror or error}") from error
