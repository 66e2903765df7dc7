"""`edge verify`: whether two files compute the same."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge.running.interpreters import KERNELS
from edge.running.runtime import RUNTIMES
from tfc.base.command_line import Commands, add_loudness

DIFFERENT = 2
"""Exit code where the files do not agree, or the outputs do not tell."""


def _run(options: argparse.Namespace) -> int:
    from edge.running.verification import VerifySettings, format_verification, verify

    settings = VerifySettings(
        options.runtime,
        True if options.exact else None,
        options.min_agreement,
        options.random_inputs,
        options.seed,
        options.kernels,
        options.keep_state,
    )
    found = verify(options.reference, options.candidate, options.data, settings)
    print(format_verification(found))
    return 0 if found["passed"] else DIFFERENT


def add_to(commands: Commands) -> None:
    """Adds the command.

    Args:
        commands: Those of the program.
    """
    parser = commands.add(
        "verify",
        "run the same inputs through two files and compare; exit code 0 if they agree, 2 if not, 1 for errors",
        "edge verify model-int8.tflite model-lut.tflite\n"
        "edge verify model-f32.tflite model-int8.tflite --data test.npz",
    )
    parser.add_argument("reference", type=Path, metavar="REFERENCE", help="reference file")
    parser.add_argument("candidate", type=Path, metavar="CANDIDATE", help="file to verify")
    parser.add_argument(
        "--data", type=Path, metavar="NPZ", help="x and y, or x_test and y_test; adds real inputs and accuracy"
    )
    parser.add_argument("--exact", action="store_true", help="outputs must be equal bit for bit, whatever the files")
    parser.add_argument(
        "--min-agreement",
        type=float,
        default=0.9,
        metavar="SHARE",
        help="smallest agreement where outputs may differ (default: 0.9)",
    )
    parser.add_argument(
        "--random-inputs",
        type=int,
        default=100,
        metavar="N",
        help="inputs of calibration.npz beside a file, else random ones (default: 100)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random inputs (default: 0)")
    parser.add_argument(
        "--runtime", default="auto", choices=["auto", *RUNTIMES], help="interpreter (default: tflm for look-up tables)"
    )
    parser.add_argument(
        "--kernels", default="xnnpack", choices=list(KERNELS), help="what computes (default: xnnpack where it can)"
    )
    parser.add_argument(
        "--keep-state", action="store_true", help="examples are parts of a stream: don't reset the model between them"
    )
    add_loudness(parser, "log a line per step")
    parser.set_defaults(function=_run)
