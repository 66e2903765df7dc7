"""Which layer of a functional Keras 3 model is called with what, in Keras 2's notation.

Keras 3 stores for every call its arguments, with tensors as [layer, call, output]; Keras 2 a list of such tensors with
the other arguments behind them. The calls of nested models are counted from 1 in Keras 2, since their own is the first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tfc.keras_files.keras3_layers import LAYERS, LayerRule
from tfc.keras_files.keras3_objects import UnknownHereError

_NESTED = LayerRule()

_MERGES = ("Add", "Subtract", "Multiply", "Maximum", "Minimum")
"""Operations of two tensors for which Keras 2 has a layer of the same name."""

_FUNCTIONS = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Silu": "swish"}
"""Operations of one tensor that are activations."""


def is_operation(entry: Mapping[str, Any]) -> bool:
    """Whether a part of a model is an operation (`x + y`) and not a layer.

    Args:
        entry: The part, as the file has it.
    """
    return str(entry.get("module")).startswith("keras.src.ops.")


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("class_name") == "__keras_tensor__"


def _described(value: Any) -> Mapping[str, Any]:
    content = value.get("config") if _is_tensor(value) else {}
    history = content.get("keras_history") if isinstance(content, Mapping) else None
    if not isinstance(history, list) or [type(part) for part in history] != [str, int, int]:
        raise UnknownHereError("is called with something that is no tensor of the model")
    found: Mapping[str, Any] = content
    return found


def _tensor(value: Any, nested: Collection[str]) -> list[Any]:
    name, call, output = _described(value)["keras_history"]
    return [name, call + (name in nested), output]


def _shape(value: Any) -> list[Any]:
    shape = _described(value).get("shape")
    if not isinstance(shape, list):
        raise UnknownHereError("is called with a tensor without a shape")
    return shape


def _calls(entry: Mapping[str, Any]) -> list[tuple[list[Any], dict[str, Any]]]:
    nodes = entry.get("inbound_nodes", [])
    if not isinstance(nodes, list) or not all(isinstance(node, Mapping) for node in nodes):
        raise UnknownHereError("has calls that are not readable")
    return [(list(node.get("args") or []), dict(node.get("kwargs") or {})) for node in nodes]


def implied_masks(entries: Sequence[Mapping[str, Any]]) -> set[str]:
    """Returns the names of operations that make the masks which Keras 2 passes on by itself.

    These are `x != 0` beside an Embedding with `mask_zero`, and `any(x != value)` beside a Masking layer.

    Args:
        entries: The parts of a functional model, as the file has them.
    """
    masked: dict[str, Any] = {}
    for entry in entries:
        kind, content = entry.get("class_name"), entry.get("config") or {}
        if kind == "Masking" or (kind == "Embedding" and content.get("mask_zero")):
            value = content.get("mask_value", 0.0) if kind == "Masking" else 0
            masked |= {str(args[0]): value for args, _ in _calls(entry) if args and _is_tensor(args[0])}
    differing = set()
    for entry in entries:
        if is_operation(entry) and entry.get("class_name") == "NotEqual":
            args = [args for args, _ in _calls(entry)]
            if all(len(each) == 2 and masked.get(str(each[0]), ...) == each[1] for each in args):
                differing.add(str(entry.get("name")))
    return differing | {
        str(entry.get("name"))
        for entry in entries
        if is_operation(entry)
        and entry.get("class_name") == "Any"
        and all(args and _described(args[0])["keras_history"][0] in differing for args, _ in _calls(entry))
    }


def nodes_of(entry: Mapping[str, Any], nested: Collection[str], masks: Collection[str]) -> list[Any]:
    """Returns a layer's calls in Keras 2's notation.

    Args:
        entry: The layer, as the file has it.
        nested: Names of nested models.
        masks: Names of operations whose results Keras 2 passes on by itself.

    Raises:
        UnknownHereError: If it is called with an argument that is not known here.
    """
    rule = LAYERS.get(entry["class_name"], _NESTED)
    return [_node(rule, args, kwargs, nested, masks) for args, kwargs in _calls(entry)]


def _node(
    rule: LayerRule, args: list[Any], kwargs: dict[str, Any], nested: Collection[str], masks: Collection[str]
) -> list[Any]:
    for name in ("training", "mask"):  # training is decided at every call in both; masks are looked at below
        value = kwargs.get(name)
        if name == "training" or value is None or (_is_tensor(value) and _tensor(value, ())[0] in masks):
            kwargs.pop(name, None)
    given = dict(zip(rule.inputs, args, strict=False))
    if len(args) > len(rule.inputs):
        raise UnknownHereError("is called with more arguments than are known here")
    given |= {name: kwargs.pop(name) for name in rule.inputs if name in kwargs}
    first = given.pop(rule.inputs[0], kwargs.pop("inputs", None))
    others = {name: _tensor(value, nested) for name, value in given.items() if value is not None}
    if "use_causal_mask" in kwargs and isinstance(kwargs["use_causal_mask"], bool):
        others["use_causal_mask"] = kwargs.pop("use_causal_mask")
    unknown = [name for name, value in kwargs.items() if value is not None and value is not False]
    if unknown:
        raise UnknownHereError(f"is called with {str(unknown[0])[:60]}, which is not known here")
    tensors = first if isinstance(first, list) else [first]
    if rule.merges and len(tensors) < 2:
        raise UnknownHereError("is called with less than two tensors")
    return [[*_tensor(tensor, nested), others] for tensor in tensors]


def attention_shapes(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the shapes that Keras 2 wants among a MultiHeadAttention's settings.

    Args:
        entry: The layer, as the file has it.

    Raises:
        UnknownHereError: If it is called without query and value.
    """
    for args, kwargs in _calls(entry):
        given = dict(zip(("query", "value", "key"), args, strict=False)) | kwargs
        if given.get("key") is None:
            given["key"] = given.get("value")
        return {f"{name}_shape": _shape(given.get(name)) for name in ("query", "key", "value")}
    raise UnknownHereError("is never called")


def operation_layer(entry: Mapping[str, Any], nested: Collection[str]) -> dict[str, Any]:
    """Returns the Keras 2 layer that does what an operation does.

    Args:
        entry: The operation, as the file has it.
        nested: Names of nested models.

    Raises:
        UnknownHereError: If there is none.
    """
    kind, name = str(entry.get("class_name")), entry.get("name")
    settings: dict[str, Any]
    args = next((args for args, kwargs in _calls(entry) if not any(kwargs.values())), [])
    if not isinstance(name, str) or len(_calls(entry)) != 1:
        raise UnknownHereError("is not known here")
    if kind in _FUNCTIONS and len(args) == 1:
        written, settings, tensors = "Activation", {"activation": _FUNCTIONS[kind]}, args
    elif kind in _MERGES and len(args) == 2 and all(map(_is_tensor, args)):
        written, settings, tensors = kind, {}, args
        if len(_shape(args[0])) != len(_shape(args[1])):
            raise UnknownHereError("is not known here for tensors of different ranks")
    elif kind in ("Add", "Subtract", "Multiply") and len(args) == 2 and any(map(_is_tensor, args)):
        written, settings = "Rescaling", _rescaling(kind, args)
        tensors = [value for value in args if _is_tensor(value)]
    else:
        raise UnknownHereError("is not known here")
    node = [[*_tensor(tensor, nested), {}] for tensor in tensors]
    return {"class_name": written, "config": {**settings, "name": name}, "name": name, "inbound_nodes": [node]}


def _rescaling(kind: str, args: list[Any]) -> dict[str, Any]:
    value = next((value for value in args if not _is_tensor(value)), None)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnknownHereError("is not known here with a constant that is no number")
    if kind == "Multiply":
        return {"scale": float(value), "offset": 0.0}
    if kind == "Add":
        return {"scale": 1.0, "offset": float(value)}
    if _is_tensor(args[0]):
        return {"scale": 1.0, "offset": -float(value)}
    return {"scale": -1.0, "offset": float(value)}


def model_ends(value: Any, nested: Collection[str]) -> list[list[Any]]:
    """Returns a model's inputs or outputs as Keras 2 lists them.

    Args:
        value: One [layer, call, output], or a list of them.
        nested: Names of nested models.

    Raises:
        UnknownHereError: If they are in another structure.
    """
    ends = [value] if isinstance(value, list) and value and isinstance(value[0], str) else value
    good = isinstance(ends, list) and all(
        isinstance(end, list) and [type(part) for part in end] == [str, int, int] for end in ends
    )
    if not good:
        raise UnknownHereError("has inputs or outputs with names, which are not known here: give it lists")
    return [[name, call + (name in nested), output] for name, call, output in ends]
