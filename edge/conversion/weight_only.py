"""`wo8`: int8 weights that the interpreter dequantises once, when it loads the file; computation stays float."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from edge.conversion.flatbuffer import FlatbufferModel, KernelUse
from edge.conversion.keras_kernels import FoldedKernel
from edge.conversion.palette_codes import CodedKernel, is_worth_it, palette_codes, plain_codes

_DEQUANTIZE_VERSION = 5
"""The first one with a scale per channel."""


_ONE_SCALE = "GATHER"
"""Embeddings are not folded, and have many short rows: one scale for all."""


def _coded(use: KernelUse, values: np.ndarray, known: FoldedKernel | None) -> tuple[CodedKernel, bool]:
    """A kernel's codes, and whether they are those of its palette."""
    one_scale = use.operator == _ONE_SCALE
    plain = plain_codes(values, use.channel_axis, one_scale=one_scale)
    if known is None:
        return plain, False
    coded = palette_codes(known)
    if one_scale:
        coded = coded._replace(scales=coded.scales.max(keepdims=True))
    return (coded, True) if is_worth_it(coded, plain, values) else (plain, False)


class CodedKernels(NamedTuple):
    """The kernels of a float model in int8.

    Attributes:
        codes: By name.
        plain: Layers whose few values are no palette: codes per channel have less error.
    """

    codes: dict[str, CodedKernel]
    plain: list[str]


def coded_kernels(reference: FlatbufferModel, folded: Sequence[FoldedKernel]) -> CodedKernels:
    """Codes every kernel of a float32 model, palettized ones exactly in their palette where that is better.

    Args:
        reference: The float32 model.
        folded: Its palettized kernels.
    """
    found = CodedKernels({}, [])
    palettized = {each.use.kernel: each for each in folded}
    for use, values in reference.kernels(np.float32):
        known = palettized.get(use.kernel)
        found.codes[use.kernel], in_palette = _coded(use, values, known)
        if known and not in_palette:
            found.plain.append(known.kernel.layer)
    return found


def to_weight_only(reference: FlatbufferModel, codes: Mapping[str, CodedKernel]) -> FlatbufferModel:
    """Puts int8 codes in the place of a float32 model's kernels.

    Each kernel is followed by a DEQUANTIZE of a constant, which TFLite evaluates once (its operator keeps the result,
    and XNNPACK unpacks it when it takes the graph over).

    Args:
        reference: The float32 model.
        codes: Of its kernels, by name.
    """
    model = reference.copy()
    for use, values in reference.kernels(np.float32):
        coded = codes[use.kernel]
        model.set_constant(use.kernel, coded.codes, coded.scales, coded.channel_axis)
        users = model.users(use.kernel)
        unpacked = model.add_tensor(f"{use.kernel}/float", values.shape, np.float32, beside=use.kernel)
        for position in users:
            model.replace_input(position, use.kernel, unpacked)
        model.insert_operator(users[0], "DEQUANTIZE", [use.kernel], [unpacked], version=_DEQUANTIZE_VERSION)
    return model
