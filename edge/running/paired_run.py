"""The same inputs through two model files, in a process that a crash of an interpreter may end. NumPy alone."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edge.formats.example_data import read_examples
from edge.running.interpreters import InterpreterOptions
from edge.running.loaded_model import TfliteModel
from edge.running.output_comparison import Comparison, compare
from edge.running.runtime import find_runtime
from tfc.base.errors import DataFileError, EdgeError
from tfc.base.separate_process import Say

_LOG = logging.getLogger(__name__)

CALIBRATION = "calibration.npz"
"""Inputs beside a model, as a run writes them: taken in place of random ones."""


@dataclass(frozen=True)
class PairRequest:
    """What is to be run.

    Attributes:
        reference: The file to compare with.
        candidate: The file to verify.
        data: NPZ with examples and labels; None for none.
        runtime: A key of `edge.running.runtime.RUNTIMES`.
        random_inputs: Number of calibration inputs, or of random inputs.
        seed: Of the random inputs.
        kernels: A key of `edge.running.interpreters.KERNELS`.
        keep_state: Whether an example starts with the state that the one before it left.
    """

    reference: str
    candidate: str
    data: str | None
    runtime: str
    random_inputs: int
    seed: int
    kernels: str
    keep_state: bool


class _Given(NamedTuple):
    """Real examples: as each model takes them, their labels, and what was done to them."""

    inputs: tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]
    labels: np.ndarray | None
    notes: tuple[str, ...]


def _check_inputs(models: tuple[TfliteModel, TfliteModel]) -> None:
    shapes = [[each.shape[1:] for each in model.inputs] for model in models]
    if shapes[0] != shapes[1]:
        told = (", ".join(map(str, each)) for each in shapes)
        raise EdgeError(f"inputs differ in shape: {' and '.join(told)}")


def _from_archive(models: tuple[TfliteModel, TfliteModel], path: Path, *, most: int = 0) -> _Given:
    """Real examples as each model takes them; of an archive of calibration inputs no more than `most`."""
    pixels = any(each.takes_pixels for model in models for each in model.inputs)
    found = [read_examples(path, model.inputs, labelled=not most, pixels=pixels) for model in models]
    inputs = tuple(tuple(each[:most] if most else each for each in examples.inputs) for examples in found)
    notes = dict.fromkeys(note for examples in found for note in examples.notes)
    return _Given((inputs[0], inputs[1]), None if most else found[0].labels, tuple(f"{note}." for note in notes))


def _calibration(
    models: tuple[TfliteModel, TfliteModel], paths: tuple[Path, Path], request: PairRequest
) -> tuple[Comparison | None, list[str]]:
    """What calibration data beside one of the files show; None where there are none that fit."""
    notes = []
    for path in dict.fromkeys(path.parent / CALIBRATION for path in reversed(paths)):
        if not path.is_file():
            continue
        try:
            given = _from_archive(models, path, most=request.random_inputs)
        except DataFileError as error:
            notes.append(f"Calibration data beside the model are not used: {error}.")
            continue
        return compare(models, given.inputs, None, f"inputs of {path}", real=True), [*notes, *given.notes]
    return None, notes


def run_both(request: PairRequest, say: Say) -> tuple[list[Comparison], list[str]]:
    """Returns what calibration or random inputs show, and what the data show where there are some; and notes on them.

    Args:
        request: What is to be run.
        say: Told what is begun.

    Raises:
        EdgeError: If a file, the data or the runtime do not allow it.
    """
    paths, runtime = (Path(request.reference), Path(request.candidate)), find_runtime(request.runtime)
    options = InterpreterOptions(kernels=request.kernels, keep_state=request.keep_state)
    say(f"loading {paths[0]}")
    reference = TfliteModel(paths[0], runtime, options)
    say(f"loading {paths[1]}")
    models = (reference, TfliteModel(paths[1], runtime, options))
    _check_inputs(models)
    say(f"running {paths[0]} and {paths[1]}")
    _LOG.info("%d inputs through both in %s %s", request.random_inputs, runtime.package, runtime.version)
    found, notes = _calibration(models, paths, request)
    if found is None:
        # The range of a quantised input is known, that of floats is not.
        chosen = [
            one if one.scale or not other.scale else other
            for one, other in zip(*(m.inputs for m in models), strict=True)
        ]
        rng = np.random.default_rng(request.seed)
        noise = tuple(each.random(request.random_inputs, rng) for each in chosen)
        found = compare(models, (noise, noise), None, "random inputs", real=False)
        if request.data is None:
            ranges = ", ".join(f"{each.range[0]:.4g} to {each.range[1]:.4g}" for each in chosen)
            notes.append(
                f"No real data: random inputs ({ranges}) do not show errors such as a wrong calibration; give --data."
            )
    comparisons = [found]
    if request.data is not None:
        data = Path(request.data)
        given = _from_archive(models, data)
        _LOG.info("%d examples of %s through both", len(given.inputs[0][0]), data)
        comparisons.append(compare(models, given.inputs, given.labels, f"examples of {data.name}", real=True))
        notes += given.notes
    return comparisons, notes


def run_both_here(asked: dict[str, Any], say: Say) -> dict[str, Any]:
    """Does what `run_both` does, between lines of JSON.

    Args:
        asked: The fields of a `PairRequest`.
        say: Told what is begun.

    Returns:
        `comparisons`, the fields of each, and `notes`.
    """
    comparisons, notes = run_both(PairRequest(**asked), say)
    return {"comparisons": [asdict(each) for each in comparisons], "notes": notes}
