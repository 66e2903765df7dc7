"""Loads Keras models of any of Keras' formats, without the wrappers that tfmot leaves around layers."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from edge.conversion.converter import first_line
from tfc.base.errors import ModelFileError

_CLUSTERING, _PRUNING, _QUANTISATION = "ClusterWeights", "PruneLowMagnitude", "Quantize"
_STRIP = {_CLUSTERING: "clustering.keras.strip_clustering", _PRUNING: "sparsity.keras.strip_pruning"}
_SAVED_MODEL, _KERAS_METADATA = "saved_model.pb", "keras_metadata.pb"


def _wrapper_in(path: Path, error: Exception) -> str | None:
    """Which of tfmot's wrappers a file that does not load has."""
    text = str(error)
    if zipfile.is_zipfile(path):
        text += zipfile.ZipFile(path).read("config.json").decode()
    return next((name for name in (_CLUSTERING, _PRUNING, _QUANTISATION) if name in text), None)


def _load(path: Path) -> tf.keras.Model:
    try:
        return tf.keras.models.load_model(path, compile=False)
    except (TypeError, ValueError) as error:
        wrapper = _wrapper_in(path, error)
        if wrapper is None:
            raise
        if wrapper == _QUANTISATION:
            raise ValueError(
                "it has tfmot's wrappers for quantisation-aware training; export quantises by itself: give it the "
                "model before quantize_apply, or train on with --cqat"
            ) from error
        if zipfile.is_zipfile(path):
            raise ValueError(
                f"it has tfmot's wrappers ({wrapper}), which can't be loaded from this format; save it after "
                f"tfmot.{_STRIP[wrapper]}, or as .h5"
            ) from error
    # The model was saved with tfmot's wrappers around its layers.
    import tensorflow_model_optimization as tfmot

    if wrapper == _PRUNING:
        with tfmot.sparsity.keras.prune_scope():
            return tfmot.sparsity.keras.strip_pruning(tf.keras.models.load_model(path, compile=False))
    with tfmot.clustering.keras.cluster_scope():
        return tfmot.clustering.keras.strip_clustering(tf.keras.models.load_model(path, compile=False))


def _check_kind(path: Path) -> None:
    if path.is_dir():
        if not (path / _SAVED_MODEL).is_file():
            raise ModelFileError(f"{path}: a folder without {_SAVED_MODEL}; export takes a Keras model")
        if not (path / _KERAS_METADATA).is_file():
            raise ModelFileError(f"{path}: a SavedModel without Keras' layers; save the Keras model as .keras")
    elif not path.exists():
        raise ModelFileError(f"{path}: no such file; a run leaves its model as runs/NAME/model.keras")
    elif not path.is_file():
        raise ModelFileError(f"{path}: a pipe or a device; export needs a file, which it reads in parts")
    else:
        with path.open("rb") as file:
            start = file.read(8)
        if start[4:8] == b"TFL3" or start[:4] == b"FCPK":
            raise ModelFileError(f"{path}: a TFLite model already; export takes the Keras model that it was made from")


def _check_weights(path: Path, model: tf.keras.Model) -> None:
    for weights in model.weights:
        values = weights.numpy()
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ModelFileError(f"{path}: {weights.name} has weights that are not finite (NaN or infinity)")


def load_keras_model(path: Path) -> tf.keras.Model:
    """Loads a Keras model.

    Args:
        path: `.keras` or `.h5` file, or folder of a SavedModel that Keras wrote; tfmot's wrappers for clustering and
            pruning are removed.

    Raises:
        ModelFileError: If it is missing, damaged, or no model that can be exported.
    """
    _check_kind(path)
    try:
        model = _load(path)
    except Exception as error:  # Keras passes on any error of the damaged part
        raise ModelFileError(f"{path}: not a Keras model that loads: {first_line(error)}") from error
    if not getattr(model, "inputs", None):
        raise ModelFileError(f"{path}: the model was never built; call it once, then save it")
    for tensor in model.inputs:
        if any(size is None for size in tensor.shape[1:]):
            raise ModelFileError(f"{path}: the input shape {tuple(tensor.shape)} is not fixed")
    _check_weights(path, model)
    return model
