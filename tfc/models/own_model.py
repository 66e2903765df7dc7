"""A user's own Keras model, from a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from tfc.base.errors import ConfigError, ModelFileError
from tfc.config.keys import MODEL_SUFFIXES
from tfc.keras_files.loading import load_model, tfmot_wrappers
from tfc.models.model_contract import ExpectedData, built, check_model, rebuilder


def is_model_file(name: str) -> bool:
    """Whether a model's name is that of a file.

    Args:
        name: `model.name`.
    """
    return name.endswith(MODEL_SUFFIXES)


def own_model(path: Path, expected: ExpectedData) -> Callable[[], tf.keras.Model]:
    """Reads a model and returns a function that builds it anew, in whatever graph it is called.

    Args:
        path: A .keras or .h5 file of a functional or sequential model, logits out; also .keras files of Keras 3.
        expected: The data that it is for.

    Raises:
        ConfigError: If it can't be read, or can't be trained here; says what to change.
    """
    model = built(_read(path), expected.input_shape or ())
    check_model(model, expected, f"model.name={path}")
    return rebuilder(model)


def refuse_untrainable(path: Path) -> None:
    """Refuses a model that could not be trained here on any data.

    A sequential model that does not know its inputs is left alone: data may tell it.

    Args:
        path: A .keras or .h5 file.

    Raises:
        ConfigError: As `own_model` does.
    """
    model = _read(path)
    if getattr(model, "_is_graph_network", False):
        check_model(model, ExpectedData(), f"model.name={path}")


def _read(path: Path) -> tf.keras.Model:
    try:
        model = load_model(path)
    except ModelFileError as error:
        raise ConfigError(f"model.name={error}") from error
    if wrapped := tfmot_wrappers(model):
        raise ConfigError(
            f"model.name={path}: its layer {wrapped[0]} has one of tfmot's wrappers: save the model after stripping "
            "them (strip_clustering, strip_pruning); quantised models can't be trained here"
        )
    return model
