"""Refuses functional models whose calls go round in circles: Keras would rebuild them without end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tfc.base.errors import ModelFileError
from tfc.keras_files.screening import configured_objects

_MODELS = ("Functional", "Model", "Sequential")


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


def _references(value: Any) -> Iterator[tuple[str, int]]:
    """The calls whose results stand in a call's arguments."""
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, list):
            if len(each) >= 3 and isinstance(each[0], str) and type(each[1]) is int and each[1] >= 0:
                yield each[0], each[1]
            pending.extend(each)
        elif isinstance(each, dict):
            pending.extend(each.values())


def _refuse_circles(layers: Any) -> None:
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        raise ModelFileError("its layers are not a list")
    waiting: dict[tuple[str, int], list[tuple[str, int]]] = {}
    for layer in layers:
        name, nodes = str(layer.get("name")), layer.get("inbound_nodes") or []
        if not isinstance(nodes, list):
            raise ModelFileError(f"the calls of layer {name[:80]!r} are not a list")
        # Calls of nested models are counted from 1: the first is their own.
        first = int(layer.get("class_name") in _MODELS)
        waiting |= {(name, index): [] for index in range(first + (not nodes))}
        waiting |= {(name, first + index): list(_references(node)) for index, node in enumerate(nodes)}
    done: set[tuple[str, int]] = set()
    while True:
        ready = [call for call, needed in waiting.items() if all(each in done for each in needed)]
        if not ready:
            break
        done.update(ready)
        for call in ready:
            del waiting[call]
    if waiting:
        name = next(iter(waiting))[0]
        raise ModelFileError(f"layer {name[:80]!r} is called with the result of a call that is never made")
