"""Any data set from one NPZ file."""

from __future__ import annotations

from pathlib import Path

from tfc.base.errors import DataError, NpzError
from tfc.base.npz import names_of_arrays, read_arrays
from tfc.config import DataConfig
from tfc.data.dataset import Dataset
from tfc.data.named_arrays import dataset_of_arrays, wanted_names


def npz(data_dir: Path | None = None, data: DataConfig | None = None) -> Dataset:
    """Loads any data set from one NPZ file with x_train, y_train, x_test, y_test.

    The file may hold an array `owner`, an integer or a text for each training example, and `class_names`.

    Args:
        data_dir: The NPZ file.
        data: npz_keys (other names of the arrays), kind, test_fraction.

    Raises:
        DataError: If the file is missing, damaged, or lacks an array.
    """
    data = data or DataConfig()
    if data_dir is None:
        raise DataError("dataset npz needs its file: --set data.data_dir=FILE.npz")
    try:
        arrays = read_arrays(data_dir, wanted_names(names_of_arrays(data_dir), str(data_dir), data))
    except NpzError as error:
        raise DataError(str(error)) from error
    return dataset_of_arrays("npz", arrays, str(data_dir), data)
