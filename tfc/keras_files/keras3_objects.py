"""What layers are configured with, in a Keras 3 file and for Keras 2: types, activations, initializers and the like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfc.base.errors import ModelFileError

ACTIVATIONS = {
    "elu": "elu",
    "exponential": "exponential",
    "gelu": "gelu",
    "linear": "linear",
    "mish": "mish",
    "relu": "relu",
    "selu": "selu",
    "sigmoid": "sigmoid",
    "silu": "swish",
    "softmax": "softmax",
    "softplus": "softplus",
    "softsign": "softsign",
    "swish": "swish",
    "tanh": "tanh",
}
"""Activations that compute the same in both, by their names in Keras 3. `hard_sigmoid` does not."""

_OBJECTS: dict[str, dict[str, tuple[str, ...]]] = {
    "initializer": {
        "Zeros": (),
        "Ones": (),
        "Constant": ("value",),
        "RandomNormal": ("mean", "stddev", "seed"),
        "RandomUniform": ("minval", "maxval", "seed"),
        "TruncatedNormal": ("mean", "stddev", "seed"),
        "VarianceScaling": ("scale", "mode", "distribution", "seed"),
        "GlorotNormal": ("seed",),
        "GlorotUniform": ("seed",),
        "HeNormal": ("seed",),
        "HeUniform": ("seed",),
        "LecunNormal": ("seed",),
        "LecunUniform": ("seed",),
        "Orthogonal": ("gain", "seed"),
        "Identity": ("gain",),
    },
    "regularizer": {
        "L1": ("l1",),
        "L2": ("l2",),
        "L1L2": ("l1", "l2"),
        "OrthogonalRegularizer": ("factor", "mode"),
    },
    "constraint": {
        "MaxNorm": ("max_value", "axis"),
        "MinMaxNorm": ("min_value", "max_value", "rate", "axis"),
        "NonNeg": (),
        "UnitNorm": ("axis",),
    },
}
"""By kind and class: the settings that both versions know."""

_RENAMED = {"OrthogonalInitializer": "Orthogonal", "IdentityInitializer": "Identity"}


class UnknownHereError(ModelFileError):
    """A part of a Keras 3 model has no counterpart here; its message follows the layer's name."""


def dtype_of(value: Any) -> str:
    """Returns the name of a layer's type or policy.

    Args:
        value: A name, a policy as a dictionary, or None for the default.

    Raises:
        UnknownHereError: If it is neither.
    """
    if isinstance(value, Mapping) and isinstance(value.get("config"), Mapping):
        value = value["config"].get("name")
    if value is None:
        return "float32"
    if not isinstance(value, str):
        raise UnknownHereError("has a dtype that is not known here")
    return value


def activation_of(value: Any) -> str:
    """Returns Keras 2's name of an activation.

    Args:
        value: Keras 3's name, or the function as a dictionary.

    Raises:
        UnknownHereError: If Keras 2 has none that computes the same.
    """
    if isinstance(value, Mapping) and value.get("class_name") == "function":
        value = value.get("config")
    if value is None:
        return "linear"
    if isinstance(value, str) and value in ACTIVATIONS:
        return ACTIVATIONS[value]
    raise UnknownHereError(f"has the activation {_name(value)}, which is not known here")


def object_of(kind: str, value: Any) -> dict[str, Any] | None:
    """Returns an initializer, regularizer or constraint for Keras 2.

    Args:
        kind: Which of the three.
        value: As the Keras 3 file has it.

    Raises:
        UnknownHereError: If Keras 2 has none like it.
    """
    if value is None:
        return None
    name = _name(value)
    name = _RENAMED.get(name, name)
    settings = _OBJECTS[kind].get(name)
    if settings is None or not isinstance(value, Mapping) or value.get("module") != f"keras.{kind}s":
        raise UnknownHereError(f"has the {kind} {name}, which is not known here")
    given = value.get("config") or {}
    found = {key: given[key] for key in settings if key in given and not isinstance(given[key], Mapping)}
    others = [key for key in given if key not in settings and given[key] is not None]
    if others:
        raise UnknownHereError(f"has the {kind} {name} with {others[0]}, which is not known here")
    return {"class_name": name, "config": found}


def _name(value: Any) -> str:
    found = str(value.get("class_name") if isinstance(value, Mapping) else value)[:60]
    return found if found.isprintable() else repr(found)
