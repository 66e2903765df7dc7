"""Kinds of out-of-distribution inputs by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tfc.data.ood import OodFn, image_folder, procedural_images
from tfc.data.ood_audio import audio_folder, procedural_audio


class OodSource(NamedTuple):
    """Two ways to one kind of inputs.

    Attributes:
        procedural: (examples, batch size, input shape, seed) -> pipeline that needs no files.
        folder: (folder, examples, batch size, input shape) -> pipeline of the files in it.
    """

    procedural: Callable[[int, int, tuple[int, ...], int], OodFn]
    folder: Callable[[Path, int, int, tuple[int, ...]], OodFn]


OOD_SOURCES: dict[str, OodSource] = {
    "images": OodSource(procedural_images, image_folder),
    "audio": OodSource(procedural_audio, audio_folder),
}
"""Sources by the names that server.ood takes beside "auto"."""
