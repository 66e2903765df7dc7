"""Compares what model files compute on aarch64 (under qemu) with what they compute here.

python tools/aarch64_outputs.py build/aarch64/python3 FILE ... [--count 200] [--json OUT]
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.running.interpreters import KERNELS
from edge.running.runtime import RUNTIMES
from tfc.base.machine import describe_machine

_SCRIPT = Path(__file__).with_name("raw_outputs.py")
LINUX_RUNTIMES = [name for name, runtime in RUNTIMES.items() if runtime.automatic]


def outputs_of(python: Path | str, runtime: str, kernels: str, files: Sequence[Path], count: int) -> dict[str, Any]:
    """Returns raw outputs by file name, as that Python's interpreter computes them."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "outputs.npz")
        words = [str(python), str(_SCRIPT), str(out), runtime, kernels, str(count), *map(str, files)]
        subprocess.run(words, check=True, stderr=subprocess.DEVNULL)
        return dict(np.load(out))


def compare(python: Path, files: Sequence[Path], count: int) -> list[dict[str, Any]]:
    """Compares every interpreter and kind of kernels.

    Args:
        python: The userland's Python.
        files: Model files of different names.
        count: Inputs per file.

    Returns:
        Per runtime, kernels and file: `equal_codes`, the share of output values that are equal bit for bit;
        `largest_difference`, in the output's own unit (steps for integers); `agreement`, the share of inputs with the
        same class.
    """
    rows = []
    for runtime in LINUX_RUNTIMES:
        for kernels in KERNELS:
            here = outputs_of(sys.executable, runtime, kernels, files, count)
            there = outputs_of(python, runtime, kernels, files, count)
            for name, ours in here.items():
                theirs = there[name]
                difference = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
                rows.append(
                    {
                        "runtime": runtime,
                        "kernels": kernels,
                        "file": name,
                        "equal_codes": round(float((ours == theirs).mean()), 6),
                        "largest_difference": float(difference.max()),
                        "agreement": round(float((ours.argmax(1) == theirs.argmax(1)).mean()), 6),
                    }
                )
    return rows


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", type=Path)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = compare(options.python, options.files, options.count)
    print("| runtime | kernels | file | equal output codes | largest difference | same class |")
    print("|---|---|---|---:|---:|---:|")
    for row in rows:
        print(
            f"| {row['runtime']} | {row['kernels']} | {row['file']} | {row['equal_codes']:.4f} | "
            f"{row['largest_difference']:.3g} | {row['agreement']:.4f} |"
        )
    if options.json:
        content = {"date": datetime.date.today().isoformat(), "machine": describe_machine(), "inputs": options.count}
        options.json.write_text(json.dumps({**content, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
