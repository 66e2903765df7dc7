"""Runs a model on calibration data, and sums up what its kernels are multiplied by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from edge.conversion.calibration import Inputs
from edge.conversion.flatbuffer import FlatbufferModel, KernelUse
from edge.conversion.kernel_layout import KernelLayout
from edge.palettes.second_moments import Moments, MomentsSum

MOST_COVARIANCES = 4608**2
"""Covariances of a kernel's inputs that are kept: those of 3 x 3 x 512 inputs, 170 MB. Larger kernels have variances
alone, and no compensation."""

_PATCHES_PER_EXAMPLE = 128
"""Positions of an output that count per example, drawn at random: neighbours tell little that is new."""


def _drawn(found: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Patches of an example, (patches, groups, columns)."""
    places = found.shape[:3]
    count = int(np.prod(places))
    if count <= _PATCHES_PER_EXAMPLE:
        return found.reshape(count, *found.shape[3:])
    chosen = np.unravel_index(rng.choice(count, _PATCHES_PER_EXAMPLE, replace=False), places)
    picked: np.ndarray = found[chosen]
    return picked


def moments_of(
    model: FlatbufferModel,
    layouts: Mapping[KernelUse, KernelLayout],
    examples: Inputs,
    seed: int = 0,
    progress: Callable[[Sequence[int]], Iterable[int]] = lambda numbers: numbers,
) -> dict[str, Moments]:
    """Returns the moments of each kernel's inputs.

    Args:
        model: Any model; state is reset before every example.
        layouts: Of the operators in question. Those of loops' and conditions' subgraphs are left out, since no
            interpreter shows their tensors.
        examples: Its inputs in their own types, (examples, ...) each.
        seed: Of the choice of positions.
        progress: Wraps the numbers of the examples.

    Returns:
        By the kernel's name: inputs in steps of their own scale, without the zero point. Uses of one kernel are summed.
    """
    here = {use: layout for use, layout in layouts.items() if model.place(use.input)[0] == 0}
    sums: dict[str, MomentsSum] = {}
    for use, layout in tuple(here.items()):
        small = layout.groups * layout.columns**2 <= MOST_COVARIANCES
        known = sums.setdefault(use.kernel, MomentsSum(layout.groups, layout.columns, covariances=small))
        if known.shape != (layout.groups, layout.columns):
            del here[use]
    if not sums:
        return {}
    interpreter = tf.lite.Interpreter(
        model_content=model.to_bytes(),
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    numbers = [detail["index"] for detail in interpreter.get_input_details()]
    rng = np.random.default_rng(seed)
    for example in progress(range(len(examples[0]))):
        interpreter.reset_all_variables()
        for number, values in zip(numbers, examples, strict=True):
            interpreter.set_tensor(number, values[example][None])
        interpreter.invoke()
        for use, layout in here.items():
            values = interpreter.get_tensor(model.place(use.input)[1]).astype(np.float64)
            values -= model.zero_point(use.input)
            sums[use.kernel].add(_drawn(layout.inputs(values), rng))
    return {name: found.moments for name, found in sums.items()}
