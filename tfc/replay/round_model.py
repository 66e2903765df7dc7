"""Models of a recorded run and Keras files: the model of any round written, the final one compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from tfc import config
from tfc.base.atomic_write import atomic_write
from tfc.base.errors import ModelFileError, RunError
from tfc.base.run_files import CONFIG, MODEL
from tfc.clustering.layout import WeightLayout, layout_of
from tfc.codec.message_spec import ReferenceModel
from tfc.codec.palette import dequantize
from tfc.federated.model_weights import assign, read_weights
from tfc.keras_files.loading import load_model
from tfc.replay.replay import broadcast_model


def write_round_model(run: Path, round_number: int, out: Path) -> None:
    """Writes the model that clients were sent in a round, the one that the round before ended with.

    Args:
        run: Folder of a finished run that recorded its payloads.
        round_number: From 1.
        out: The Keras file.

    Raises:
        RunError: If the run is not finished, has no payloads, or has no such round.
    """
    if out.suffix != ".keras":
        raise RunError(f"{out}: the file's name must end with .keras")
    model = _saved_model(run)
    broadcast = broadcast_model(run, round_number)
    assign(model, _layout(run, model, broadcast), *_weights(broadcast))
    with atomic_write(out) as temporary:
        model.save(temporary)


def differs_from_saved_model(run: Path, final: ReferenceModel) -> str:
    """Returns how a run's model file differs from the model that its payloads end with; an empty text where it doesn't.

    Args:
        run: Folder of a finished run that recorded its payloads.
        final: From `tfc.replay.replay.RecordedRun.final`.

    Raises:
        RunError: If the run has no model file, or it can't be read.
    """
    model = _saved_model(run)
    kernels, others = read_weights(model, _layout(run, model, final))
    saved = [np.asarray(values, "<f4") for values in (*kernels, *others)]
    expected = [np.asarray(values, "<f4") for part in _weights(final) for values in part]
    if [values.shape for values in saved] != [values.shape for values in expected]:
        return "its weights have other shapes"
    different = sum(one.tobytes() != other.tobytes() for one, other in zip(saved, expected, strict=True))
    return f"{different} of {len(saved)} weight arrays differ" if different else ""


def _saved_model(run: Path) -> tf.keras.Model:
    source = run / MODEL
    if not source.exists():
        raise RunError(f"{run}: has no {MODEL} yet; let the run finish first")
    try:
        return load_model(source)
    except ModelFileError as error:
        raise RunError(str(error)) from error


def _layout(run: Path, model: tf.keras.Model, reference: ReferenceModel) -> WeightLayout:
    settings = config.load(str(run / CONFIG))
    return layout_of(
        model, settings.clustering.layers if reference.palettes else "none", settings.clustering.max_clusters
    )


def _weights(model: ReferenceModel) -> tuple[list[np.ndarray], tuple[np.ndarray, ...]]:
    return [dequantize(palette) for palette in model.palettes], model.others
