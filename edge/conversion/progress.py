"""Progress of what takes its time: a bar on standard error, or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from tqdm import tqdm

_Item = TypeVar("_Item")


class Progress(Protocol):
    """Wraps items that are worked on one after the other."""

    def __call__(self, what: str, items: Sequence[_Item]) -> Iterable[_Item]:
        """Returns the items, and shows how many are done."""


def no_progress(what: str, items: Sequence[_Item]) -> Iterable[_Item]:
    """Shows nothing.

    Args:
        what: What is done.
        items: With what.
    """
    return items


def progress_bar(what: str, items: Sequence[_Item]) -> Iterable[_Item]:
    """Shows a bar on standard error, which vanishes at its end.

    Args:
        what: What is done.
        items: With what.
    """
    shown: Iterable[_Item] = tqdm(items, desc=what, leave=False)
    return shown
