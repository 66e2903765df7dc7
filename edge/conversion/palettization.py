"""Palettes for the kernels of a model that is converted already, int8 or float, without training.

Kernels are replaced code by code: scales, zero points and everything else stay; biases take up the mean error of their
channel's outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from edge.conversion.flatbuffer import FlatbufferModel, KernelUse
from edge.conversion.kernel_layout import KernelLayout, layout_of
from edge.conversion.palette_codes import CodedKernel, plain_codes
from edge.formats.kernel_operators import LAYERS_WITH_TABLES
from edge.palettes.palettize import PaletteMethod, palettize
from edge.palettes.second_moments import Moments
from tfc.base.errors import ModelFileError

SMALLEST = 256
"""Weights of a kernel below which a palette saves nothing: a look-up table takes some 320 bytes."""

MOST_CLUSTERS = 128
"""Values of a palette: look-up tables have at most 7 bits per index."""


@dataclass(frozen=True)
class CodedUse:
    """A kernel that may get a palette.

    Attributes:
        uses: The operators that share it.
        layout: How it is taken apart.
        coded: Its codes.
        input_scale: Scale of the first operator's input, 1 for floats.
        moments: Of its inputs; None where no interpreter shows them, or there are no calibration data.
        sensitivity: Mean square error of the model's outputs per square error of this kernel's outputs; 1 where it was
            not measured.
    """

    uses: tuple[KernelUse, ...]
    layout: KernelLayout
    coded: CodedKernel
    input_scale: float
    moments: Moments | None = None
    sensitivity: float = 1.0

    @property
    def name(self) -> str:
        """The kernel's name."""
        return self.uses[0].kernel

    @property
    def importance(self) -> np.ndarray:
        """How much a squared error of a code counts, per output channel, float64 (groups, rows)."""
        steps = self.layout.by_channel(self.coded.scales.astype(np.float64)) * self.input_scale
        return self.sensitivity * steps**2


class Plan(NamedTuple):
    """What a kernel's palette may be.

    Attributes:
        clusters: Largest number of values.
        price_per_bit: Of the entropy-coded assignment, in units of the model's (or the kernel's) squared output error.
    """

    clusters: int
    price_per_bit: float = 0.0


@dataclass(frozen=True)
class KernelPalette:
    """What became of a kernel.

    Attributes:
        name: Of its tensor.
        operator: The operator that uses it.
        weights: Number of weights.
        values: Values of its palette.
        bits: Entropy of a code, in bits.
        error: Mean square error of the operator's outputs, as a share of their variance, on the calibration data; 0 to
            1 and more. None without such data.

    Examples:
        >>> import edge
        >>> edge.KernelPalette("conv/kernel", "CONV_2D", 2304, 16, 3.7, 0.002).values
        16
    """

    name: str
    operator: str
    weights: int
    values: int
    bits: float
    error: float | None


class Candidates(NamedTuple):
    """The kernels of a model.

    Attributes:
        kernels: Those that may get a palette, in the order of execution.
        left: The others by name, and why.
    """

    kernels: tuple[CodedUse, ...]
    left: dict[str, str]


def _coded(
    model: FlatbufferModel, use: KernelUse, values: np.ndarray, known: Mapping[str, CodedKernel]
) -> tuple[CodedKernel, float] | str:
    """A kernel's codes and its input's scale; or why it has none."""
    if values.dtype == np.float32:
        if model.tensor(use.input).type != model.tensor(use.kernel).type:
            return "float weights and other inputs"
        return known.get(use.kernel) or plain_codes(values, use.channel_axis), 1.0
    if values.dtype != np.int8:
        return f"weights of type {values.dtype}"
    scales, input_scales = model.scales(use.kernel), model.scales(use.input)
    if not len(scales):
        return "int8 weights without a scale"
    if len(input_scales) != 1:
        return "int8 weights that are computed with in floating point"
    return CodedKernel(values, scales, use.channel_axis), float(input_scales[0])


def candidates(model: FlatbufferModel, known: Mapping[str, CodedKernel] | None = None) -> Candidates:
    """Returns the kernels that may get a palette.

    Args:
        model: Any model.
        known: Codes of float kernels by name, where they have some; others get codes per channel.
    """
    found: dict[str, CodedUse] = {}
    left: dict[str, str] = {}
    for use in model.kernel_uses():
        if use.kernel in left:
            continue
        if use.kernel in found:
            first = found[use.kernel]
            found[use.kernel] = replace(first, uses=(*first.uses, use))
            continue
        values = model.constant(use.kernel)
        layout = None if values is None else layout_of(model, use)
        if use.operator not in LAYERS_WITH_TABLES:
            left[use.kernel] = f"{use.operator}'s weights can't be look-up tables"
        elif values is None or layout is None:
            left[use.kernel] = f"a form of {use.operator} that is not known"
        elif values.size < SMALLEST:
            left[use.kernel] = f"fewer than {SMALLEST} weights"
        elif isinstance(coded := _coded(model, use, values, known or {}), str):
            left[use.kernel] = coded
        else:
            found[use.kernel] = CodedUse((use,), layout, *coded)
    return Candidates(tuple(found.values()), left)


def with_moments(kernels: Iterable[CodedUse], moments: Mapping[str, Moments]) -> tuple[CodedUse, ...]:
    """Returns kernels with what is known of their inputs.

    Args:
        kernels: The kernels.
        moments: By the kernels' names.
    """
    return tuple(replace(kernel, moments=moments.get(kernel.name)) for kernel in kernels)


class Made(NamedTuple):
    """A kernel in its palette.

    Attributes:
        coded: Its codes; scales and axis are as they were.
        shift: What its channels' outputs lost in the mean, in the outputs' own unit, float64 (channels,); None where
            it is not known.
        squared_error: Of its outputs, times sensitivity, on the calibration data.
        report: For a table.
    """

    coded: CodedKernel
    shift: np.ndarray | None
    squared_error: float
    report: KernelPalette


def made(kernel: CodedUse, plan: Plan, method: PaletteMethod) -> Made:
    """Gives a kernel its palette.

    Args:
        kernel: The kernel.
        plan: What the palette may be.
        method: The steps.
    """
    layout, coded = kernel.layout, kernel.coded
    rows = layout.rows_of(coded.codes)
    found = palettize(rows, kernel.moments, kernel.importance, plan.clusters, plan.price_per_bit, method)
    codes = layout.kernel_of(found.codes)
    shift = None
    if kernel.moments is not None and method.bias_correction:
        lost = rows.astype(np.float64) - found.codes
        means = np.einsum("grk,gk->gr", lost, kernel.moments.mean) * kernel.input_scale
        shift = (means * layout.by_channel(coded.scales.astype(np.float64))).reshape(-1)
    report = KernelPalette(
        kernel.name,
        kernel.uses[0].operator,
        codes.size,
        len(np.unique(codes)),
        found.bits,
        None if kernel.moments is None else found.error,
    )
    return Made(coded._replace(codes=codes), shift, found.squared_error, report)


def _shifted_biases(model: FlatbufferModel, kernel: CodedUse, shift: np.ndarray) -> None:
    """Adds what outputs lost to the biases, where every bias belongs to one operator."""
    for use in kernel.uses:
        if use.bias is None or len(model.users(use.bias)) != 1:
            continue
        bias = model.constant(use.bias)
        if bias is None or bias.shape != shift.shape:
            continue
        if bias.dtype == np.float32:
            model.set_constant(use.bias, (bias + shift).astype(np.float32))
        elif bias.dtype in (np.int32, np.int64) and len(scales := model.scales(use.bias)):
            limits = np.iinfo(bias.dtype)
            moved = bias + np.round(shift / scales.astype(np.float64))
            model.set_constant(use.bias, np.clip(moved, limits.min, limits.max).astype(bias.dtype))


class Palettized(NamedTuple):
    """A model with palettes.

    Attributes:
        model: The model.
        codes: The codes of its kernels, by name.
        reports: Per kernel.
    """

    model: FlatbufferModel
    codes: dict[str, CodedKernel]
    reports: tuple[KernelPalette, ...]


def palettized(
    model: FlatbufferModel,
    kernels: Iterable[CodedUse],
    plans: Mapping[str, Plan],
    method: PaletteMethod | None = None,
    progress: Callable[[list[CodedUse]], Iterable[CodedUse]] = lambda kernels: kernels,
) -> Palettized:
    """Gives a model's kernels palettes.

    Args:
        model: The model; it stays as it is.
        kernels: Its kernels.
        plans: By their names; kernels without a plan stay as they are.
        method: The steps.
        progress: Wraps the kernels.

    Returns:
        A copy: int8 kernels with other codes, float ones with the values that the codes stand for.
    """
    result, codes, reports = model.copy(), {}, []
    for kernel in progress([kernel for kernel in kernels if kernel.name in plans]):
        done = made(kernel, plans[kernel.name], method or PaletteMethod())
        codes[kernel.name] = done.coded
        values = model.constant(kernel.name)
        if values is None:
            raise ModelFileError(f"{kernel.name} is no constant")
        result.set_constant(kernel.name, done.coded.codes if values.dtype == np.int8 else done.coded.values)
        if done.shift is not None:
            _shifted_biases(result, kernel, done.shift)
        reports.append(done.report)
    return Palettized(result, codes, tuple(reports))
