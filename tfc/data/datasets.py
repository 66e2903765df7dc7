"""All data sets by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tfc.config import DataConfig
from tfc.data.cifar import cifar10, cifar100
from tfc.data.dataset import Dataset
from tfc.data.images import fashion_mnist, mnist5k, npz, pathmnist
from tfc.data.speech_commands import speech_commands
from tfc.data.spoken_words import spoken_words
from tfc.data.voxforge import voxforge

Loader = Callable[[Path | None, DataConfig], Dataset]


def _without_options(load: Callable[[Path | None], Dataset]) -> Loader:
    return lambda data_dir, _: load(data_dir)


DATASETS: dict[str, Loader] = {
    "mnist5k": _without_options(mnist5k),
    "fashion_mnist": _without_options(fashion_mnist),
    "cifar10": _without_options(cifar10),
    "cifar100": _without_options(cifar100),
    "pathmnist": _without_options(pathmnist),
    "npz": _without_options(npz),
    "speech_commands": speech_commands,
    "voxforge": voxforge,
    "spoken_words": spoken_words,
}
"""Loaders by name: (data_dir, configuration of the data) -> Dataset."""
