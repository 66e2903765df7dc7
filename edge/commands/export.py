"""`edge export`: a model, Keras or .tflite, becomes .tflite variants."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge.conversion.export_process import ExportRequest, export_apart
from tfc.base.command_line import Commands, add_loudness, shows_progress
from tfc.base.errors import EdgeError
from tfc.base.table import aligned


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _remark(done: dict[str, Any], variant: str) -> str:
    differs, same = done["differences"].get(variant), done["agreements"].get(variant)
    if differs is None:
        return ""
    largest = "" if same is None else f", largest output the same in {same:.1%} of examples"
    return f"{largest}, outputs differ from the given model's by {differs:.1%} of their spread"


def _palettes(rows: Sequence[dict[str, Any]]) -> str:
    """The palettes that were made, as a table."""
    if not rows:
        return ""
    titles = ("kernel", "operator", "weights", "values", "bits/weight", "output error")
    lines = [
        (
            row["name"][-40:],
            row["operator"],
            f"{row['weights']:,}",
            str(row["values"]),
            f"{row['bits']:.2f}",
            "-" if row["error"] is None else f"{row['error']:.2%}",
        )
        for row in rows
    ]
    note = "Output error: mean square error of the operator's outputs as a share of their variance."
    if any(row["error"] is None for row in rows):
        note = "No calibration data: k-means of the weights alone; --calibration makes palettes that lose less."
    return f"{aligned(titles, lines)}\n{note}"


def _run(options: argparse.Namespace) -> int:
    goals = [name for name in ("bits", "target_bytes", "max_loss") if getattr(options, name) is not None]
    if goals and (options.train or options.cqat):
        raise EdgeError(f"--{goals[0].replace('_', '-')} works without training: --train and --cqat need --clusters K")
    if options.train and not (options.clusters or options.cqat):
        raise EdgeError("--train fine-tunes a model while it is clustered: give --clusters K or --cqat as well")
    done = export_apart(
        ExportRequest(
            source=str(options.model),
            out=str(options.out),
            variants=tuple(name.strip() for name in options.variants.split(",")),
            calibration=_text(options.calibration),
            name=options.name,
            train=_text(options.train),
            clusters=options.clusters,
            cqat=options.cqat,
            epochs=options.epochs,
            learning_rate=options.learning_rate,
            seed=options.seed,
            progress=shows_progress(options),
            allow_disagreement=options.allow_disagreement,
            trust=options.trust,
            bits=options.bits,
            target_bytes=options.target_bytes,
            max_loss=options.max_loss,
            sweep=options.sweep,
        )
    )
    for variant, name in done["paths"].items():
        print(f"{name}  {Path(name).stat().st_size:,} bytes{_remark(done, variant)}")
    if not options.quiet:
        for text in (done["kernels"], _palettes(done["palettes"]), done["sweep"]):
            print(f"\n{text}" if text else "", end="\n" if text else "")
    for name, reason in done["left_kernels"].items():
        print(f"note: {name} has no palette: {reason}", file=sys.stderr)
    for variant, reason in done["left_out"].items():
        print(f"warning: {variant} is not written: {reason}", file=sys.stderr)
    for layer, reason in done["lost_palettes"].items():
        print(f"warning: {layer} does not keep its palette: {reason}", file=sys.stderr)
    return 0


def add_to(commands: Commands) -> None:
    """Adds the command.

    Args:
        commands: Those of the program.
    """
    parser = commands.add(
        "export",
        "convert a Keras model or a .tflite file to .tflite variants (needs TensorFlow)",
        "edge export runs/demo/fedcompress/model.keras --out out --variants f32,wo8,int8,lut,packed\n"
        "edge export my.keras --out out --variants int8 --clusters 16 --train train.npz --calibration train.npz\n"
        "edge export vendor.tflite --out out --variants lut,packed --clusters 16 --calibration train.npz\n"
        "edge export vendor.tflite --out out --variants int8,packed --target-bytes 40000 --calibration train.npz",
    )
    parser.add_argument(
        "model",
        type=Path,
        metavar="MODEL",
        help="Keras model (.keras, .h5), .tflite file of any framework, packed or not, or a SavedModel's folder",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for NAME-VARIANT.tflite")
    parser.add_argument("--name", help="start of the files' names (default: the model's, without suffix)")
    parser.add_argument(
        "--variants",
        default="f32",
        metavar="LIST",
        help="f32, wo8 (int8 weights, float computation), int8 (full integer), lut (look-up tables for "
        "microcontrollers), packed (entropy-coded copies of the others); with commas (default: f32)",
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="NPZ",
        help="representative data x for int8 and lut: training data, never the test set (default: calibration.npz "
        "beside the model, where a run writes it)",
    )
    parser.add_argument(
        "--allow-disagreement",
        action="store_true",
        help="write variants whose outputs differ much from the float model's on the calibration data",
    )
    parser.add_argument(
        "--clusters",
        type=int,
        default=0,
        metavar="K",
        help="palettes of K clusters per kernel; after the conversion, without training, unless --train is given",
    )
    parser.add_argument(
        "--bits",
        type=float,
        metavar="B",
        help="palettes of B bits per weight in the mean, as packed files store them, shared out by what each kernel's "
        "error does to the outputs",
    )
    parser.add_argument(
        "--target-bytes",
        type=int,
        metavar="N",
        help="palettes so fine that the packed file (or lut) has at most N bytes",
    )
    parser.add_argument(
        "--max-loss",
        type=float,
        metavar="X",
        help="palettes so coarse that the largest output changes in at most this share of calibration examples (0.01: "
        "one of a hundred); for outputs that are no scores, their relative difference",
    )
    parser.add_argument(
        "--sweep",
        action="store_true",
        help="compare bytes and agreement of 2 to 128 clusters as well: NAME-sweep.html and NAME-sweep.json",
    )
    parser.add_argument(
        "--trust", action="store_true", help="load a SavedModel, whose graph can read and write files of yours"
    )
    parser.add_argument("--cqat", action="store_true", help="cluster-preserving quantisation-aware training")
    parser.add_argument("--train", type=Path, metavar="NPZ", help="x and y (or x_train and y_train) to fine-tune on")
    parser.add_argument("--epochs", type=int, default=1, metavar="N", help="epochs of fine-tuning (default: 1)")
    parser.add_argument(
        "--learning-rate", type=float, default=1e-4, metavar="RATE", help="Adam's, in fine-tuning (default: 1e-4)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of fine-tuning (default: 0)")
    add_loudness(parser, "log a line per step")
    parser.set_defaults(function=_run)
