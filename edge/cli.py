"""The command `edge`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.errors import EdgeError
from edge.runtime import RUNTIMES
from tfc.codec.whole_file import written_whole


def _export(options: argparse.Namespace) -> int:
    try:
        from edge.export.variants import export
    except ImportError as error:
        raise EdgeError(
            f"export needs TensorFlow ({error}): run 'pip install --no-deps -r requirements.txt' on a workstation"
        ) from error
    variants = tuple(options.variants.split(","))
    for path in export(options.model, options.out, variants, options.calibration, options.name).values():
        print(f"{path}  {path.stat().st_size:,} bytes")
    return 0


def _show_progress(what: str, share: float) -> None:
    end = "\n" if share >= 1 else ""
    print(f"\r{what}: {share:4.0%}", end=end, file=sys.stderr, flush=True)


def _bench(options: argparse.Namespace) -> int:
    from edge.bench import BenchSettings, bench, format_bench

    show = sys.stderr.isatty() and not options.quiet
    result = bench(
        options.files,
        baseline=options.baseline,
        data=options.data,
        runtime=options.runtime,
        settings=BenchSettings(threads=options.threads, min_runs=options.min_runs, min_seconds=options.min_seconds),
        **({"progress": _show_progress} if show else {}),
    )
    if options.json:
        try:
            with written_whole(options.json) as temporary:
                temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise EdgeError(f"{options.json}: cannot be written: {error.strerror or error}") from error
    print(format_bench(result))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge",
        description="Exports palettized Keras models to TFLite and measures them on this machine.",
        epilog="examples:\n  edge export runs/demo/model.keras --out runs/demo/edge --variants f32,int8 "
        "--calibration runs/data/calibration.npz\n"
        "  edge bench runs/demo/edge/*.tflite --data runs/data/test.npz --json bench.json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, help_: str, example: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=help_,
            description=help_[0].upper() + help_[1:] + ".",
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    export = add(
        "export",
        "convert a Keras model to .tflite variants (needs TensorFlow)",
        "edge export runs/demo/model.keras --out runs/demo/edge --variants f32,int8 "
        "--calibration runs/data/calibration.npz",
    )
    export.add_argument("model", type=Path, metavar="MODEL.keras", help="Keras model, such as runs/NAME/model.keras")
    export.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for NAME-VARIANT.tflite")
    export.add_argument("--name", help="start of the files' names (default: the model's, without suffix)")
    export.add_argument(
        "--variants", default="f32", metavar="LIST", help="f32, int8, or both with a comma (default: f32)"
    )
    export.add_argument(
        "--calibration", type=Path, metavar="NPZ", help="representative data x, for int8; training data"
    )
    export.set_defaults(function=_export)

    bench = add(
        "bench",
        "measure latency and accuracy of .tflite files, alternating between them (needs NumPy and an interpreter)",
        "edge bench model-int8.tflite --baseline model-f32.tflite --data test.npz --threads 1 --json bench.json",
    )
    bench.add_argument("files", nargs="+", type=Path, metavar="FILE", help=".tflite files")
    bench.add_argument(
        "--baseline", type=Path, metavar="FILE", help="what speed-up refers to (default: the first file)"
    )
    bench.add_argument("--data", type=Path, metavar="NPZ", help="x and y; adds accuracy and agreement")
    bench.add_argument("--threads", type=int, default=1, metavar="N", help="threads of the interpreter (default: 1)")
    bench.add_argument("--runtime", default="auto", choices=["auto", *RUNTIMES], help="interpreter (default: auto)")
    bench.add_argument(
        "--min-runs", type=int, default=100, metavar="N", help="runs of each file at least (default: 100)"
    )
    bench.add_argument("--min-seconds", type=float, default=1.0, metavar="S", help="seconds of each file (default: 1)")
    bench.add_argument("--json", type=Path, metavar="OUT", help="write everything measured")
    bench.add_argument("--quiet", action="store_true", help="no progress line")
    bench.set_defaults(function=_bench)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: Words after `edge`; those of the process where None.

    Returns:
        The exit code: 0 done, 1 refused with one line on standard error, 130 interrupted.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow talks of GPUs at level 2
    options = _parser().parse_args(arguments)
    try:
        return int(options.function(options))
    except EdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.filename or 'file'}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
