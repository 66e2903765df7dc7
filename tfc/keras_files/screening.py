"""Judges a Keras 2 model's configuration before anything is built from it.

Building a model from a configuration can run code: Lambda layers hold byte code, an object's `module` is imported
whatever it is, and layers that stand for TensorFlow functions can name those that write files. Keras' safe mode does
not help: it ignores HDF5, and function objects in arguments get past it. So every object in a configuration must be one
of:

- a class of Keras' public modules, except those of `_REFUSED`,
- a TensorFlow function that only computes (`_COMPUTING`), as `x + y` or `tf.nn.relu(x)` in a functional model leave it,
- a class or function that the user registered or passed as a custom object,
- one of tfmot's wrappers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tfc.base.errors import UnsafeModelError

_REFUSED = frozenset({"Lambda", "StringLookup", "IntegerLookup", "TextVectorization", "DenseFeatures", "Wrapper"})
"""Layers of Keras that hold code, read other files by name, or make no sense by themselves."""

_PUBLIC = ("layers", "initializers", "regularizers", "constraints", "models", "mixed_precision", "layers.experimental")
"""Modules below tf.keras whose classes may be built, minus `_REFUSED`."""

_INTERNAL = {
    "engine.functional": ("Functional",),
    "engine.sequential": ("Sequential",),
    "engine.training": ("Model",),
    "layers.core.tf_op_layer": ("TFOpLambda", "SlicingOpLambda"),
}
"""Classes that files name by where they stand inside Keras."""

_FUNCTION_LAYERS = ("TFOpLambda", "SlicingOpLambda")

_COMPUTING = ("math.", "nn.", "linalg.", "signal.", "__operators__.")
_COMPUTING_TOO = (
    *("cast", "clip_by_value", "convert_to_tensor", "einsum", "eye", "fill", "identity", "one_hot", "ones_like"),
    *("rank", "shape", "stop_gradient", "tensordot", "where", "zeros_like"),
    *("concat", "expand_dims", "pad", "repeat", "reshape", "reverse", "roll", "slice", "split", "squeeze", "stack"),
    *("strided_slice", "tile", "transpose", "unstack", "gather", "compat.v1.gather", "compat.v1.transpose"),
    *("image.grayscale_to_rgb", "image.per_image_standardization", "image.resize", "image.rgb_to_grayscale"),
)
"""TensorFlow functions without effects on anything but their results."""

_DATA = frozenset({"__tensor__", "__numpy__", "__bytes__", "__tuple__", "__ellipsis__", "TensorShape"})
"""What configurations call a class and is a value."""


def configured_objects(configuration: Any) -> Iterator[dict[str, Any]]:
    """Yields every dictionary of a configuration that says what to build, at any depth.

    Args:
        configuration: As JSON holds it.
    """
    pending = [configuration]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if "class_name" in value:
                yield value
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)


def without_compilation(configuration: Any) -> Any:
    """Returns a copy without what a model was compiled with: loss, optimizer and metrics, which nothing here needs.

    Args:
        configuration: As JSON holds it.

    Raises:
        RecursionError: If it is nested too deeply.
    """
    if isinstance(configuration, dict):
        found = {key: without_compilation(value) for key, value in configuration.items()}
        if "class_name" in found:
            found.pop("compile_config", None)
        return found
    if isinstance(configuration, list):
        return [without_compilation(value) for value in configuration]
    return configuration


def refuse_unsafe(configuration: Any, custom_objects: Mapping[str, Any] | None = None) -> None:
    """Refuses a configuration with anything that is not on the lists above.

    Args:
        configuration: As JSON holds it, without compilation.
        custom_objects: The user's own classes and functions by name, beside those that are registered with Keras.

    Raises:
        UnsafeModelError: If it holds such an object; names it.
    """
    for found in configured_objects(configuration):
        _refuse_object(found, dict(custom_objects or {}))


def _refuse_object(found: dict[str, Any], custom: dict[str, Any]) -> None:
    kind, module, registered = found["class_name"], found.get("module"), found.get("registered_name")
    if not isinstance(kind, str) or not isinstance(module, str | None) or not isinstance(registered, str | None):
        raise UnsafeModelError("its configuration names a class by something that is no name")
    if kind in ("Lambda", "__lambda__"):
        raise UnsafeModelError(f"it holds code ({_label(found)}), which is not run; write it with Keras' own layers")
    if kind == "function":
        _refuse_function(found, custom)
    elif kind in _DATA:
        return
    elif kind in _FUNCTION_LAYERS and _is_keras(kind, module):
        _refuse_effects(found)
    elif _is_registered_class(kind, module, registered, custom):
        return
    elif module is not None and not _inside_keras(module):
        raise UnsafeModelError(f"{_label(found)} is of the module {_shown(module)}, outside of Keras")
    elif not _is_keras(kind, module):
        raise UnsafeModelError(
            f"{_label(found)} is neither one of Keras' layers that may be loaded nor registered: decorate your own "
            "class with tf.keras.saving.register_keras_serializable and import it first"
        )


def _refuse_function(found: dict[str, Any], custom: dict[str, Any]) -> None:
    import tensorflow as tf

    name, module = found.get("config"), found.get("module")
    if not isinstance(name, str):
        raise UnsafeModelError("its configuration names a function by something that is no name")
    if _is_custom(name, custom):
        return
    own = module in ("builtins", "keras.activations") and name in dir(tf.keras.activations)
    if not own or name.startswith("_") or name in ("get", "serialize", "deserialize"):
        raise UnsafeModelError(f"it calls the function {_shown(f'{module}.{name}')}, which is no activation of Keras")


def _refuse_effects(found: dict[str, Any]) -> None:
    content = found.get("config")
    function = content.get("function") if isinstance(content, dict) else None
    if isinstance(function, str) and (function.startswith(_COMPUTING) or function in _COMPUTING_TOO):
        return
    raise UnsafeModelError(f"it calls the TensorFlow function {_shown(function)}, which is not one that only computes")


def _is_custom(name: Any, custom: dict[str, Any]) -> bool:
    return _registered(name, custom) is not None


def _registered(name: Any, custom: dict[str, Any]) -> Any:
    import tensorflow as tf

    return tf.keras.saving.get_registered_object(name, custom) if isinstance(name, str) else None


def _is_registered_class(kind: str, module: str | None, registered: str | None, custom: dict[str, Any]) -> bool:
    """Whether Keras will find the user's class: by `registered_name`, or, in older files, by `class_name`."""
    if _is_custom(kind, custom):
        return module is None or _inside_keras(module) or _is_custom(registered, custom)
    # Both names have to be the same class's: which of them Keras goes by depends on the file's age.
    return getattr(_registered(registered, custom), "__name__", None) == kind


def _inside_keras(module: str) -> bool:
    return module == "builtins" or module.split(".")[0] == "keras"


def _is_keras(kind: str, module: str | None) -> bool:
    """Whether Keras resolves a name to one of its own classes that may be built, by either of its two ways."""
    import tensorflow as tf

    if kind in _REFUSED or kind.startswith("_"):
        return False
    internal = [(inside, kinds) for inside, kinds in _INTERNAL.items() if kind in kinds]
    if module is None:
        return bool(internal) or any(_has_class(tf.keras, public, kind) for public in _PUBLIC)
    if module == "keras":
        return _has_class(tf.keras, "", kind) and kind in ("Sequential", "Model")
    inside = module.removeprefix("keras.")
    if any(inside.removeprefix("src.") == name for name, _ in internal):
        return True
    return inside in _PUBLIC and _has_class(tf.keras, inside, kind)


def _has_class(root: Any, module: str, name: str) -> bool:
    for part in module.split(".") if module else ():
        root = getattr(root, part, None)
    return isinstance(getattr(root, name, None), type)


def _label(found: dict[str, Any]) -> str:
    content = found.get("config")
    name = found.get("name") or (content.get("name") if isinstance(content, dict) else None)
    kind = f"class {_shown(found['class_name'])}"
    return f"layer {_shown(name)} ({kind})" if isinstance(name, str) else kind


def _shown(value: Any) -> str:
    """Returns a text from a file so that it can stand in one line."""
    text = str(value)
    return "".join(letter if letter.isprintable() else "?" for letter in text[:80]) + ("..." if len(text) > 80 else "")
