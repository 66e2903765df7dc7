"""`wo8`: int8 weights that the interpreter dequantises once, when it loads the file; computation stays float."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge.conversion.flatbuffer import FlatbufferModel
from edge.conversion.keras_kernels import FoldedKernel
from edge.conversion.palette_codes import palette_codes, plain_codes

_DEQUANTIZE_VERSION = 5
"""The first one with a scale per channel."""


def to_weight_only(reference: FlatbufferModel, folded: Sequence[FoldedKernel]) -> FlatbufferModel:
    """Codes every kernel of a float32 model in int8, palettized ones exactly in their palette.

    Each kernel is followed by a DEQUANTIZE of a constant, which TFLite evaluates once (its operator keeps the result,
    and XNNPACK unpacks it when it takes the graph over).

    Args:
        reference: The float32 model.
        folded: Its palettized kernels.
    """
    model = reference.copy()
    palettized = {each.use.kernel: each for each in folded}
    for use, values in reference.kernels(np.float32):
        known = palettized.get(use.kernel)
        coded = palette_codes(known) if known else plain_codes(values, use.channel_axis)
        model.set_constant(use.kernel, coded.codes, coded.scales, coded.channel_axis)
        users = model.users(use.kernel)
        unpacked = model.add_tensor(f"{use.kernel}/float", values.shape, np.float32)
        for position in users:
            model.replace_input(position, use.kernel, unpacked)
        model.insert_operator(users[0], "DEQUANTIZE", [use.kernel], [unpacked], version=_DEQUANTIZE_VERSION)
    return model
