"""The kernels of a Keras model with their palettes, and their matches in a converted file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from edge.conversion.channels import channels_last
from edge.conversion.flatbuffer import FlatbufferModel, KernelUse
from tfc.keras_files.nested_layers import nested_layers

MAX_PALETTE = 128
"""Distinct values up to which a kernel counts as palettized; look-up tables have at most 7 bits per index."""

_LARGEST_MISFIT = 1e-4
"""Largest difference between a folded kernel and the Keras kernel times its factors, of the kernel's largest value."""


def _depthwise(kernel: np.ndarray) -> list[np.ndarray]:
    return [kernel.reshape(1, *kernel.shape[:-2], -1) if kernel.ndim == 4 else kernel.reshape(1, 1, len(kernel), -1)]


def _convolution(kernel: np.ndarray) -> list[np.ndarray]:
    kernel = np.moveaxis(kernel, -1, 0)
    return [kernel[:, None] if kernel.ndim == 3 else kernel]


def _transposed(kernel: np.ndarray) -> list[np.ndarray]:
    kernel = np.moveaxis(kernel, -2, 0)
    return [kernel[:, None] if kernel.ndim == 3 else kernel]


def _dense(kernel: np.ndarray) -> list[np.ndarray]:
    return [kernel.T]


def _gates(kernel: np.ndarray) -> list[np.ndarray]:
    return [part.T for part in np.split(kernel, 4, axis=1)]


def _contraction(kernel: np.ndarray) -> list[np.ndarray]:
    """A kernel of several axes as each of the matrices that it may have become."""
    places = range(1, kernel.ndim)
    return [kernel.reshape(int(np.prod(kernel.shape[:place])), -1).T for place in places]


def _as_it_is(kernel: np.ndarray) -> list[np.ndarray]:
    return [kernel]


_Layout = Callable[[np.ndarray], list[np.ndarray]]
_DEPTHWISE: dict[str, _Layout] = {"depthwise_kernel": _depthwise}
_SEPARABLE: dict[str, _Layout] = {**_DEPTHWISE, "pointwise_kernel": _convolution}
_RECURRENT: dict[str, _Layout] = {"kernel": _dense, "recurrent_kernel": _dense}
_layers = tf.keras.layers
TO_TFLITE: dict[type[tf.keras.layers.Layer], dict[str, _Layout]] = {
    _layers.DepthwiseConv2D: _DEPTHWISE,
    _layers.DepthwiseConv1D: _DEPTHWISE,
    _layers.SeparableConv2D: _SEPARABLE,
    _layers.SeparableConv1D: _SEPARABLE,
    _layers.Conv2DTranspose: {"kernel": _transposed},
    _layers.Conv1DTranspose: {"kernel": _transposed},
    _layers.Conv3DTranspose: {"kernel": _as_it_is},
    _layers.Conv3D: {"kernel": _as_it_is},
    _layers.Conv2D: {"kernel": _convolution},
    _layers.Conv1D: {"kernel": _convolution},
    _layers.Dense: {"kernel": _dense},
    _layers.EinsumDense: {"kernel": _contraction},
    _layers.LSTMCell: {"kernel": _gates, "recurrent_kernel": _gates},
    _layers.GRUCell: _RECURRENT,
    _layers.SimpleRNNCell: _RECURRENT,
    _layers.Embedding: {"embeddings": _as_it_is},
}
"""The kernels of a layer, and how each lies in a .tflite file: as one constant, several, or one of several candidates.
The first matching class counts."""


@dataclass(frozen=True)
class KerasKernel:
    """A kernel of a Keras model, or a part of one that is a constant of its own in a .tflite file.

    Attributes:
        layer: Name of its layer.
        part: Name of its variable.
        values: float32, in the shape it has in a .tflite file.
        palette: Its distinct values in ascending order, float32 (clusters,); None where there are too many to call it
            palettized.
    """

    layer: str
    part: str
    values: np.ndarray
    palette: np.ndarray | None


def layout_of(layer: tf.keras.layers.Layer) -> dict[str, _Layout]:
    """Returns the kernels of a layer and their layouts, none of a layer that is not known.

    Args:
        layer: Any layer; one that was never built, as Bidirectional keeps, has none.
    """
    known = next((kernels for class_, kernels in TO_TFLITE.items() if isinstance(layer, class_)), {})
    return {part: to_tflite for part, to_tflite in known.items() if hasattr(layer, part)}


def is_palette(distinct: np.ndarray, values: np.ndarray) -> bool:
    """Whether a kernel's distinct values are few enough to call them a palette.

    Args:
        distinct: Its distinct values.
        values: The kernel.
    """
    # A kernel that is hardly larger than its palette would save nothing.
    return len(distinct) <= MAX_PALETTE and 2 * len(distinct) <= values.size


def kernels_of(model: tf.keras.Model) -> list[KerasKernel]:
    """Returns the kernels of a model's layers, those of nested models and layers included.

    Args:
        model: Any Keras model.
    """
    found = []
    for layer in nested_layers(model):
        for part, to_tflite in layout_of(layer).items():
            for values in to_tflite(getattr(layer, part).numpy().astype(np.float32)):
                palette = np.unique(values)
                found.append(KerasKernel(layer.name, part, values, palette if is_palette(palette, values) else None))
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
