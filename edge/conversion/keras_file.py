"""Loads Keras models of any of Keras' formats, without the wrappers that tfmot leaves around layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from tfc.base.errors import ModelFileError
from tfc.keras_files.loading import load_model, tfmot_wrappers
from tfc.keras_files.nested_layers import nested_layers

_CLUSTERING, _PRUNING = "ClusterWeights", "PruneLowMagnitude"


def _stripped(model: tf.keras.Model) -> tf.keras.Model:
    """Takes tfmot's wrappers for clustering and pruning off; refuses those of quantisation."""
    wrapped = tfmot_wrappers(model)
    if not wrapped:
        return model
    import tensorflow_model_optimization as tfmot

    kinds = {type(layer).__name__ for layer in nested_layers(model)}
    if _CLUSTERING in kinds:
        model = tfmot.clustering.keras.strip_clustering(model)
    if _PRUNING in kinds:
        model = tfmot.sparsity.keras.strip_pruning(model)
    if tfmot_wrappers(model):
        raise ModelFileError(
            f"its layer {wrapped[0]} has tfmot's wrapper for quantisation-aware training; export quantises by itself: "
            "give it the model before quantize_apply, or train on with --cqat"
        )
    return model


def _check_kind(path: Path) -> None:
    if path.is_dir():
        raise ModelFileError(f"{path}: a folder; export takes a model's file (.keras, .h5, .tflite) or a SavedModel")
    if not path.exists():
        raise ModelFileError(f"{path}: no such file; a run leaves its model as runs/NAME/model.keras")
    if not path.is_file():
        raise ModelFileError(f"{path}: a pipe or a device; export needs a file, which it reads in parts")


def _check_weights(path: Path, model: tf.keras.Model) -> None:
    for weights in model.weights:
        values = weights.numpy()
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ModelFileError(f"{path}: {weights.name} has weights that are not finite (NaN or infinity)")


def load_keras_model(path: Path) -> tf.keras.Model:
    """Loads a Keras model.

    Args:
        path: `.keras` or `.h5` file, also of Keras 3; tfmot's wrappers for clustering and pruning are removed.

    Raises:
        ModelFileError: If it is missing, damaged, or no model that can be exported.
    """
    _check_kind(path)
    model = load_model(path)
    try:
        model = _stripped(model)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from error
    if not getattr(model, "inputs", None):
        raise ModelFileError(f"{path}: the model was never built; call it once, then save it")
    for tensor in model.inputs:
        if any(size is None for size in tensor.shape[1:]):
            raise ModelFileError(f"{path}: the input shape {tuple(tensor.shape)} is not fixed")
    _check_weights(path, model)
    return model
