"""`edge export`: a Keras model becomes .tflite variants."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge.conversion.export_process import ExportRequest, export_apart
from tfc.base.command_line import Commands, add_loudness, shows_progress
from tfc.base.errors import EdgeError


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _run(options: argparse.Namespace) -> int:
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
        )
    )
    for variant, name in done["paths"].items():
        differs = done["differences"].get(variant)
        remark = "" if differs is None else f", outputs differ from float32's by {differs:.1%} of their spread"
        print(f"{name}  {Path(name).stat().st_size:,} bytes{remark}")
    if done["kernels"] and not options.quiet:
        print(f"\n{done['kernels']}")
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
        "convert a Keras model to .tflite variants (needs TensorFlow)",
        "edge export runs/demo/fedcompress/model.keras --out out --variants f32,wo8,int8,lut,packed\n"
        "edge export my.keras --out out --variants int8 --clusters 16 --train train.npz --calibration train.npz",
    )
    parser.add_argument(
        "model",
        type=Path,
        metavar="MODEL.keras",
        help="Keras model, .keras, .h5 or folder",
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
    parser.add_argument("--clusters", type=int, default=0, metavar="K", help="palettize first: K clusters per kernel")
    parser.add_argument("--cqat", action="store_true", help="cluster-preserving quantisation-aware training")
    parser.add_argument("--train", type=Path, metavar="NPZ", help="x and y (or x_train and y_train) to fine-tune on")
    parser.add_argument("--epochs", type=int, default=1, metavar="N", help="epochs of fine-tuning (default: 1)")
    parser.add_argument(
        "--learning-rate", type=float, default=1e-4, metavar="RATE", help="Adam's, in fine-tuning (default: 1e-4)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of fine-tuning (default: 0)")
    add_loudness(parser, "log a line per step")
    parser.set_defaults(function=_run)
