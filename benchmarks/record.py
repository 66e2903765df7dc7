"""What every results file of a benchmark carries, and how several functions are timed side by side."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfc.base.machine import describe_machine

RESULTS = Path(__file__).parent / "results"


def environment() -> dict[str, Any]:
    """Returns date, machine and versions."""
    packages = ["tensorflow", "tensorflow-federated", "tensorflow-model-optimization", "ai-edge-litert"]
    return {
        "date": datetime.date.today().isoformat(),
        "machine": describe_machine(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }


def interleaved_ms(functions: dict[str, Callable[[], Any]], repeats: int, warm_up: int = 2) -> dict[str, list[float]]:
    """Times functions in turn, A B C A B C ..., so that a machine's drift meets all of them alike.

    Args:
        functions: What is timed, by name.
        repeats: Counted calls of each.
        warm_up: Calls of each before.

    Returns:
        Milliseconds of each call, by name, in the order of the calls.
    """
    samples: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(warm_up + repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if turn >= warm_up:
                samples[name].append(1000 * (time.perf_counter() - start))
    return samples


def paired_ratio(samples: dict[str, list[float]], numerator: str, denominator: str) -> float:
    """Returns the median over turns of one function's time divided by another's in the same turn."""
    pairs = zip(samples[numerator], samples[denominator], strict=True)
    return statistics.median(above / below for above, below in pairs)


def relative(text: str) -> str:
    """Returns a text without the folders of this machine: paths in the checkout are relative to it, others to home."""
    root = Path(__file__).parent.parent.resolve()
    for folder, shown in ((f"{root}/", ""), (f"{Path.cwd()}/", ""), (f"{Path.home()}/", "~/")):
        if folder != "//":
            text = text.replace(folder, shown)
    return text


def save(name: str, command: str, results: dict[str, Any]) -> Path:
    """Writes `results/NAME.json` with the environment and the command that repeats it."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    content = relative(json.dumps({"command": command, **environment(), **results}, indent=2))
    path.write_text(content + "\n")
    return path
