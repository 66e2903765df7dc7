"""How many clusters each kernel gets: the same for all, or shared out by what an error of each does to the outputs.

What is asked for is one of: clusters per kernel, bits per weight, bytes of a file, or the largest loss. The last three
are met by one number, the price of a bit in units of the outputs' squared error, which is equal for all kernels where
the bits do most (Lagrange multipliers; Shoham and Gersho, IEEE Trans. ASSP 36, 1988). Squared errors of a kernel's
outputs become those of the model's by a factor that is measured: each kernel alone is given a crude palette.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from edge.conversion.flatbuffer import FlatbufferModel
from edge.conversion.palettization import MOST_CLUSTERS, CodedUse, Palettized, Plan, made, palettized
from edge.conversion.progress import Progress, no_progress
from edge.palettes.palettize import PaletteMethod
from tfc.base.errors import EdgeError

_CRUDE = Plan(8)
"""Palettes that sensitivities are measured with: errors well above rounding."""

_TRIALS = 8
_CLOSE_BITS = 0.02
_MOST_BITS, _FEWEST_BITS = 7.0, 0.25


@dataclass(frozen=True)
class PaletteSettings:
    """What palettes are asked for: one of clusters, bits, bytes and loss, or a limit of the clusters with another one.

    Attributes:
        clusters: Largest number of clusters of a kernel, 2 to 128.
        bits: Mean bits per weight of the palettized kernels, as a packed file stores them (entropy).
        target_bytes: Largest size of the packed file in bytes; of the file with look-up tables where nothing is packed.
        max_loss: Largest share of calibration examples whose class changes; for outputs that are no classes the
            root mean square difference as a share of their spread.
        method: The steps.

    Examples:
        >>> import edge
        >>> edge.PaletteSettings(bits=3.0).bits
        3.0
    """

    clusters: int | None = None
    bits: float | None = None
    target_bytes: int | None = None
    max_loss: float | None = None
    method: PaletteMethod = field(default_factory=PaletteMethod)

    def check(self) -> None:
        """Checks that the settings are possible.

        Raises:
            EdgeError: If they are not.
        """
        goals = [name for name in ("bits", "target_bytes", "max_loss") if getattr(self, name) is not None]
        if len(goals) > 1:
            raise EdgeError(f"--{goals[0].replace('_', '-')} and --{goals[1].replace('_', '-')} exclude each other")
        if not goals and self.clusters is None:
            raise EdgeError("palettes need one of --clusters, --bits, --target-bytes and --max-loss")
        if self.clusters is not None and not 2 <= self.clusters <= MOST_CLUSTERS:
            raise EdgeError(f"--clusters must be between 2 and {MOST_CLUSTERS}; found {self.clusters}")
        if self.bits is not None and not _FEWEST_BITS <= self.bits <= _MOST_BITS:
            raise EdgeError(f"--bits must be between {_FEWEST_BITS:g} and {_MOST_BITS:g}; found {self.bits:g}")
        if self.target_bytes is not None and self.target_bytes < 1:
            raise EdgeError(f"--target-bytes must be at least 1; found {self.target_bytes}")
        if self.max_loss is not None and not 0 < self.max_loss < 1:
            raise EdgeError(f"--max-loss must be between 0 and 1, such as 0.01; found {self.max_loss:g}")


class Measures(NamedTuple):
    """How a model with palettes is measured.

    Attributes:
        file_bytes: Bytes of the file that `target_bytes` is about.
        output_error: Mean square difference of the outputs, each in units of its variance.
        loss: As `PaletteSettings.max_loss`.
    """

    file_bytes: Callable[[Palettized], int]
    output_error: Callable[[FlatbufferModel], float]
    loss: Callable[[FlatbufferModel], float]


def mean_bits(found: Palettized, *, whole_bits: bool = False) -> float:
    """Returns the mean bits per weight of a model's palettized kernels.

    Args:
        found: The model.
        whole_bits: Whether bits of an index count, in place of the entropy.
    """
    bits = [
        (report.weights, max(1, (report.values - 1).bit_length()) if whole_bits else report.bits)
        for report in found.reports
    ]
    return sum(weights * each for weights, each in bits) / max(1, sum(weights for weights, _ in bits))


def sensitive(
    model: FlatbufferModel,
    kernels: Sequence[CodedUse],
    output_error: Callable[[FlatbufferModel], float],
    method: PaletteMethod,
    progress: Progress,
) -> tuple[CodedUse, ...]:
    """Measures what an error of each kernel does to the outputs.

    Args:
        model: The model.
        kernels: Its kernels.
        output_error: Measures a model.
        method: The steps of the palettes.
        progress: Wraps the kernels.

    Returns:
        The kernels with their sensitivities.
    """
    found = []
    for kernel in progress("sensitivities", kernels):
        crude = replace(method, rounds=1)
        error = made(kernel, _CRUDE, crude).squared_error
        outputs = output_error(palettized(model, [kernel], {kernel.name: _CRUDE}, crude).model)
        # A kernel whose error does not reach the outputs still has a price, a small one.
        found.append(replace(kernel, sensitivity=max(outputs, 1e-9) / error if error > 0 else 1.0))
    return tuple(found)


class _Trial(NamedTuple):
    price: float
    bits: float
    found: Palettized


class _Search:
    """Tries prices; bits fall by about half a bit where the price doubles."""

    def __init__(
        self,
        model: FlatbufferModel,
        kernels: Sequence[CodedUse],
        settings: PaletteSettings,
        progress: Progress,
        *,
        whole_bits: bool,
    ) -> None:
        self._model, self._kernels, self._settings, self._progress = model, kernels, settings, progress
        self._whole_bits, self._count = whole_bits, 0
        self._most = settings.clusters or MOST_CLUSTERS

    @cached_property
    def _errors(self) -> dict[str, dict[int, float]]:
        """Squared error of each kernel with palettes of so many values, as whole bits allow."""
        sizes = sorted({min(self._most, 2**bits) for bits in range(1, 8)})
        crude = replace(self._settings.method, rounds=1)
        return {
            kernel.name: {size: made(kernel, Plan(size), crude).squared_error for size in sizes}
            for kernel in self._progress("errors by clusters", self._kernels)
        }

    def plans(self, price: float) -> Mapping[str, Plan]:
        if not self._whole_bits or not price:
            return {kernel.name: Plan(self._most, price) for kernel in self._kernels}
        plans = {}
        for kernel in self._kernels:
            per_bit = price * kernel.coded.codes.size
            errors = self._errors[kernel.name]
            size = min(errors, key=lambda each: errors[each] + per_bit * (each - 1).bit_length())
            plans[kernel.name] = Plan(size)
        return plans

    def tried(self, price: float) -> _Trial:
        self._count += 1
        what = f"palettes, trial {self._count}" if price or self._count > 1 else "palettes"
        found = palettized(
            self._model,
            self._kernels,
            self.plans(price),
            self._settings.method,
            lambda kernels: self._progress(what, kernels),
        )
        return _Trial(price, mean_bits(found, whole_bits=self._whole_bits), found)

    def first_price(self, bits: float) -> float:
        """A price that leads to about so many bits: the slope of the error of fine steps, -2 ln 2 times the error."""
        plan = Plan(max(2, min(self._most, round(2**bits))))
        crude = replace(self._settings.method, rounds=1)
        error = sum(made(kernel, plan, crude).squared_error for kernel in self._kernels)
        weights = sum(kernel.coded.codes.size for kernel in self._kernels)
        return max(2 * math.log(2) * error / weights, 1e-30)

    def for_bits(self, wanted: Callable[[_Trial], float], bits: float) -> tuple[_Trial | None, _Trial]:
        """The trial with most bits among those that need no fewer, and the smallest one of all.

        Args:
            wanted: How many bits more a trial may have; negative where it has too many.
            bits: To begin with.
        """
        unlimited = self.tried(0.0)
        if wanted(unlimited) >= 0:
            return unlimited, unlimited
        price = self.first_price(bits)
        good: _Trial | None = None
        smallest, low, high = unlimited, 0.0, math.inf
        for _ in range(_TRIALS):
            trial = self.tried(price)
            room = wanted(trial)
            smallest = min(smallest, trial, key=lambda each: each.bits)
            if room >= 0:
                high = min(high, price)
                good = trial if good is None or trial.bits > good.bits else good
                if room < _CLOSE_BITS:
                    break
            else:
                low = max(low, price)
            step = price * 4.0 ** (max(-1.5, min(1.5, -(room - _CLOSE_BITS / 2))))
            if not low < step < high:
                step = math.sqrt(low * high) if low and math.isfinite(high) else step
            if step == price:
                break
            price = step
        return good, smallest


def _least_bits(loss: Callable[[FlatbufferModel], float], most: float, search: _Search) -> _Trial | None:
    """The trial with fewest bits whose loss is allowed, by halving; None where no trial's is."""
    unlimited = search.tried(0.0)
    if loss(unlimited.found.model) > most:
        return None
    best, low, high = unlimited, 0.0, search.first_price(1.0)
    price = search.first_price(4.0)
    for _ in range(_TRIALS):
        trial = search.tried(price)
        if loss(trial.found.model) <= most:
            low = price
            best = min(best, trial, key=lambda each: each.bits)
        else:
            high = price
        price = math.sqrt(low * high) if low else high / 16
    return best


def chosen(
    model: FlatbufferModel,
    kernels: Sequence[CodedUse],
    settings: PaletteSettings,
    measures: Measures,
    progress: Progress = no_progress,
    *,
    whole_bits: bool = False,
) -> Palettized:
    """Gives a model the palettes that are asked for.

    Args:
        model: The model; it stays as it is.
        kernels: Its kernels.
        settings: What is asked for.
        measures: Of models with palettes.
        progress: Wraps the kernels in each step.
        whole_bits: Whether bits are those of an index, as in look-up tables, in place of the entropy.

    Raises:
        EdgeError: If it can't be reached.
    """
    settings.check()
    if settings.bits is None and settings.target_bytes is None and settings.max_loss is None:
        return _Search(model, kernels, settings, progress, whole_bits=whole_bits).tried(0.0).found
    as_it_is = Palettized(model, {}, ())
    if settings.target_bytes is not None and measures.file_bytes(as_it_is) <= settings.target_bytes:
        return as_it_is
    kernels = sensitive(model, kernels, measures.output_error, settings.method, progress)
    search = _Search(model, kernels, settings, progress, whole_bits=whole_bits)
    weights = sum(kernel.coded.codes.size for kernel in kernels)
    if settings.max_loss is not None:
        found = _least_bits(measures.loss, settings.max_loss, search)
        if found is None:
            raise EdgeError(
                f"--max-loss {settings.max_loss:g} can't be met: {settings.clusters or MOST_CLUSTERS} clusters per "
                "kernel lose more"
            )
        return found.found
    if settings.bits is not None:
        bits = settings.bits
        good, smallest = search.for_bits(lambda trial: bits - trial.bits, bits)
        if good is None:
            raise EdgeError(f"--bits {bits:g} can't be met: {smallest.bits:.2f} bits per weight are the fewest")
        return good.found
    assert settings.target_bytes is not None
    target = settings.target_bytes

    def room(trial: _Trial) -> float:
        return (target - measures.file_bytes(trial.found)) * 8 / weights

    good, smallest = search.for_bits(room, 3.0)
    if good is None:
        raise EdgeError(
            f"--target-bytes {target:,} can't be met: {measures.file_bytes(smallest.found):,} bytes are the "
            f"fewest, with {smallest.bits:.2f} bits per weight"
        )
    return good.found


def spread_of(outputs: Sequence[np.ndarray]) -> list[float]:
    """Returns the variance of each output, its mean square where it is constant.

    Args:
        outputs: Each (examples, ...).
    """
    return [float(values.var()) or float((values**2).mean()) or 1.0 for values in outputs]
