"""`int8`: the converter's full-integer model with its kernels restored to their palettes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge.conversion.flatbuffer import FlatbufferModel, KernelUse
from edge.conversion.keras_kernels import FoldedKernel
from edge.conversion.palette_codes import CodedKernel, least_scales, palette_codes
from tfc.base.errors import ModelFileError

_VANISHING = 1e-4
_SAME_FACTOR = 1e-3
"""Relative difference up to which channels' scales count as equal, a tenth of an int8 step."""


def _pairs(reference: FlatbufferModel, quantized: FlatbufferModel) -> dict[int, KernelUse]:
    """The quantised counterpart of each kernel operator of the float model, by position in the float model."""
    ours, theirs = reference.kernel_uses(), quantized.kernel_uses()
    same = len(ours) == len(theirs) and all(
        (a.operator, tuple(reference.tensor(a.kernel).shape)) == (b.operator, tuple(quantized.tensor(b.kernel).shape))
        for a, b in zip(ours, theirs, strict=True)
    )
    if not same:
        raise ModelFileError("the converter's int8 and float32 models have different operators")
    return {ours_.position: theirs_ for ours_, theirs_ in zip(ours, theirs, strict=True)}


def _for_one_scale(coded: CodedKernel) -> CodedKernel | None:
    """A kernel's codes with one scale for all channels, as dense kernels need; None where channels' scales differ."""
    highest = float(coded.scales.max())
    # A unit whose weights are all zero has no factor of its own; under the common scale it stays almost zero.
    told = coded.scales[coded.scales > _VANISHING * highest]
    if highest - float(told.min()) > _SAME_FACTOR * highest:
        return None
    return coded._replace(scales=np.array([highest], np.float32))


def to_palettized_int8(
    reference: FlatbufferModel, quantized: FlatbufferModel, folded: Sequence[FoldedKernel]
) -> tuple[FlatbufferModel, list[str]]:
    """Replaces the kernels of an int8 model by codes of their palettes, and requantises the biases accordingly.

    Source: TensorFlow Lite 8-bit quantization specification (a bias has scale input x weight and zero point 0).

    Args:
        reference: The float32 model, for the biases' exact values.
        quantized: The converter's int8 model.
        folded: The palettized kernels of `reference`.

    Returns:
        The model, and the layers whose kernels could not be kept in their palettes: dense ones that BatchNorm was
        folded into channel by channel, since TFLite gives dense kernels one scale.

    Raises:
        ModelFileError: If the two files do not have the same operators.
    """
    model = quantized.copy()
    counterparts = _pairs(reference, quantized)
    lost = []
    for each in folded:
        use = counterparts[each.use.position]
        bias = None if each.use.bias is None else reference.constant(each.use.bias)
        input_scale = float(quantized.scales(use.input)[0])
        coded: CodedKernel | None = palette_codes(each, least_scales(bias, input_scale, len(each.factors)))
        if len(quantized.scales(use.kernel)) == 1 and coded is not None:
            coded = _for_one_scale(coded)
        if coded is None:
            lost.append(each.kernel.layer)
            continue
        model.set_constant(use.kernel, coded.codes, coded.scales, coded.channel_axis)
        if bias is not None and use.bias is not None:
            scales = (np.float32(input_scale) * coded.scales).astype(np.float32)
            model.set_constant(use.bias, np.round(bias / scales.astype(np.float64)).astype(np.int32), scales, 0)
    return model, lost
