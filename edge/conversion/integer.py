"""`int8`: the converter's full-integer model with its kernels restored to their palettes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge.conversion.channels import per_channel
from edge.conversion.flatbuffer import FlatbufferModel, KernelUse
from edge.conversion.keras_kernels import FoldedKernel
from edge.conversion.palette_codes import DEAD, CodedKernel, is_worth_it, least_scales, palette_codes
from edge.formats.kernel_operators import LAYERS_WITH_TABLES
from tfc.base.errors import ModelFileError

_VANISHING = 1e-4
_SAME_FACTOR = 1e-3
"""Relative difference up to which channels' scales count as equal, a tenth of an int8 step."""


def _pairs(reference: FlatbufferModel, quantized: FlatbufferModel) -> dict[KernelUse, KernelUse]:
    """The quantised counterpart of each use of a kernel in the float model."""
    ours, theirs = reference.kernel_uses(), quantized.kernel_uses()
    same = len(ours) == len(theirs) and all(
        (a.operator, tuple(reference.tensor(a.kernel).shape)) == (b.operator, tuple(quantized.tensor(b.kernel).shape))
        for a, b in zip(ours, theirs, strict=True)
    )
    if not same:
        raise ModelFileError("the converter's int8 and float32 models have different operators")
    return dict(zip(ours, theirs, strict=True))


def _for_one_scale(coded: CodedKernel) -> CodedKernel | None:
    """A kernel's codes with one scale for all channels, as dense kernels need; None where channels' scales differ."""
    highest = float(coded.scales.max())
    # A unit whose weights are all zero has no factor of its own; under the common scale it stays almost zero.
    told = coded.scales[coded.scales > _VANISHING * highest]
    if highest - float(told.min()) > _SAME_FACTOR * highest:
        return None
    return coded._replace(scales=np.array([highest], np.float32))


def _set(
    model: FlatbufferModel, use: KernelUse, coded: CodedKernel, input_scale: float, bias: np.ndarray | None
) -> None:
    """Replaces a kernel's codes and scales, and requantises its bias."""
    model.set_constant(use.kernel, coded.codes, coded.scales, coded.channel_axis)
    if bias is not None and use.bias is not None:
        scales = (np.float32(input_scale) * coded.scales).astype(np.float32)
        model.set_constant(use.bias, np.round(bias / scales.astype(np.float64)).astype(np.int32), scales, 0)


def _without_dead_channels(coded: CodedKernel, least: np.ndarray) -> CodedKernel | None:
    """A kernel with zeros in its dead channels, which the converter gives codes of the full range; None without any."""
    highest = float(coded.scales.max())
    dead = coded.scales < DEAD * highest
    if len(coded.scales) == 1 or not dead.any():
        return None
    codes = np.where(per_channel(dead, coded.codes.ndim, coded.channel_axis), np.int8(0), coded.codes)
    scales = np.where(dead, np.maximum(least, highest), coded.scales).astype(np.float32)
    return CodedKernel(codes, scales, coded.channel_axis)


@dataclass(frozen=True)
class PalettizedInt8:
    """A full-integer model with its kernels in their palettes.

    Attributes:
        model: The model.
        lost: Layers whose palettes could not be kept: dense ones that BatchNorm was folded into channel by channel,
            since TFLite gives dense kernels one scale.
        plain: Layers whose few values are no palette: the converter's codes have less error.
    """

    model: FlatbufferModel
    lost: list[str]
    plain: list[str]


def to_palettized_int8(
    reference: FlatbufferModel, quantized: FlatbufferModel, folded: Sequence[FoldedKernel]
) -> PalettizedInt8:
    """Replaces the kernels of an int8 model by codes of their palettes, and requantises the biases accordingly.

    Kernels of LSTMs and embeddings stay as they are: they are not folded, and the converter's one scale per constant
    keeps their palettes.

    Source: TensorFlow Lite 8-bit quantization specification (a bias has scale input x weight and zero point 0).

    Args:
        reference: The float32 model, for the biases' exact values.
        quantized: The converter's int8 model.
        folded: The palettized kernels of `reference`.

    Raises:
        ModelFileError: If the two files do not have the same operators.
    """
    result = PalettizedInt8(quantized.copy(), [], [])
    palettized = {each.use: each for each in folded}
    for ours, use in _pairs(reference, quantized).items():
        values, codes = reference.constant(ours.kernel), quantized.constant(use.kernel)
        if use.operator not in LAYERS_WITH_TABLES or values is None or codes is None or codes.dtype != np.int8:
            continue
        bias = None if ours.bias is None else reference.constant(ours.bias)
        input_scale = float(quantized.scales(use.input)[0])
        least = least_scales(bias, input_scale, values.shape[use.channel_axis])
        plain = CodedKernel(codes, quantized.scales(use.kernel), use.channel_axis)
        coded = _without_dead_channels(plain, least)
        each = palettized.get(ours)
        if each is not None:
            found: CodedKernel | None = palette_codes(each, least)
            if len(plain.scales) == 1 and found is not None:
                found = _for_one_scale(found)
            if found is None:
                result.lost.append(each.kernel.layer)
            elif not is_worth_it(found, plain, values):
                result.plain.append(each.kernel.layer)
            else:
                coded = found
        if coded is not None:
            _set(result.model, use, coded, input_scale, bias)
    return result
