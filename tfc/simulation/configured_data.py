"""The configured data, divided among clients. Nothing here needs TensorFlow, unless a data set itself does.

So a partition that can't work is refused before anything slow is imported.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from tfc.base.errors import DataError
from tfc.config import DataConfig, ExperimentConfig
from tfc.data.dataset import Dataset, resized
from tfc.data.input_kinds import IMAGE
from tfc.data.partition import Clients
from tfc.registries import DATASETS, NUMPY_SETS, PARTITIONS, SENSOR_SETS

_KEYS_OF_SOME = {"kind": ("npz",), "npz_keys": ("npz",), "test_fraction": ("npz", "images"), "fold": tuple(SENSOR_SETS)}
"""Keys that only some loaders read."""


def load_dataset(config: ExperimentConfig, data: Any = None) -> Dataset:
    """Loads the configured data set, or takes one in memory; images padded and channels repeated as configured.

    Args:
        config: Names the data set and its shape.
        data: What `as_dataset` takes, in place of the data set that the configuration names; None for that one.

    Raises:
        DataError: If it is missing, damaged, can't be brought to the configured shape, or is of another kind than
            settings are for.

    Examples:
        >>> import tfc
        >>> dataset = tfc.load_dataset(tfc.load("demo", {"data.channels": 3}))
        >>> dataset.x_test.shape[1:], dataset.x_test.dtype
        ((28, 28, 3), dtype('uint8'))
    """
    if data is not None:
        from tfc.data.in_memory import as_dataset

        dataset = as_dataset(data, config=config.data)
    else:
        data_dir = Path(config.data.data_dir).expanduser() if config.data.data_dir else None
        _check_keys_of_some(config)
        dataset = DATASETS[config.data.dataset](data_dir, with_fold(config))
    if config.training.augmentation != "none" and dataset.kind != IMAGE:
        raise DataError(
            f"training.augmentation = {config.training.augmentation!r} is for images; {dataset.name} holds inputs of "
            f"kind {dataset.kind}"
        )
    return resized(dataset, config.data.image_size, config.data.channels)


FOLDS = 5
"""Parts of a cross-validation, in each of which other people are held out."""


def with_fold(config: ExperimentConfig) -> DataConfig:
    """Returns the configuration of the data with the fold that the seed stands for, where none is named.

    So the seeds 0 to 4 are a cross-validation, and means over seeds are means over folds.

    Args:
        config: The experiment.
    """
    data = config.data
    if data.fold >= 0 or data.dataset not in SENSOR_SETS:
        return data
    return dataclasses.replace(data, fold=config.seed % FOLDS)


def _check_keys_of_some(config: ExperimentConfig) -> None:
    """Refuses settings that the data set would not look at."""
    data, usual = config.data, DataConfig()
    for name, readers in _KEYS_OF_SOME.items():
        value = getattr(data, name)
        if value != getattr(usual, name) and data.dataset not in readers:
            raise DataError(f"data.{name} = {value!r} is for data.dataset = {' or '.join(readers)}, not {data.dataset}")


def load_clients(config: ExperimentConfig, dataset: Dataset) -> Clients:
    """Divides the training set among clients as configured; nothing is copied yet.

    Raises:
        DataError: If there are too few examples.
    """
    parts = PARTITIONS[config.data.partition](dataset.y_train, dataset.owners, config.data, config.seed)
    return Clients(dataset.x_train, dataset.y_train, parts, config.data.validation_fraction, config.seed)


def refuse_impossible_clients(config: ExperimentConfig) -> None:
    """Refuses data that are missing or can't be divided as configured; data sets that are slow to read are left alone.

    The run reads them again: half a second at its start for an error within two.

    Args:
        config: The experiment.

    Raises:
        DataError: If the data are missing, damaged or too few.
    """
    if config.data.dataset in NUMPY_SETS:
        load_clients(config, load_dataset(config))
