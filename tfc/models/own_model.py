"""A user's own Keras model, from a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from tfc.base.errors import ConfigError
from tfc.config.keys import MODEL_SUFFIXES
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
        path: A .keras or .h5 file of a functional or sequential model, logits out.
        expected: The data that it is for.

    Raises:
        ConfigError: If it can't be read, or can't be trained here; says what to change.
    """
    try:
        model = tf.keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises whatever its readers and layers do
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ConfigError(f"model.name={path}: not a Keras model that loads: {lines[0]}") from error
    model = built(model, expected.input_shape or ())
    check_model(model, expected, f"model.name={path}")
    return rebuilder(model)
