"""Writes a Keras 3 model's configuration for Keras 2: nested models, wrappers, and which layer is called with what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tfc.base.errors import ModelFileError
from tfc.keras_files import keras3_calls as calls
from tfc.keras_files.keras3_layers import LAYERS, layer_settings
from tfc.keras_files.keras3_objects import UnknownHereError, dtype_of
from tfc.keras_files.keras3_weights import Placement, WeightStore, group_names

_MODULES = ("keras", "keras.layers", "keras.models", "keras.src.models.functional", "keras.src.models.sequential")
_MODELS = ("Functional", "Sequential", "Model")


@dataclass(frozen=True)
class _Place:
    """Where in a model one is: its group in the file, the steps to it in the built model, whether training moves it."""

    group: str = ""
    steps: tuple[str, ...] = ()
    trainable: bool = True


def convert(entry: Mapping[str, Any], store: WeightStore) -> tuple[dict[str, Any], list[Placement]]:
    """Returns a model's configuration for Keras 2, and where its weights are.

    Args:
        entry: Content of `config.json`.
        store: Its weights, some of which become settings.

    Returns:
        A dictionary with `class_name` (Functional or Sequential) and `config`; the placements of all weights.

    Raises:
        ModelFileError: If a layer or a part of it is not known here; names it.
    """
    placements: list[Placement] = []
    if entry.get("class_name") not in _MODELS:
        raise ModelFileError(f"{_label(entry)} is neither a functional nor a sequential model")
    return _written(entry, _Place(), store, placements), placements


def _label(entry: Mapping[str, Any]) -> str:
    content = entry.get("config")
    name = entry.get("name") or (content.get("name") if isinstance(content, Mapping) else None)
    shown = [f"{text}"[:80] if str(text).isprintable() else repr(text)[:80] for text in (name, entry.get("class_name"))]
    return f"layer {shown[0]} (class {shown[1]})"


def _written(entry: Mapping[str, Any], place: _Place, store: WeightStore, found: list[Placement]) -> dict[str, Any]:
    """A layer or model for Keras 2, without its calls; its placements are added to those found."""
    kind, content = entry.get("class_name"), entry.get("config")
    if entry.get("module") not in _MODULES or not isinstance(content, Mapping) or not isinstance(kind, str):
        raise ModelFileError(f"{_label(entry)} is not known here")
    place = replace(place, trainable=place.trainable and content.get("trainable", True) is not False)
    try:
        if kind in _MODELS:
            write = _sequential if kind == "Sequential" else _functional
            return {"class_name": kind.replace("Model", "Functional"), "config": write(content, place, store, found)}
        if kind == "InputLayer":
            return {"class_name": kind, "config": _input(content)}
        if kind in ("TimeDistributed", "Bidirectional"):
            return {"class_name": kind, "config": _wrapper(kind, content, place, store, found)}
        rule = LAYERS.get(kind)
        if rule is None:
            raise ModelFileError(f"{_label(entry)} is not known here")
        settings = layer_settings(rule, content)
        groups = tuple(f"{place.group}/{group}" for group in rule.state)
        if kind == "Normalization":
            settings |= _statistics(settings, groups, store)
        elif groups:
            found.append(Placement(place.steps, groups, _label(entry)))
        return {"class_name": kind, "config": {**settings, "trainable": place.trainable}}
    except UnknownHereError as error:
        raise ModelFileError(f"{_label(entry)} {error}") from error


def _statistics(settings: dict[str, Any], groups: tuple[str, ...], store: WeightStore) -> dict[str, Any]:
    # What adapt() has found becomes constants: Keras 2 stores a counter of int64 beside them.
    if settings.get("mean") is not None:
        return {}
    held = store.arrays(groups)
    if len(held) < 2:
        raise UnknownHereError("was never adapted to data")
    return {"mean": held[0].tolist(), "variance": held[1].tolist()}


def _input(content: Mapping[str, Any]) -> dict[str, Any]:
    if content.get("sparse") or content.get("ragged") or content.get("optional"):
        raise UnknownHereError("takes sparse, ragged or optional inputs, which are not known here")
    shape = content.get("batch_shape")
    if not isinstance(shape, list) or not all(size is None or isinstance(size, int) for size in shape):
        raise UnknownHereError("has no shape")
    return {"batch_input_shape": shape, "dtype": dtype_of(content.get("dtype")), "name": content.get("name")}


def _wrapper(
    kind: str, content: Mapping[str, Any], place: _Place, store: WeightStore, found: list[Placement]
) -> dict[str, Any]:
    written = {"name": content.get("name"), "trainable": place.trainable}
    if kind == "TimeDistributed":
        return written | {"layer": _inner(content, "layer", place, store, found)}
    forward, backward = (
        _inner(content, key, place, store, found, step)
        for key, step in (("layer", "forward_layer"), ("backward_layer", "backward_layer"))
    )
    for layer, prefix in ((forward, "forward_"), (backward, "backward_")):
        layer["config"]["name"] = str(layer["config"].get("name")).removeprefix(prefix)  # Keras 2 adds it again
    merge = content.get("merge_mode")
    if not isinstance(merge, str | None):
        raise UnknownHereError("has a merge_mode that is not known here")
    written |= {"layer": forward, "merge_mode": merge}
    mirrored = {**forward["config"], "go_backwards": not forward["config"].get("go_backwards", False)}
    return written if mirrored == backward["config"] else written | {"backward_layer": backward}


def _inner(
    content: Mapping[str, Any], key: str, place: _Place, store: WeightStore, found: list[Placement], step: str = ""
) -> dict[str, Any]:
    entry = content.get(key)
    if not isinstance(entry, Mapping):
        raise UnknownHereError(f"wraps no layer as its {key}")
    step = step or key
    return _written(
        entry, replace(place, group=f"{place.group}/{step}", steps=(*place.steps, f".{step}")), store, found
    )


def _inside(
    entries: list[Any], place: _Place, store: WeightStore, found: list[Placement]
) -> dict[str, tuple[Mapping[str, Any], dict[str, Any]]]:
    """The layers of a model by name: as they are in the file, and for Keras 2."""
    if not all(isinstance(entry, Mapping) and isinstance(entry.get("config"), Mapping) for entry in entries):
        raise UnknownHereError("has a layer without a configuration")
    prefix = f"{place.group}/layers".removeprefix("/")
    written = {}
    for entry, group in zip(entries, group_names([str(each.get("class_name")) for each in entries]), strict=True):
        name = entry["config"].get("name")
        if not isinstance(name, str) or name in written:
            raise UnknownHereError("has a layer without a name of its own")
        stored = store.named(f"{prefix}/{group}")
        if stored not in (None, name):
            raise UnknownHereError(f"has the weights of {stored} where those of its layer {name} are expected")
        below = _Place(f"{prefix}/{group}", (*place.steps, name), place.trainable)
        written[name] = (entry, _written(entry, below, store, found))
    return written


def _sequential(
    content: Mapping[str, Any], place: _Place, store: WeightStore, found: list[Placement]
) -> dict[str, Any]:
    entries = list(content.get("layers") or [])
    first = entries[0] if entries and isinstance(entries[0], Mapping) else {}
    if first.get("class_name") != "InputLayer" and not isinstance(content.get("build_input_shape"), list):
        raise UnknownHereError("was never built: call it once before you save it")
    layers = [layer for _, layer in _inside(entries, place, store, found).values()]
    if first.get("class_name") != "InputLayer":
        shape = {"batch_shape": content["build_input_shape"], "name": f"{content.get('name')}_input"}
        layers.insert(0, {"class_name": "InputLayer", "config": _input(shape)})
    return {"name": content.get("name"), "layers": layers}


def _functional(
    content: Mapping[str, Any], place: _Place, store: WeightStore, found: list[Placement]
) -> dict[str, Any]:
    entries = [entry for entry in content.get("layers") or [] if isinstance(entry, Mapping)]
    masks = calls.implied_masks(entries)
    operations = [entry for entry in entries if calls.is_operation(entry)]
    layers = _inside([entry for entry in entries if not calls.is_operation(entry)], place, store, found)
    nested = {name for name, (entry, _) in layers.items() if entry["class_name"] in _MODELS}
    written = []
    for name, (entry, layer) in layers.items():
        try:
            nodes = calls.nodes_of(entry, nested, masks)
            if entry["class_name"] == "MultiHeadAttention":
                layer["config"] |= calls.attention_shapes(entry)
        except UnknownHereError as error:
            raise ModelFileError(f"{_label(entry)} {error}") from error
        written.append({**layer, "name": name, "inbound_nodes": nodes})
    for entry in operations:
        if entry.get("name") not in masks:
            try:
                written.append(calls.operation_layer(entry, nested))
            except UnknownHereError as error:
                raise ModelFileError(f"{_label(entry)} {error}") from error
    ends = {key: calls.model_ends(content.get(key), nested) for key in ("input_layers", "output_layers")}
    return {"name": content.get("name"), "layers": written, **ends}
