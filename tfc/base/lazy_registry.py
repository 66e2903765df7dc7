"""Registries: names of things that are imported when one is asked for. The standard library alone."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from tfc.base.errors import ConfigError


class LazyRegistry(Mapping[str, Any]):
    """A mapping of names to things, each imported at its first use; things of one's own can be added.

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
        self._added: dict[str, Any] = {}

    def add(self, name: str, thing: Any) -> None:
        """Adds a thing of one's own; an added one of the same name is replaced.

        Args:
            name: Its name.
            thing: What the name stands for.

        Raises:
            ConfigError: If the package itself has a thing of that name.
        """
        if name in self._places:
            raise ConfigError(f"{name!r} is taken: it stands for {self._places[name]}; choose another name")
        self._added[name] = thing

    def remove(self, name: str) -> None:
        """Removes a thing that was added.

        Args:
            name: Its name.

        Raises:
            KeyError: If no such thing was added.
        """
        del self._added[name]

    def __getitem__(self, name: str) -> Any:
        if name in self._added:
            return self._added[name]
        module, _, attribute = self._places[name].partition(":")
        return getattr(importlib.import_module(module), attribute)

    def __contains__(self, name: object) -> bool:
        return name in self._places or name in self._added

    def __iter__(self) -> Iterator[str]:
        return iter((*self._places, *self._added))

    def __len__(self) -> int:
        return len(self._places) + len(self._added)

    def __or__(self, others: LazyRegistry) -> LazyRegistry:
        return LazyRegistry({**self._places, **others._places})

    def __repr__(self) -> str:
        return f"LazyRegistry({', '.join(self)})"
