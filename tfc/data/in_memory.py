"""Data sets from what people hold in a notebook: arrays, pipelines, clients, columns, files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfc.base.errors import DataError
from tfc.config import DataConfig
from tfc.data.client_split import numbered_owners, owners_of_clients
from tfc.data.dataset import Dataset
from tfc.data.examples import Examples, dataset_of, owned
from tfc.data.hugging_face import examples_of_columns, is_table_of_columns
from tfc.data.image_folder import images
from tfc.data.named_arrays import ARRAYS, as_array, dataset_of_arrays, wanted_names
from tfc.data.npz_file import npz
from tfc.data.tf_datasets import examples_of_clients, examples_of_pipeline, is_client_data

_TAKEN = (
    "taken are x_train, y_train, x_test, y_test (a dictionary or four arrays), a pair (train, test) of (x, y) arrays, "
    "tf.data datasets, TFF ClientData or Hugging Face datasets, an NPZ file, a folder of images"
)
_SHOWN = 6


def as_dataset(
    data: Any,
    *,
    name: str = "data",
    class_names: Sequence[str] = (),
    owners: Any = None,
    clients: Sequence[Any] | None = None,
    config: DataConfig | None = None,
) -> Dataset:
    """Returns the data set that an object of a known form holds.

    Args:
        data: One of: a dictionary or a tuple of four arrays x_train, y_train, x_test, y_test; a pair (train, test) or a
            dictionary of train and test, whose parts are (x, y) arrays, `tf.data` datasets of (x, y) elements, TFF
            `ClientData` or Hugging Face `datasets`; one such part, of which `config.test_fraction` becomes the test
            part; path of an NPZ file or of a folder of images; a `Dataset`.
        name: Name of the data set in reports.
        class_names: Names of the classes in their order; empty for those that the data know.
        owners: Integers or texts, one for each training example; `data.partition=owner` keeps examples of an owner at
            one client.
        clients: One array of example numbers per client, likewise; examples that no client has are left out.
        config: kind, npz_keys, test_fraction, image_size, channels; None for the defaults.

    Raises:
        DataError: If the data are of no such form, or can't be trained on; says what was found.

    Examples:
        >>> import numpy as np
        >>> import tfc
        >>> x, y = np.zeros((6, 8, 8)), [0, 1, 2, 0, 1, 2]
        >>> tfc.as_dataset((x, y, x, y)).input_shape
        (8, 8, 1)
    """
    config = config or DataConfig()
    if owners is not None and clients is not None:
        raise DataError(f"{name}: owners and clients both say who holds which example: give one of them")
    if isinstance(data, (str, Path)):
        data = _of_path(Path(data).expanduser(), config)
    if isinstance(data, Dataset):
        if len(class_names):
            raise DataError(f"{name}: class_names are for arrays; a data set that is loaded has its own")
        numbers = _owner_numbers(owners, clients, data.y_train, name)
        return data if numbers is None else owned(data, numbers, name)
    if isinstance(data, (tuple, list)) and len(data) == len(ARRAYS) and all(map(_is_array, data)):
        data = dict(zip(ARRAYS, data, strict=True))
    if isinstance(data, Mapping) and not {"train", "test"} & set(data):
        key = wanted_names(list(data), name, config)[0]
        numbers = _owner_numbers(owners, clients, data[key], f"{name}: {key}")
        return dataset_of_arrays(name, data, name, config, class_names=class_names, owners=numbers)
    train, test = _parts(data, name)
    examples = _examples(train, f"{name}: train", config)
    numbers = _owner_numbers(owners, clients, examples.x, name)
    if numbers is not None:
        examples = Examples(examples.x, examples.y, numbers, examples.class_names)
    others = None if test is None else _examples(test, f"{name}: test", config)
    if others is not None and examples.class_names != others.class_names and others.class_names:
        raise DataError(f"{name}: training and test part differ in their class names")
    return dataset_of(name, examples, others, name, config, class_names=class_names)


def _of_path(path: Path, config: DataConfig) -> Dataset:
    if path.is_dir():
        return images(path, config)
    if not path.is_file():
        raise DataError(f"{path}: no such file or folder")
    return npz(path, config)


def _owner_numbers(owners: Any, clients: Sequence[Any] | None, train: Any, where: str) -> np.ndarray | None:
    """Returns an owner for each item of `train`; None where nobody said one."""
    if owners is None and clients is None:
        return None
    array = as_array(train, where)
    count = len(array) if array.ndim else 0
    return numbered_owners(owners, count, where) if clients is None else owners_of_clients(clients, count, where)


def _parts(data: Any, name: str) -> tuple[Any, Any]:
    """Returns the training and the test part; the latter is None where there is but one part."""
    if _is_part(data):
        return data, None
    if isinstance(data, Mapping) and "train" in data:
        extra = sorted(map(str, set(data) - {"train", "test"}))
        if extra and "test" not in data:
            raise DataError(f"{name}: has train and {', '.join(extra)}, no test: name the part for the test 'test'")
        return data["train"], data.get("test")
    if isinstance(data, (tuple, list)) and len(data) == 2 and all(map(_is_part, data)):
        return data[0], data[1]
    raise DataError(f"{name}: found {_described(data)}; {_TAKEN}")


def _is_part(value: Any) -> bool:
    pair = isinstance(value, (tuple, list)) and len(value) == 2 and all(map(_is_array, value))
    return pair or isinstance(value, tf.data.Dataset) or is_client_data(value) or is_table_of_columns(value)


def _is_array(value: Any) -> bool:
    """Arrays, tensors, frames; lists of numbers or texts, since labels come as such, and lists of arrays."""
    if isinstance(value, list):
        return bool(value) and not isinstance(value[0], tf.data.Dataset) and not is_client_data(value[0])
    return hasattr(value, "__array__") and not is_table_of_columns(value)


def _examples(part: Any, where: str, config: DataConfig) -> Examples:
    if isinstance(part, tf.data.Dataset):
        return examples_of_pipeline(part, where)
    if is_client_data(part):
        return examples_of_clients(part, where)
    if is_table_of_columns(part):
        return examples_of_columns(part, where, config)
    if _is_part(part):
        return Examples(as_array(part[0], f"{where}: x"), as_array(part[1], f"{where}: y"))
    raise DataError(f"{where}: found {_described(part)}; {_TAKEN}")


def _described(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        kinds = ", ".join(type(item).__name__ for item in value[:_SHOWN])
        return f"a {type(value).__name__} of {len(value)} ({kinds}{', ...' if len(value) > _SHOWN else ''})"
    if isinstance(value, Mapping):
        return f"a dictionary of {', '.join(map(str, value)) or 'nothing'}"
    shape = getattr(value, "shape", None)
    return f"one {type(value).__name__}" + (f" of shape {tuple(shape)}" if shape is not None else "")
