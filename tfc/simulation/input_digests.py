"""Digests of what a run was started with: a run is resumed with the same data and the same model alone."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from tfc.base.errors import RunError
from tfc.base.run_files import INPUTS
from tfc.federated.model_spec import plain_spec
from tfc.simulation.experiment import Experiment

_ROWS = 4096
_WHAT = {"data": "data", "model": "the model's layers or frozen weights"}


def input_digests(experiment: Experiment) -> dict[str, str]:
    """Returns SHA-256 of the data set's arrays, and of the model's layers, shapes and frozen weights.

    Weights that are trained are left out: a fresh model may draw them anew, and the run's checkpoint has them.

    Args:
        experiment: The experiment.
    """
    dataset, data, model = experiment.dataset, hashlib.sha256(), hashlib.sha256()
    for array in (dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test):
        data.update(f"{array.dtype} {array.shape}".encode())
        for start in range(0, len(array), _ROWS):  # a copy of all of it would be the run's largest
            data.update(np.ascontiguousarray(array[start : start + _ROWS]).data)
    spec = plain_spec(experiment.model_fn, experiment.config)
    model.update(str((spec.layout.trainable_shapes, spec.layout.non_trainable_shapes)).encode())
    model.update(str([type(layer).__name__ for layer in experiment.model_fn().layers]).encode())
    for values in spec.frozen:
        model.update(np.ascontiguousarray(values).data)
    return {"data": data.hexdigest(), "model": model.hexdigest()}


def check_same_inputs(out: Path, digests: dict[str, str]) -> None:
    """Refuses to resume a run with other data or another model than it was started with.

    Args:
        out: The run's folder; runs of older versions have no digests.
        digests: From `input_digests`.

    Raises:
        RunError: If they differ; says what does.
    """
    if not (out / INPUTS).is_file():
        return
    try:
        before = json.loads((out / INPUTS).read_text(encoding="utf-8"))
        changed = [_WHAT[name] for name, digest in digests.items() if before[name] != digest]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{out / INPUTS}: damaged: {error}; start anew with --force") from error
    if changed:
        raise RunError(
            f"{out}: {' and '.join(changed)} differ from what the run was started with: resume it with its own, choose "
            "another --out, or start anew with --force"
        )
