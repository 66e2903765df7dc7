"""The HTML report of one run or of several."""

from __future__ import annotations

import base64
import datetime
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfc.codec.whole_file import written_whole
from tfc.comparison import comparison_table, mean_table
from tfc.errors import RunError
from tfc.run_folder import FinishedRun
from tfc.table import Table

_TEMPLATE = Path(__file__).parent / "report.html.jinja"


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

    means = [mean_table(runs)] if len(runs) > 1 else []
    tables = [*means, comparison_table(runs), *([latency_table(bench)] if bench else [])]
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
