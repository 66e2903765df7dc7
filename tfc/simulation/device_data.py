"""Data files for export and benchmark: calibration inputs and test inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from tfc.base.atomic_write import atomic_write
from tfc.base.errors import DataError
from tfc.base.run_files import CALIBRATION
from tfc.config import ExperimentConfig
from tfc.data.dataset import Dataset
from tfc.data.pixels import to_float
from tfc.seeds import Purpose, generator
from tfc.simulation.configured_data import load_dataset

CALIBRATION_EXAMPLES = 256
"""Number of inputs in the representative data set that a run writes beside its model."""


def write_device_data(
    config: ExperimentConfig, out: Path, calibration_examples: int = CALIBRATION_EXAMPLES
) -> list[Path]:
    """Writes the data for export and benchmark: calibration.npz from training data, test.npz from the test set.

    Args:
        config: Names the data set.
        out: Folder for the two files.
        calibration_examples: Training inputs in calibration.npz (the representative data set of quantisation).

    Returns:
        The two paths. calibration.npz holds x; test.npz holds x and y; x is float32 as the models take it.

    Raises:
        DataError: If the data set is missing, or has fewer examples than asked for.
    """
    dataset = load_dataset(config)
    if not 1 <= calibration_examples <= len(dataset.x_train):
        raise DataError(
            f"--calibration-examples must be between 1 and {len(dataset.x_train)}; found {calibration_examples}"
        )
    write_calibration(dataset, config.seed, calibration_examples, out)
    with atomic_write(out / "test.npz") as temporary:
        np.savez_compressed(temporary, x=to_float(tf.constant(dataset.x_test)).numpy(), y=dataset.y_test)
    return [out / CALIBRATION, out / "test.npz"]


def write_calibration(dataset: Dataset, seed: int, count: int, out: Path) -> None:
    """Writes up to `count` clients' inputs to the folder, which only a simulation can read."""
    chosen = generator(seed, Purpose.CALIBRATION).permutation(len(dataset.x_train))[:count]
    with atomic_write(out / CALIBRATION) as temporary:
        np.savez_compressed(temporary, x=to_float(tf.constant(dataset.x_train[np.sort(chosen)])).numpy())
