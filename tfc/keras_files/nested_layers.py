"""All layers of a model: those of nested models, wrappers and recurrent cells, too."""

from __future__ import annotations

import tensorflow as tf


def nested_layers(model: tf.keras.Model) -> list[tf.keras.layers.Layer]:
    """Returns every layer of a model once, the model's own order first.

    `tf.Module.submodules` would do, but it fails on recurrent layers with dropout, whose cache of masks it can't sort.

    Args:
        model: Any Keras model.
    """
    found = {id(layer): layer for layer in model._flatten_layers(include_self=False)}
    return list(found.values())
