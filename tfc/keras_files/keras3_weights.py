"""The weights of a Keras 3 file: by layer, as data, with every shape checked before a value is read."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfc.base.errors import ModelFileError
from tfc.keras_files.keras3_objects import UnknownHereError


@dataclass(frozen=True)
class Placement:
    """Which weights of the file belong to which layer of the model.

    Attributes:
        layer: How to get to the layer: names of layers, or `.attribute` for a layer inside a wrapper.
        groups: Groups of the file whose datasets are its weights, in this order.
        label: What to call it in a message.
    """

    layer: tuple[str, ...]
    groups: tuple[str, ...]
    label: str


def group_names(classes: Sequence[str]) -> list[str]:
    """Returns the names under which Keras 3 stores a list of layers: by class, numbered.

    Args:
        classes: Names of the layers' classes, in order.

    >>> group_names(["Conv2D", "ReLU", "Conv2D", "LSTM"])
    ['conv2d', 're_lu', 'conv2d_1', 'lstm']
    """
    used: dict[str, int] = {}
    found = []
    for name in classes:
        snake = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
        snake = re.sub("([a-z])([A-Z])", r"\1_\2", snake).lower()
        used[snake] = used.get(snake, -1) + 1
        found.append(f"{snake}_{used[snake]}" if used[snake] else snake)
    return found


class WeightStore:
    """Weights by group. Closes with the `with` statement.

    Args:
        hdf5: Content of `model.weights.h5`.
    """

    def __init__(self, hdf5: bytes) -> None:
        import h5py

        self._file = h5py.File(io.BytesIO(hdf5), "r")
        self._taken: set[str] = set()

    def __enter__(self) -> WeightStore:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def datasets(self, groups: Sequence[str]) -> list[Any]:
        """Returns the datasets of groups, in the order in which Keras 3 numbered them; marks them as taken.

        Args:
            groups: Paths in the file.

        Raises:
            UnknownHereError: If the file lacks one of the groups.
        """
        found = []
        for group in groups:
            held = self._file.get(group)
            if held is None:
                raise UnknownHereError("has no weights in the file: is it shared between two nested models?")
            for name in sorted(held, key=lambda name: (len(name), name)):
                self._taken.add(f"{group}/{name}")
                found.append(held[name])
        return found

    def arrays(self, groups: Sequence[str], shapes: Sequence[tuple[int, ...]] | None = None) -> list[np.ndarray]:
        """Reads the weights of groups.

        Args:
            groups: Paths in the file.
            shapes: What their shapes have to be; None where that isn't known.

        Returns:
            Arrays of float32 or integers.

        Raises:
            UnknownHereError: If the shapes are others, or they are no numbers.
        """
        found = self.datasets(groups)
        held = [tuple(each.shape) for each in found]
        if shapes is not None and held != list(shapes):
            raise UnknownHereError(
                f"has weights of other shapes in the file ({_shapes(held)}) than in the model ({_shapes(shapes)})"
            )
        if any(each.dtype.kind not in "fiu" for each in found):
            raise UnknownHereError("has weights in the file that are no numbers")
        return [np.asarray(each[()]) for each in found]

    def named(self, group: str) -> str | None:
        """Returns the name of the layer whose weights a group holds; None for files of before Keras 3.9, without.

        Args:
            group: Path in the file.
        """
        held = self._file.get(f"{group}/vars")
        name = None if held is None else held.attrs.get("name")
        return name if isinstance(name, str) else None

    def refuse_left_over(self) -> None:
        """Raises if a layer's weights have been taken by nobody.

        Raises:
            ModelFileError: Then; names the group.
        """
        left = []

        def look(name: str, held: Any) -> None:
            if hasattr(held, "shape") and name not in self._taken and "seed_generator" not in name:
                left.append(name)

        layers = self._file.get("layers")
        if layers is not None:
            layers.visititems(lambda name, held: look(f"layers/{name}", held))
        if left:
            raise ModelFileError(f"the file holds weights that no layer has: {left[0]}")


def _shapes(shapes: Sequence[tuple[int, ...]]) -> str:
    return ", ".join(str(shape) for shape in shapes) or "none"


def assign(model: Any, placements: Sequence[Placement], store: WeightStore) -> None:
    """Gives a built model the file's weights.

    Args:
        model: The Keras 2 model.
        placements: All of its layers that have weights.
        store: The file's weights.

    Raises:
        ModelFileError: If a layer's weights are missing or have other shapes, or some are left over.
    """
    for placement in placements:
        layer = model
        for step in placement.layer:
            layer = getattr(layer, step[1:]) if step.startswith(".") else layer.get_layer(step)
        try:
            layer.set_weights(store.arrays(placement.groups, [tuple(weight.shape) for weight in layer.weights]))
        except UnknownHereError as error:
            raise ModelFileError(f"{placement.label} {error}") from error
    store.refuse_left_over()
