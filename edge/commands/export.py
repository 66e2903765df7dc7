"""`edge export`: a Keras model becomes .tflite variants."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from tfc.base.command_line import Commands, add_loudness, shows_progress
from tfc.base.errors import EdgeError


def _run(options: argparse.Namespace) -> int:
    try:
        from edge.conversion.clustering import ClusterSettings, prepare
        from edge.conversion.variants import export
    except ImportError as error:
        raise EdgeError(
            f"export needs TensorFlow ({error}): run 'pip install --no-deps -r requirements.txt' on a workstation"
        ) from error
    from edge.formats.data_files import read_examples

    settings = ClusterSettings(options.clusters, options.cqat, options.epochs, options.learning_rate)
    train: Path | None = options.train

    def prepared(model: Any) -> Any:
        data = read_examples(train, tuple(model.input_shape[1:])) if train else None
        return prepare(model, settings, data, options.seed, progress=shows_progress(options))

    variants = tuple(options.variants.split(","))
    done = export(options.model, options.out, variants, options.calibration, options.name, prepared)
    for path in done.paths.values():
        print(f"{path}  {path.stat().st_size:,} bytes")
    for layer, reason in done.lost_palettes.items():
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
    parser.add_argument("model", type=Path, metavar="MODEL.keras", help="Keras model, such as runs/NAME/model.keras")
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
    parser.add_argument("--clusters", type=int, default=0, metavar="K", help="palettize first: K clusters per kernel")
    parser.add_argument("--cqat", action="store_true", help="cluster-preserving quantisation-aware training")
    parser.add_argument("--train", type=Path, metavar="NPZ", help="x and y to fine-tune on, for --clusters and --cqat")
    parser.add_argument("--epochs", type=int, default=1, metavar="N", help="epochs of fine-tuning (default: 1)")
    parser.add_argument(
        "--learning-rate", type=float, default=1e-4, metavar="RATE", help="Adam's, in fine-tuning (default: 1e-4)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of fine-tuning (default: 0)")
    add_loudness(parser, "log a line per step")
    parser.set_defaults(function=_run)
