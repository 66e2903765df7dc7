"""A palettized kernel as int8 codes: one set of codes for all output channels, whatever BatchNorm made of them.

Folding multiplies each output channel by a factor. With scale[channel] = |factor[channel]| x step, and one step for the
kernel, the codes are those of the palette itself, mirrored where the factor is negative: channels have no ranges of
their own. The largest centroid need not have code 127: the step is searched for the smallest error at the centroids.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edge.conversion.channels import channels_last, per_channel
from edge.conversion.keras_kernels import FoldedKernel

LARGEST_CODE = 127
_LARGEST_CODES = np.arange(80.0, LARGEST_CODE + 0.125, 0.25)
"""Candidates for the largest centroid's code, before rounding."""
_LARGEST_BIAS = 2.0**30
_LEAST_SCALE = 2.0**-20
"""Scale of a channel with a factor of (almost) zero, as a share of the kernel's largest scale."""
DEAD = 2.0**-40
"""Largest weight of a channel that adds nothing, as a share of the kernel's largest weight: what regularisation leaves
of a channel that is not used, some 1e-30."""
_BITS_PER_HALVING = 2.0
"""A code of one more bit has a quarter of the mean square error."""


class CodedKernel(NamedTuple):
    """A kernel as integers.

    Attributes:
        codes: int8, in the kernel's shape.
        scales: float32 (channels,), or (1,) for all.
        channel_axis: Axis of the output channels.
    """

    codes: np.ndarray
    scales: np.ndarray
    channel_axis: int

    @property
    def values(self) -> np.ndarray:
        """The weights that the codes stand for, float32."""
        scales = self.scales if len(self.scales) == 1 else per_channel(self.scales, self.codes.ndim, self.channel_axis)
        return self.codes * scales.astype(np.float32)


def palette_step(kernel: np.ndarray) -> float:
    """Returns the step, of a few hundred, whose multiples are closest to a kernel's values in the mean square.

    Args:
        kernel: float32, with few distinct values.
    """
    palette, counts = np.unique(kernel, return_counts=True)
    largest = float(np.abs(palette).max(initial=0.0))
    if not largest:
        return 1.0
    steps = largest / _LARGEST_CODES
    exact = palette.astype(np.float64)[:, None] / steps
    errors = (counts[:, None] * ((np.round(exact) - exact) * steps) ** 2).sum(axis=0)
    return float(steps[errors.argmin()])


def palette_codes(folded: FoldedKernel, least_scales: np.ndarray | None = None) -> CodedKernel:
    """Codes a folded kernel exactly in its palette, with a scale per output channel.

    Args:
        folded: The kernel.
        least_scales: float32 (channels,), lower limits of the scales; None for no limit but that of channels whose
            factor is almost zero.

    Returns:
        The codes; where a scale had to be raised, the channel's weights are almost zero, and all of them get the
        code of the centroid that is nearest to zero. Embeddings have one scale for all rows, and no factors.
    """
    palette, axis = folded.kernel.palette, folded.use.channel_axis
    assert palette is not None
    step = palette_step(folded.kernel.values)
    codes = np.round(folded.kernel.values / step).astype(np.int8)
    codes *= per_channel(np.where(folded.factors < 0, -1, 1).astype(np.int8), codes.ndim, axis)
    scales = np.abs(folded.factors) * step
    least = np.full_like(scales, max(float(scales.max(initial=0.0)) * _LEAST_SCALE, np.finfo(np.float32).tiny))
    if least_scales is not None:
        least = np.maximum(least, least_scales)
    vanishing = per_channel(scales < least, codes.ndim, axis)
    quietest = palette[np.abs(palette).argmin()]
    codes = np.where(vanishing, np.int8(round(float(quietest) / step)), codes)
    return CodedKernel(codes, np.maximum(scales, least).astype(np.float32), axis)


def plain_codes(values: np.ndarray, channel_axis: int, *, one_scale: bool = False) -> CodedKernel:
    """Codes a kernel without palette: each output channel over its own range, all zeros where it is dead.

    Args:
        values: float32, in a .tflite file's shape.
        channel_axis: Axis of the output channels.
        one_scale: Whether all channels share a range.
    """
    largest = np.abs(channels_last(values, channel_axis)).max(axis=0)
    highest = float(largest.max(initial=0.0)) or 1.0
    dead = largest < DEAD * highest
    if one_scale:
        scales = np.array([highest], np.float32) / LARGEST_CODE
        return CodedKernel(np.round(values / scales).astype(np.int8), scales, channel_axis)
    scales = np.where(dead, highest, largest).astype(np.float32) / LARGEST_CODE
    codes = np.round(values / per_channel(scales, values.ndim, channel_axis)).astype(np.int8)
    return CodedKernel(codes, scales, channel_axis)


def _entropy(codes: np.ndarray) -> float:
    """Bits per code, as an entropy coder needs them."""
    shares = np.unique(codes, return_counts=True)[1] / codes.size
    return float(-(shares * np.log2(shares)).sum())


def _relative_error(coded: CodedKernel, values: np.ndarray) -> float:
    """Mean over the channels of the squared error, each relative to the channel's own weights."""
    ours, exact = (channels_last(each, coded.channel_axis).astype(np.float64) for each in (coded.values, values))
    energy = (exact**2).sum(axis=0)
    alive = energy > DEAD**2 * energy.max(initial=0.0)
    return float((((ours - exact) ** 2).sum(axis=0)[alive] / energy[alive]).mean()) if alive.any() else 0.0


def is_worth_it(palette: CodedKernel, plain: CodedKernel, values: np.ndarray) -> bool:
    """Whether palette codes are the better ones: less error than plain codes have at as many bits per weight.

    A pruned kernel may have few distinct values by chance; their codes need hardly fewer bits, and a step for the whole
    kernel loses its quiet channels.

    Args:
        palette: The kernel in codes of its palette.
        plain: The kernel in codes over each channel's range.
        values: float32, the kernel itself.
    """
    saved_bits = _entropy(plain.codes) - _entropy(palette.codes)
    allowed = 2.0 ** (_BITS_PER_HALVING * max(saved_bits, 0.0))
    return _relative_error(palette, values) <= max(_relative_error(plain, values) * allowed, 1e-9)


def least_scales(bias: np.ndarray | None, input_scale: float, channels: int) -> np.ndarray:
    """Returns the smallest scales with which a bias fits into 32 bits.

    Args:
        bias: float32 (channels,), or None.
        input_scale: Scale of the operator's input.
        channels: Number of output channels.
    """
    if bias is None:
        return np.zeros(channels, np.float32)
    return (np.abs(bias.astype(np.float64)) / (input_scale * _LARGEST_BIAS)).astype(np.float32)
