"""Refuses functional models whose calls go round in circles: Keras would rebuild them without end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tfc.base.errors import ModelFileError
from tfc.keras_files.screening import configured_objects

_CONSTANT = "_CONSTANT_VALUE"

_Call = tuple[str, int]
"""A layer's name and the number of the call, as Keras counts them."""


def refuse_circles(configuration: Any) -> None:
    """Refuses a model's configuration in Keras 2's notation if a call depends on itself or on nothing.

    Args:
        configuration: As JSON holds it; nested models are looked at too.

    Raises:
        ModelFileError: Then; names a layer.
    """
    for found in configured_objects(configuration):
        content = found.get("config")
        if found["class_name"] in ("Functional", "Model") and isinstance(content, dict):
            _refuse_circles(content.get("layers"))


def _references(value: Any) -> Iterator[_Call | None]:
    """The calls whose results stand in a call's arguments; None for one whose number is no number."""
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, dict):
            pending.extend(each.values())
        elif isinstance(each, list):
            pending.extend(each)
            # Keras takes every list of this form for a call's result, in arguments, too.
            if len(each) in (3, 4) and isinstance(each[0], str) and each[0] != _CONSTANT:
                yield (each[0], each[1]) if type(each[1]) is int else None


def _first_call(layer: dict[str, Any]) -> int:
    """The number of a layer's first call: that of a nested model with inputs of its own is 1."""
    kind, content = layer.get("class_name"), layer.get("config")
    if kind in ("Functional", "Model"):
        return 1
    inside = content.get("layers") if kind == "Sequential" and isinstance(content, dict) else None
    if not isinstance(inside, list) or not inside or not isinstance(inside[0], dict):
        return 0
    settings = inside[0].get("config")
    shaped = isinstance(settings, dict) and "batch_input_shape" in settings
    return int(shaped or inside[0].get("class_name") == "InputLayer" or "build_input_shape" in (content or {}))


def _refuse_circles(layers: Any) -> None:
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        raise ModelFileError("its layers are not a list")
    inputs = {str(layer.get("name")) for layer in layers if layer.get("class_name") == "InputLayer"}
    waiting: dict[_Call, list[_Call | None]] = {}
    for layer in layers:
        name, nodes = str(layer.get("name")), layer.get("inbound_nodes") or []
        if not isinstance(nodes, list):
            raise ModelFileError(f"the calls of layer {name[:80]!r} are not a list")
        first = _first_call(layer)
        for number, node in enumerate(nodes, first):
            needed = [call for call in _references(node) if call is None or call[0] not in inputs]
            # Keras makes a layer's calls in order.
            waiting[name, number] = needed + ([(name, number - 1)] if number > first else [])
    done: set[_Call | None] = set()
    while ready := [call for call, needed in waiting.items() if all(each in done for each in needed)]:
        done.update(ready)
        for call in ready:
            del waiting[call]
    if waiting:
        name = next(iter(waiting))[0]
        raise ModelFileError(f"layer {name[:80]!r} is called with the result of a call that is never made")
