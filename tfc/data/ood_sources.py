"""Kinds of out-of-distribution inputs; `tfc.registries.OOD_SOURCES` names them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tfc.data.ood import image_folder, procedural_images
from tfc.data.ood_audio import audio_folder, procedural_audio
from tfc.data.ood_noise import no_files, procedural_noise
from tfc.data.ood_pipeline import OodFn


class OodSource(NamedTuple):
    """Two ways to one kind of inputs.

    Attributes:
        procedural: (examples, batch size, input shape, seed) -> pipeline that needs no files.
        folder: (folder, examples, batch size, input shape) -> pipeline of the files in it.
    """

    procedural: Callable[[int, int, tuple[int, ...], int], OodFn]
    folder: Callable[[Path, int, int, tuple[int, ...]], OodFn]


IMAGES = OodSource(procedural_images, image_folder)
AUDIO = OodSource(procedural_audio, audio_folder)
NOISE = OodSource(procedural_noise, no_files)
