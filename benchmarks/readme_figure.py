"""Draws accuracy against megabytes from a results file: the figure of the README.

    python benchmarks/readme_figure.py benchmarks/results/methods-iid.json

The same results give the same bytes: no date, no random names, and numbers with a fixed count of digits.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from pathlib import Path
from typing import Any

from tfc.base.atomic_write import atomic_write
from tfc.base.charts.line import Axis, Curve, Layout, line_chart
from tfc.base.charts.svg import standalone

OUT = Path(__file__).parent.parent / "docs" / "figures" / "accuracy-by-megabytes.svg"
OURS = "fedcompress"
NAMES = {
    "fedcompress": "FedCompress (ours)",
    "fedavg": "FedAvg",
    "fedzip": "FedZip",
    "eden": "EDEN",
    "stc": "STC",
    "tff8bit": "8 bit (TFF)",
    "as-published": "FedCompress as published",
    "no-server-compression": "without server compression",
}
"""What the arms of the sweeps are called; others keep their own name."""
_LAYOUT = Layout(width=760, height=420, direct=True)
_ROOM = 0.02


def arms(results: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Returns the runs of each arm, ours first, the others in the order of the file.

    Args:
        results: As `collect_runs.py` writes it.
    """
    found: dict[str, list[dict[str, Any]]] = {OURS: []} if OURS in results["means"] else {}
    for name, run in results["runs"].items():
        found.setdefault(name.removesuffix(f"-seed{run['seed']}"), []).append(run)
    return found


def curve(name: str, runs: list[dict[str, Any]], group: int) -> Curve:
    """Returns an arm's mean accuracy over its mean megabytes so far, its seeds as thin lines.

    Args:
        name: The arm.
        runs: One entry per seed.
        group: Number of its colour.
    """
    seeds = [
        ([sent / 1e6 for sent in itertools.accumulate(run["bytes_of_rounds"])], run["accuracy_of_rounds"])
        for run in runs
    ]
    xs, ys = (
        [statistics.fmean(values) for values in zip(*(seed[axis] for seed in seeds), strict=True)] for axis in (0, 1)
    )
    label = NAMES.get(name, name)
    texts = [f"{label}, round {n}: {y:.4f}, {x:.3f} MB" for n, (x, y) in enumerate(zip(xs, ys, strict=True), 1)]
    return Curve(label, xs, ys, texts, group, seeds if len(seeds) > 1 else (), bold=name == OURS)


def draw(results: dict[str, Any], low: float) -> str:
    """Returns the figure.

    Args:
        results: As `collect_runs.py` writes it.
        low: Accuracy at which the vertical axis starts.

    Raises:
        SystemExit: If no arm gets that far.
    """
    curves = [curve(name, runs, group) for group, (name, runs) in enumerate(arms(results).items())]
    curves = [each for each in curves if max(each.ys) > low]
    if not curves:
        raise SystemExit(f"no arm reaches an accuracy of {low:g}")
    target = results["target_accuracy"]
    return standalone(
        line_chart(
            "Test accuracy against megabytes sent, one line per method",
            Axis("MB sent so far: both directions, all clients, everything counted (logarithmic)", log=True),
            Axis("test accuracy", low=low, high=max(max(each.ys) for each in curves) + _ROOM),
            sorted(curves, key=lambda each: each.bold),  # the bold one on top
            level=None if target is None else (target, "FedAvg minus a point"),
            layout=_LAYOUT,
        )
    )


def main() -> None:
    """Reads, draws, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="as collect_runs.py writes it")
    parser.add_argument("--out", type=Path, default=OUT, help="default: docs/figures/accuracy-by-megabytes.svg")
    parser.add_argument("--low", type=float, default=0.6, help="accuracy at which the axis starts (default: 0.6)")
    options = parser.parse_args()
    results = json.loads(options.results.read_text(encoding="utf-8"))
    if results.get("missing"):
        print(f"missing, so the figure is not final: {', '.join(results['missing'])}")
    low = [name for name, runs in arms(results).items() if max(curve(name, runs, 0).ys) <= options.low]
    if low:
        print(f"not drawn, never above {options.low:g}: {', '.join(low)}")
    with atomic_write(options.out) as temporary:
        temporary.write_text(draw(results, options.low), encoding="utf-8")
    print(options.out)


if __name__ == "__main__":
    main()
