"""Examples from `tf.data` pipelines and from TFF's `ClientData`, read into memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfc.base.errors import DataError
from tfc.data.examples import Examples

_FIELDS = (("x", "y"), ("pixels", "label"), ("image", "label"))
"""Names of inputs and labels in elements: Keras' and ours, TFF's EMNIST, TFDS'."""
_BATCH = 1024


def is_client_data(value: Any) -> bool:
    """Whether a value is used as a `tff.simulation.datasets.ClientData` is.

    Args:
        value: Any.
    """
    return hasattr(value, "client_ids") and callable(getattr(value, "create_tf_dataset_for_client", None))


def examples_of_clients(clients: Any, where: str) -> Examples:
    """Reads all clients of a `ClientData`; they become the owners, numbered in the order of `client_ids`.

    Args:
        clients: Anything with client_ids and create_tf_dataset_for_client.
        where: What to call it in an error.

    Raises:
        DataError: If there are no clients, or elements are no pairs of an input and a label.
    """
    names = list(clients.client_ids)
    if not names:
        raise DataError(f"{where}: has no clients")
    parts = [examples_of_pipeline(clients.create_tf_dataset_for_client(name), f"{where}: {name}") for name in names]
    if len({(part.x.shape[1:], part.y.shape[1:]) for part in parts}) > 1:
        raise DataError(f"{where}: clients' examples differ in shape")
    return Examples(
        np.concatenate([part.x for part in parts]),
        np.concatenate([part.y for part in parts]),
        np.repeat(np.arange(len(parts), dtype=np.int32), [len(part.y) for part in parts]),
    )


def examples_of_pipeline(pipeline: tf.data.Dataset, where: str) -> Examples:
    """Reads a pipeline of (input, label) elements, single or in batches.

    Args:
        pipeline: Elements are pairs, or dictionaries of x and y, or of pixels (or image) and label.
        where: What to call it in an error.

    Raises:
        DataError: If elements are something else, differ in shape, or never end.
    """
    x_spec, y_spec = _fields(pipeline.element_spec, where)
    if not isinstance(x_spec, tf.TensorSpec) or not isinstance(y_spec, tf.TensorSpec):
        raise DataError(f"{where}: inputs and labels must be dense tensors, found {x_spec} and {y_spec}")
    if pipeline.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise DataError(f"{where}: never ends: leave out repeat(), or add take(examples)")
    if not _in_batches(x_spec.shape, y_spec.shape):
        pipeline = pipeline.batch(_BATCH)
    # One of no examples has the shapes of the others.
    found = [
        tuple(np.zeros((0, *(size or 0 for size in spec.shape[1:])), spec.dtype.as_numpy_dtype) for spec in fields)
        for fields in [_fields(pipeline.element_spec, where)]
    ]
    try:
        read = [tuple(field.numpy() for field in _fields(element, where)) for element in pipeline]
        x, y = (np.concatenate(parts) for parts in zip(*(read or found), strict=True))
    except (tf.errors.OpError, ValueError) as error:
        raise DataError(f"{where}: elements can't be joined: {_first_line(error)}") from error
    return Examples(x, y)


def _fields(element: Any, where: str) -> tuple[Any, Any]:
    if isinstance(element, Mapping):
        for x_name, y_name in _FIELDS:
            if x_name in element and y_name in element:
                return element[x_name], element[y_name]
        found = f"entries {', '.join(map(str, element))}"
    elif isinstance(element, tuple) and len(element) == 2:
        return element
    else:
        found = f"{len(element)} parts" if isinstance(element, tuple) else "inputs without labels"
    names = ", ".join("/".join(pair) for pair in _FIELDS)
    raise DataError(f"{where}: elements must be (input, label) or have entries {names}; found {found}")


def _in_batches(x: tf.TensorShape, y: tf.TensorShape) -> bool:
    """Whether elements are batches: labels alone have no axis, and one-hot labels none that inputs have too."""
    if y.rank is None or x.rank is None or y.rank == 0 or x.rank == 0:
        return False
    return y.rank > 1 or x[0] == y[0]


def _first_line(error: Exception) -> str:
    text = getattr(error, "message", None) or str(error)
    return str(text).splitlines()[0] if text else type(error).__name__
