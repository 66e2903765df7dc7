"""Registries: names of things that are imported when one is asked for. The standard library alone."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any


class LazyRegistry(Mapping[str, Any]):
    """A read-only mapping of names to things, each imported at its first use.

    Listing the names and asking whether a name is known import nothing, so a configuration can be checked without
    TensorFlow.

    Examples:
        >>> shapes = LazyRegistry({"flat": "json:dumps"})
        >>> list(shapes), "round" in shapes
        (['flat'], False)
        >>> shapes["flat"]([1])
        '[1]'
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        """Keeps the places of things.

        Args:
            places: Name -> `module:attribute`.
        """
        self._places = dict(places)

    def __getitem__(self, name: str) -> Any:
        module, _, attribute = self._places[name].partition(":")
        return getattr(importlib.import_module(module), attribute)

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __or__(self, others: LazyRegistry) -> LazyRegistry:
        return LazyRegistry({**self._places, **others._places})

    def __repr__(self) -> str:
        return f"LazyRegistry({', '.join(self._places)})"
