"""A user's own Keras model, from a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from tfc.base.errors import ConfigError
from tfc.config.keys import MODEL_SUFFIXES

_EMBEDDING = "embedding"


def is_model_file(name: str) -> bool:
    """Whether a model's name is that of a file.

    Args:
        name: `model.name`.
    """
    return name.endswith(MODEL_SUFFIXES)


def own_model(path: Path, input_shape: tuple[int, ...], num_classes: int) -> Callable[[], tf.keras.Model]:
    """Reads a model and returns a function that builds it anew, in whatever graph it is called.

    Outside of graphs the copy has the file's weights; inside, where its variables are assigned anyway, fresh ones.

    Args:
        path: A .keras or .h5 file of a functional or sequential model: logits out, a layer named `embedding`.
        input_shape: Shape of one input of the data set.
        num_classes: Classes of the data set.

    Raises:
        ConfigError: If it can't be read, or is not such a model; says what to change.
    """
    try:
        model = tf.keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises whatever its readers and layers do
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ConfigError(f"model.name={path}: not a Keras model that loads: {lines[0]}") from error
    if not isinstance(model, tf.keras.models.Sequential) and not getattr(model, "_is_graph_network", False):
        raise ConfigError(f"model.name={path}: is neither functional nor sequential: its layers can't be built anew")
    if tuple(model.input_shape[1:]) != input_shape:
        raise ConfigError(
            f"model.name={path}: takes inputs of shape {tuple(model.input_shape[1:])}, the data have {input_shape}"
        )
    if tuple(model.output_shape[1:]) != (num_classes,):
        raise ConfigError(
            f"model.name={path}: has outputs of shape {tuple(model.output_shape[1:])}, the data have {num_classes} "
            "classes"
        )
    activation = getattr(model.layers[-1], "activation", None)
    if isinstance(model.layers[-1], tf.keras.layers.Softmax) or activation is tf.keras.activations.softmax:
        raise ConfigError(f"model.name={path}: ends with a softmax; the last layer must give logits (activation=None)")
    if _EMBEDDING not in [layer.name for layer in model.layers]:
        raise ConfigError(
            f"model.name={path}: has no layer named {_EMBEDDING!r}: give that name to the one in front of the "
            f"classifier, which is now {model.layers[-2].name!r} (the representation quality score is computed there)"
        )
    class_, content, weights = type(model), model.get_config(), model.get_weights()

    def build() -> tf.keras.Model:
        copy = class_.from_config(content)
        if tf.executing_eagerly():
            copy.set_weights(weights)
        return copy

    return build
