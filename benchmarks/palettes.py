"""Palettes without training: accuracy or agreement against bytes, step by step, on models that are trained already.

    tfc sweep fashion-resnet8 --methods fedavg fedcompress --seeds 0 1 2 --out runs/reference8
    tfc sweep fashion-resnet20 --methods fedavg --seeds 0 1 2 --out runs/reference20
    tfc sweep spoken-words-dscnn --methods fedavg --seeds 0 1 2 --out runs/dscnn
    python benchmarks/palettes.py --runs runs/reference8/fedavg-* runs/reference20/fedavg-* runs/dscnn/fedavg-*
    python benchmarks/palettes.py --clustered runs/reference8/fedcompress-*
    python benchmarks/palettes.py --files vendor.tflite --calibration c.npz --data t.npz

Runs are measured as full-integer files on their full test sets, against the full-integer file without palettes; several
seeds of one model are summarised. Files are measured by the share of inputs whose largest output is the given file's.
`bits` is what `edge export --bits` makes: bits are shared out by what an error of each kernel does to the outputs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from record import RESULTS, save

from edge.conversion.calibration import input_specs, read_representative
from edge.conversion.checks import outputs_of
from edge.conversion.conversion import PACKED, Conversion, PaletteRequest
from edge.conversion.converter import quiet_converter
from edge.conversion.keras_conversion import KerasConversion
from edge.conversion.keras_file import load_keras_model
from edge.conversion.palette_budget import PaletteSettings, mean_bits
from edge.conversion.tflite_conversion import TfliteConversion, TfliteFile
from edge.formats.boundaries import Boundary
from edge.formats.example_data import read_examples
from edge.formats.judgement import agreement, decided
from edge.formats.packing import pack
from edge.palettes.palettize import PaletteMethod
from tfc import config
from tfc.simulation.device_data import write_device_data

STEPS = {
    "plain k-means": PaletteMethod(weighted=False, compensated=False, bias_correction=False),
    "weighted": PaletteMethod(compensated=False, bias_correction=False),
    "weighted, bias corrected": PaletteMethod(compensated=False),
    "all: compensated too": PaletteMethod(),
}
SIZES = (16, 8, 4)
TARGET = 36_000
"""Bytes, packed, of models that have palettes already."""
BITS = (5.0, 4.5, 4.0, 3.5, 3.0, 2.5, 2.0)


def settings_of(clustered: bool) -> Iterator[tuple[str, PaletteSettings]]:
    """What is tried, by name."""
    if not clustered:
        for size in SIZES:
            for name, method in STEPS.items():
                yield f"{size} clusters, {name}", PaletteSettings(size, method=method)
    for bits in BITS:
        yield f"{bits:g} bits", PaletteSettings(bits=bits)
    if clustered:
        yield f"{TARGET:,} bytes", PaletteSettings(target_bytes=TARGET)


def trials(conversion: Conversion, measured: Any, *, clustered: bool = False) -> dict[str, dict[str, float]]:
    """Measures every setting."""
    integers = conversion.integer_parts.model.to_bytes()
    rows = {"no palettes": {"packed_bytes": len(pack(integers)), "file_bytes": len(integers), **measured(integers)}}
    for name, settings in settings_of(clustered):
        found = conversion.palettized(PaletteRequest(settings, ("int8", PACKED)), integers=True)
        content = found.model.to_bytes()
        row = {"packed_bytes": len(pack(content)), "bits": round(mean_bits(found), 3), **measured(content)}
        rows[name] = row
        print(f"  {name:40}", row, flush=True)
    return rows


def accuracy_of(content: bytes, x: np.ndarray, y: np.ndarray) -> float:
    """Share of the examples that a file gets right."""
    with quiet_converter():
        return round(float((outputs_of(content, (x,))[0].argmax(axis=1) == y).mean()), 5)


def of_run(run: Path, *, clustered: bool) -> dict[str, dict[str, float]]:
    """Measures a run's model on its test set."""
    with tempfile.TemporaryDirectory() as place:
        calibration, test = write_device_data(config.load(str(run / "config.toml")), Path(place))
        model = load_keras_model(run / "model.keras")
        conversion = KerasConversion(model, read_representative(calibration, input_specs(model)))
        data = np.load(test)
        x, y = data["x"], data["y"]
        return trials(conversion, lambda content: {"accuracy": accuracy_of(content, x, y)}, clustered=clustered)


def of_file(path: Path, calibration: Path, data: Path) -> dict[str, dict[str, float]]:
    """Measures how much a file with palettes agrees with the file itself."""
    file = TfliteFile.read(path)
    conversion = TfliteConversion(file, file.read_calibration(calibration))
    inputs: tuple[Boundary, ...] = file.inputs
    examples = read_examples(data, inputs, labelled=False).inputs
    with quiet_converter():
        exact = outputs_of(file.content, examples)[0]
    classes = decided(exact)

    def measured(content: bytes) -> dict[str, float]:
        with quiet_converter():
            found = outputs_of(content, examples)[0]
        correlation = {"correlation": float(np.corrcoef(found.ravel(), exact.ravel())[0, 1])}
        own = decided(found)
        same = None if classes is None or own is None else agreement(own, classes)
        return correlation if same is None else {"same_largest": same, **correlation}

    return trials(conversion, measured)


def summary(groups: dict[str, list[dict[str, dict[str, float]]]]) -> dict[str, Any]:
    """Mean over seeds of the accuracy, its loss to no palettes, and how much of plain k-means' loss is gone."""
    found: dict[str, Any] = {}
    for group, seeds in groups.items():
        base = [rows["no palettes"]["accuracy"] for rows in seeds]
        table: dict[str, Any] = {}
        for name in seeds[0]:
            losses = [100 * (known - rows[name]["accuracy"]) for known, rows in zip(base, seeds, strict=True)]
            table[name] = {
                "accuracy": round(statistics.mean(rows[name]["accuracy"] for rows in seeds), 4),
                "loss_points": round(statistics.mean(losses), 2),
                "loss_points_by_seed": [round(loss, 2) for loss in losses],
                "packed_bytes": round(statistics.mean(rows[name]["packed_bytes"] for rows in seeds)),
            }
        for size in SIZES:
            plain, ours = (table.get(f"{size} clusters, {name}") for name in ("plain k-means", "all: compensated too"))
            if plain and ours and plain["loss_points"] > 0:
                table[f"{size} clusters, share of the loss gone"] = round(
                    1 - ours["loss_points"] / plain["loss_points"], 3
                )
        found[group] = table
    return found


def main() -> None:
    """Measures what is named and writes `results/palettes.json`, beside what it holds of others."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="+", type=Path, default=[], help="folders of runs")
    parser.add_argument("--clustered", nargs="+", type=Path, default=[], help="folders of runs that have palettes")
    parser.add_argument("--files", nargs="+", type=Path, default=[], help=".tflite files in integers")
    parser.add_argument("--calibration", type=Path, help="data that palettes are made with, for --files")
    parser.add_argument("--data", type=Path, help="other data, for --files")
    options = parser.parse_args()
    groups: dict[str, list[dict[str, dict[str, float]]]] = defaultdict(list)
    for clustered, runs in ((False, options.runs), (True, options.clustered)):
        for run in runs:
            print(run)
            name = f"{run.parent.name}/{re.sub(r'-?seed[0-9]+$', '', run.name)}"
            groups[name].append(of_run(run, clustered=clustered))
    path = RESULTS / "palettes.json"
    kept = json.loads(path.read_text()) if path.is_file() else {}
    results = {"runs": kept.get("runs", {}) | summary(groups), "files": kept.get("files", {})}
    for file in options.files:
        print(file)
        results["files"][file.name] = of_file(file, options.calibration, options.data)
    print(save("palettes", "python benchmarks/palettes.py --runs ... --clustered ... --files ...", results))


if __name__ == "__main__":
    main()
