"""Examples from Hugging Face `datasets` objects, used by what they offer: nothing of the package is imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tfc.base.errors import DataError
from tfc.config import DataConfig
from tfc.data.examples import Examples
from tfc.data.image_stack import stacked_images
from tfc.data.named_arrays import as_array

_LABELS = ("label", "labels", "fine_label", "y")
_INPUTS = ("image", "img", "x", "pixel_values", "input_ids", "features")


def is_table_of_columns(value: Any) -> bool:
    """Whether a value is used as a `datasets.Dataset` is.

    Args:
        value: Any.
    """
    return not isinstance(value, Mapping) and hasattr(value, "features") and hasattr(value, "column_names")


def examples_of_columns(table: Any, where: str, data: DataConfig) -> Examples:
    """Reads an input column (images of PIL, or arrays) and a label column.

    Args:
        table: Anything with features and columns by name.
        where: What to call it in an error.
        data: image_size (images of PIL are resized to it), channels.

    Raises:
        DataError: If it is not clear which columns these are, or inputs differ in shape.
    """
    columns = list(table.features)
    with_names = [name for name in columns if getattr(table.features[name], "names", None)]
    label = _only([name for name in _LABELS if name in columns][:1] or with_names, "labels", columns, where)
    others = [name for name in columns if name != label]
    input_ = _only([name for name in _INPUTS if name in others][:1] or others, "inputs", columns, where)
    names = tuple(getattr(table.features[label], "names", None) or ())
    values = list(table[input_])
    if values and hasattr(values[0], "convert") and hasattr(values[0], "mode"):
        x = stacked_images(_pixels(values, data.channels), data.image_size, where)
    else:
        x = as_array(values, f"{where}: column {input_}")
    return Examples(x, as_array(list(table[label]), f"{where}: column {label}"), class_names=names)


def _only(found: list[str], what: str, columns: list[str], where: str) -> str:
    if len(found) != 1:
        raise DataError(
            f"{where}: which column has the {what} is not clear among {', '.join(columns)}: keep one column of inputs "
            "named x (or image) and one of labels named label, or give arrays"
        )
    return found[0]


def _pixels(images: list[Any], channels: int) -> Iterator[tuple[str, np.ndarray]]:
    """PIL's images with indices into a palette, bits, or transparency become grey or RGB."""
    modes = {image.mode for image in images}
    mode = {1: "L", 3: "RGB"}.get(channels, "L" if modes <= {"L", "1"} else "RGB")
    for number, image in enumerate(images):
        yield f"image {number}", np.asarray(image if image.mode == mode else image.convert(mode))
