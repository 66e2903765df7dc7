"""The kernels of a Keras model with their palettes, and their matches in a converted file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from edge.conversion.channels import channels_last
from edge.conversion.flatbuffer import FlatbufferModel, KernelUse

MAX_PALETTE = 128
"""Distinct values up to which a kernel counts as palettized; look-up tables have at most 7 bits per index."""

_LARGEST_MISFIT = 1e-4
"""Largest difference between a folded kernel and the Keras kernel times its factors, of the kernel's largest value."""


def _depthwise(kernel: np.ndarray) -> np.ndarray:
    return kernel.reshape(1, *kernel.shape[:2], -1)


TO_TFLITE: dict[type[tf.keras.layers.Layer], Callable[[np.ndarray], np.ndarray]] = {
    tf.keras.layers.DepthwiseConv2D: _depthwise,
    tf.keras.layers.Conv2DTranspose: lambda kernel: kernel.transpose(2, 0, 1, 3),
    tf.keras.layers.Conv2D: lambda kernel: kernel.transpose(3, 0, 1, 2),
    tf.keras.layers.Conv1D: lambda kernel: kernel.transpose(2, 0, 1)[:, None],
    tf.keras.layers.Dense: lambda kernel: kernel.T,
}
"""Layout of a layer's kernel in a .tflite file; the first matching class counts."""


@dataclass(frozen=True)
class KerasKernel:
    """A kernel of a Keras model.

    Attributes:
        layer: Name of its layer.
        values: float32, in the shape it has in a .tflite file.
        palette: Its distinct values in ascending order, float32 (clusters,); None where there are too many to call it
            palettized.
    """

    layer: str
    values: np.ndarray
    palette: np.ndarray | None


def kernels_of(model: tf.keras.Model) -> list[KerasKernel]:
    """Returns the kernels of a model's convolutions and dense layers, nested models' included.

    Args:
        model: Any Keras model.
    """
    found = []
    for layer in model.submodules:
        to_tflite = next((convert for class_, convert in TO_TFLITE.items() if isinstance(layer, class_)), None)
        if to_tflite is None:
            continue
        kernel = getattr(layer, "depthwise_kernel", None)
        kernel = layer.kernel if kernel is None else kernel
        values = to_tflite(kernel.numpy().astype(np.float32))
        palette = np.unique(values)
        # A kernel that is hardly larger than its palette would save nothing.
        palettized = len(palette) <= MAX_PALETTE and 2 * len(palette) <= values.size
        found.append(KerasKernel(layer.name, values, palette if palettized else None))
    return found


@dataclass(frozen=True)
class FoldedKernel:
    """A palettized kernel as the converter left it: each output channel times a factor of its own (BatchNorm).

    Attributes:
        use: The operator and its tensors.
        kernel: The kernel before folding.
        factors: float32 (channels,), the converter's factor of each output channel.
    """

    use: KernelUse
    kernel: KerasKernel
    factors: np.ndarray


def _factors(folded: np.ndarray, kernel: np.ndarray, channel_axis: int) -> np.ndarray | None:
    """Least-squares factors per channel; None where they do not explain the folded kernel."""
    ours, theirs = channels_last(kernel, channel_axis), channels_last(folded, channel_axis)
    ours64, theirs64 = ours.astype(np.float64), theirs.astype(np.float64)
    squares = (ours64**2).sum(axis=0)
    factors = np.divide((ours64 * theirs64).sum(axis=0), squares, out=np.zeros_like(squares), where=squares > 0)
    misfit = np.abs(ours64 * factors - theirs64).max(initial=0.0)
    if misfit > _LARGEST_MISFIT * max(np.abs(theirs64).max(initial=0.0), 1e-30):
        return None
    return factors.astype(np.float32)


def match(model: FlatbufferModel, kernels: Sequence[KerasKernel]) -> tuple[list[FoldedKernel], list[str]]:
    """Finds the palettized kernels of a Keras model in its float32 conversion.

    Args:
        model: The conversion.
        kernels: Those of the Keras model.

    Returns:
        What was found, one entry per operator, and the layers with a palette that were not.
    """
    found, missing = [], {kernel.layer for kernel in kernels if kernel.palette is not None}
    for use in model.kernel_uses():
        folded = model.constant(use.kernel)
        if folded is None or folded.dtype != np.float32:
            continue
        for kernel in kernels:
            if kernel.palette is None or kernel.values.shape != folded.shape:
                continue
            factors = _factors(folded, kernel.values, use.channel_axis)
            if factors is not None:
                found.append(FoldedKernel(use, kernel, factors))
                missing.discard(kernel.layer)
                break
    return found, sorted(missing)
