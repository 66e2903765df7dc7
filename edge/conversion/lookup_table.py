"""`lut`: an int8 model whose kernels are look-up tables of TensorFlow Lite for Microcontrollers.

Source: TFLM's DECODE operator (custom operator `TFLM_DECODE`): a tensor of packed indices and a tensor of 16 bytes of
metadata followed by tables of values, one per channel.
"""

from __future__ import annotations

import numpy as np

from edge.conversion.channels import channels_last
from edge.conversion.flatbuffer import FlatbufferModel
from edge.formats.kernel_operators import LAYERS_WITH_TABLES
from edge.formats.lookup_table import DECODE_OPERATOR, LookUpTables, pack_indices

_OVERHEAD_BYTES = 320
"""Bytes of two more tensors, their buffers and an operator in a .tflite file."""


def tables_of(codes: np.ndarray, channel_axis: int | None) -> LookUpTables | None:
    """Finds the tables of a kernel.

    Args:
        codes: int8, in the kernel's shape.
        channel_axis: Axis with a table for each channel; None for one table.

    Returns:
        The tables; None where one would need more than 128 values.
    """
    rows = codes.reshape(1, -1) if channel_axis is None else channels_last(codes, channel_axis).T
    found = [np.unique(row, return_inverse=True) for row in rows]
    stride = max(len(values) for values, _ in found)
    width = max(1, (stride - 1).bit_length())
    if width > 7:
        return None
    palette = np.unique(codes)
    if len(palette) <= 1 << width:
        # One palette for the kernel: equal tables, and indices that mean the same everywhere, pack better.
        tables = np.tile(palette, (len(rows), 1))
        indices = np.searchsorted(palette, rows)
    else:
        tables = np.stack([np.pad(values, (0, stride - len(values))) for values, _ in found])
        indices = np.stack([inverse for _, inverse in found])
    if channel_axis is None:
        shaped = indices.reshape(codes.shape)
    else:
        others = [size for axis, size in enumerate(codes.shape) if axis != channel_axis]
        shaped = np.moveaxis(indices.reshape(codes.shape[channel_axis], *others), 0, channel_axis)
    return LookUpTables(tables.astype(np.int8), width, channel_axis, pack_indices(shaped, width))


def to_look_up_tables(integer: FlatbufferModel, *, everything: bool = True) -> FlatbufferModel | None:
    """Replaces kernels by look-up tables where that saves bytes, and removes what no interpreter needs.

    A table's mode follows the tensor's quantisation: one table per channel where there is a scale per channel (TFLM
    gives wrong results for the other combination, without an error), else one.

    Args:
        integer: An int8 model.
        everything: Whether metadata, signatures and the description are removed with the names of inner tensors.

    Returns:
        The model; None where no table would save bytes.
    """
    model = integer.copy()
    count = 0
    for use, codes in integer.kernels(np.int8):
        if use.operator not in LAYERS_WITH_TABLES:
            continue
        by_channel = len(integer.scales(use.kernel)) > 1
        tables = tables_of(codes, use.channel_axis if by_channel else None)
        if tables is None or tables.num_bytes + _OVERHEAD_BYTES >= codes.nbytes:
            continue
        count += 1
        model.make_computed(use.kernel)
        indices = model.add_tensor(f"{use.kernel}/indices", (len(tables.indices),), np.uint8, tables.indices)
        ancillary = tables.ancillary()
        metadata = model.add_tensor(f"{use.kernel}/tables", (len(ancillary),), np.uint8, ancillary)
        model.insert_operator(model.users(use.kernel)[0], DECODE_OPERATOR, [indices, metadata], [use.kernel])
    if not count:
        return None
    model.drop_descriptions(everything=everything)
    return model
