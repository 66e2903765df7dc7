"""Outputs of two models for the same inputs: equal, of the same classes, or close as numbers. NumPy alone.

Numbers of one model against those of another are compared by the relative difference (root mean square difference /
standard deviation of the reference) and by the lowest correlation of a channel (last axis) among those that vary
notably. Measured on 27 float models and what the project's exports and TensorFlow's converter make of them in int8
(`tests/edge/zoo.py`, MLPerf Tiny's models, the tests' models), November 2026:

| pair | inputs | relative difference | lowest correlation |
|---|---|---:|---:|
| float and its int8 | real | 0.006 to 0.08 | 0.997 to 1.000 |
| float and its int8 | random, outputs within the int8 range | 0.01 to 0.25 | 0.76 to 1.000 |
| float and its int8 | random, outputs beyond the int8 range | 1.1 to 4.5 | none |
| all weights negated | real | 0.95 to 31 | -0.99 to 0.27 |
| two classes swapped | real | 0.88 to 2.0 | -1.00 to 0.61 |

The limits lie between: `MOST_DIFFERENT` and `LEAST_CORRELATED`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.formats.boundaries import Boundary
from edge.formats.judgement import Quality, agreement, decided, judge, quality, relative_difference
from edge.running.loaded_model import TfliteModel
from tfc.base.errors import EdgeError

MOST_DIFFERENT = 0.5
"""Largest relative difference of models that compute the same with different precision."""

LEAST_CORRELATED = {True: 0.8, False: 0.5}
"""Lowest correlation of a channel of such models, on real and on random inputs."""

_NOTABLE_STEPS = 4
"""Channels whose standard deviation is less than this many steps of a quantised output are left out: rounding dominates
them; on random inputs also those with less than `_NOTABLE` of the largest one. Between floats, it is `_NOTABLE_FLOATS`.
"""

_NOTABLE, _NOTABLE_FLOATS = 0.1, 1e-4

_MOST_BEYOND = 0.01
"""Share of outputs beyond a candidate's int8 range above which random inputs prove nothing."""

_SINGLE = 0.95
"""Share of inputs of one class above which their agreement proves little."""

_CONSTANT = 1e-6
"""Outputs that vary by no more than this share of their largest magnitude are constant."""


@dataclass(frozen=True)
class Comparison:
    """The result for one set of inputs.

    Attributes:
        inputs: What they are, and how many.
        equal: Share of inputs with outputs equal bit for bit.
        agreement: Share of equal classes, over all inputs and positions; None where the outputs are no classes.
        max_error: Largest difference of an output, in the model's own unit.
        accuracies: Of reference and candidate; None without classes.
        relative_error: Largest relative difference of an output (root mean square difference / standard deviation).
        correlation: Lowest correlation of a channel; None where none varies.
        real: Whether the inputs are real ones.
        undecided: Why the outputs prove nothing; empty where they do.
        qualities: Of reference and candidate; None without labels.
        single_class: Whether the reference gives nearly all inputs the same class, so that agreement proves little.

    Examples:
        >>> import edge
        >>> settings = edge.VerifySettings(min_agreement=0.0, random_inputs=5)
        >>> found = edge.verify("out/tiny-f32.tflite", "out/tiny-int8.tflite", settings=settings)
        >>> 0 <= found["comparisons"][0].equal <= 1
        True
    """

    inputs: str
    equal: float
    agreement: float | None
    max_error: float
    accuracies: tuple[float, float] | None = None
    relative_error: float = 0.0
    correlation: float | None = None
    real: bool = False
    undecided: str = ""
    qualities: tuple[Quality, Quality] | None = None
    single_class: bool = False

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Comparison:
        """Returns what `dataclasses.asdict` gave, after a passage through JSON.

        Args:
            fields: By name.
        """
        accuracies, qualities = fields["accuracies"], fields["qualities"]
        return cls(
            **fields
            | {
                "accuracies": accuracies and tuple(accuracies),
                "qualities": qualities and tuple(Quality(**each | {"also": tuple(each["also"])}) for each in qualities),
            }
        )


def matched(reference: Sequence[Boundary], candidate: Sequence[Boundary]) -> list[int]:
    """Returns, per output of the reference, the number of the candidate's.

    By name where all names are the same, else by shape where no two have the same one, else by place.

    Args:
        reference: Outputs of the reference.
        candidate: Outputs of the candidate.

    Raises:
        EdgeError: If their number or shapes differ.
    """
    if len(reference) != len(candidate):
        raise EdgeError(f"the reference has {len(reference)} outputs, the candidate {len(candidate)}")
    names = [each.name for each in candidate]
    by_name = {each.name for each in reference} == set(names) and len(set(names)) == len(names)
    shapes = [each.shape for each in candidate]
    by_shape = {each.shape for each in reference} == set(shapes) and len(set(shapes)) == len(shapes)
    if by_name:
        order = [names.index(each.name) for each in reference]
    else:
        order = [shapes.index(each.shape) for each in reference] if by_shape else list(range(len(names)))
    for each, number in zip(reference, order, strict=True):
        if each.shape != candidate[number].shape:
            raise EdgeError(f"outputs differ in shape: {each.shape[1:]} and {candidate[number].shape[1:]}")
    return order


def _has_single_class(values: np.ndarray) -> bool:
    """Whether nearly all examples get the same classes."""
    classes = decided(values)
    if classes is None:
        return False
    _, counts = np.unique(classes.reshape(len(classes), -1), axis=0, return_counts=True)
    return bool(counts.max() > _SINGLE * len(classes))


def is_constant(values: np.ndarray) -> bool:
    """Whether outputs are the same for all examples.

    Args:
        values: (examples, ...).
    """
    if not values.size or values.dtype == bool:
        return not values.size or bool((values == values[:1]).all())
    numbers = values.astype(np.float64)
    return bool(np.ptp(numbers, axis=0).max() <= _CONSTANT * np.abs(numbers).max())


def lowest_correlation(
    reference: np.ndarray, candidate: np.ndarray, step: float = 0.0, *, real: bool = True
) -> float | None:
    """Returns the lowest correlation of a channel of two outputs; None where the reference does not vary.

    Args:
        reference: (examples, ..., channels), or (examples,).
        candidate: Likewise.
        step: Value of a step of quantised outputs; 0 for floats.
        real: Whether the inputs are real ones.
    """
    channels = reference.shape[-1] if reference.ndim > 1 else 1
    ours, theirs = (each.astype(np.float64).reshape(-1, channels) for each in (reference, candidate))
    ours, theirs = ours - ours.mean(axis=0), theirs - theirs.mean(axis=0)
    spread, other_spread = ours.std(axis=0), theirs.std(axis=0)
    share = 0.0 if step and real else _NOTABLE if step else _NOTABLE_FLOATS
    least = max(_NOTABLE_STEPS * step, share * spread.max(initial=0))
    notable = (spread >= least) & (spread > 0)
    if not notable.any():
        return None
    product = (ours * theirs).mean(axis=0)[notable]
    scale = (spread * other_spread)[notable]
    return float(np.divide(product, scale, out=np.zeros_like(product), where=scale > 0).min())


def _share_beyond(values: Sequence[np.ndarray], boundaries: Sequence[Boundary]) -> float:
    """The largest share of an output's values that the candidate's quantised output can't represent."""
    shares = [0.0]
    for each, boundary in zip(values, boundaries, strict=True):
        if boundary.scale and each.size:
            low, high = boundary.range
            shares.append(float(((each < low - boundary.scale) | (each > high + boundary.scale)).mean()))
    return max(shares)


def _classes(
    values: Sequence[np.ndarray], others: Sequence[np.ndarray], labels: np.ndarray | None, input_shapes: set[tuple]
) -> tuple[int, float | None, tuple[Quality, Quality] | None]:
    """Number of the output that counts, the agreement of its classes, and both qualities."""
    answers = judge(values, labels)
    if answers.expected is not None:
        place = answers.output
        own = judge([others[place]], labels)
        share = agreement(answers.predicted, own.predicted) if own.kind == answers.kind else 0.0
        return place, None if answers.kind == "numeric" else share, (quality(answers), quality(own))
    # An output of an input's shape is a reconstruction, whose largest value means nothing.
    if values[0].shape[1:] in input_shapes:
        return 0, None, None
    classes = decided(values[0]), decided(others[0])
    return 0, None if classes[0] is None or classes[1] is None else agreement(classes[1], classes[0]), None


def _undecided(values: Sequence[np.ndarray], others: Sequence[np.ndarray], counts: int, *, real: bool) -> str:
    if any(np.issubdtype(each.dtype, np.floating) and not np.isfinite(each).all() for each in values):
        return "the reference's outputs are not finite"
    if is_constant(values[counts]):
        return "the reference's outputs are equal for all inputs: they prove nothing"
    if is_constant(others[counts]) and not real:
        return "the candidate's outputs are equal for all random inputs: only real ones can tell"
    return ""


def compare(
    models: tuple[TfliteModel, TfliteModel],
    inputs: tuple[Sequence[np.ndarray], Sequence[np.ndarray]],
    labels: np.ndarray | None,
    what: str,
    *,
    real: bool,
) -> Comparison:
    """Runs the same examples through two models.

    Args:
        models: Reference and candidate.
        inputs: The examples as each of them takes them.
        labels: (examples, ...); None for none.
        what: What the inputs are.
        real: Whether they are real ones.

    Raises:
        EdgeError: If the models' outputs can't be compared.
    """
    order = matched(models[0].outputs, models[1].outputs)
    count = len(inputs[0][0])
    raw, other_raw = (model.predict_all(x, raw=True) for model, x in zip(models, inputs, strict=True))
    other_raw = tuple(other_raw[number] for number in order)
    values = [each.values(found) for each, found in zip(models[0].outputs, raw, strict=True)]
    others = [models[1].outputs[number].values(found) for number, found in zip(order, other_raw, strict=True)]
    equal, errors, relative, correlations = np.ones(count, bool), [0.0], [0.0], []
    pairs = zip(raw, other_raw, values, others, models[0].outputs, order, strict=True)
    for ours, theirs, one, other, boundary, number in pairs:
        if ours.shape != theirs.shape:
            raise EdgeError(f"outputs differ in shape: {ours.shape[1:]} and {theirs.shape[1:]}")
        same = ours.dtype == theirs.dtype
        equal &= (ours == theirs).reshape(count, -1).all(axis=1) if same else False
        if not one.size:
            continue
        if not all(each.dtype == bool or np.isfinite(each).all() for each in (one, other)):
            errors.append(math.inf)
            relative.append(math.inf)
            continue
        errors.append(float(np.abs(one.astype(np.float64) - other).max()))
        if not is_constant(one):
            relative.append(relative_difference(other, one) or 0.0)
            step = max(boundary.scale, models[1].outputs[number].scale)
            correlations.append(lowest_correlation(one, other, step, real=real))
    shapes = {each.shape[1:] for each in models[0].inputs}
    counts, share, qualities = _classes(values, others, labels, shapes)
    pair = None if qualities is None else (qualities[0].accuracy, qualities[1].accuracy)
    known = [each for each in correlations if each is not None]
    undecided = _undecided(values, others, counts, real=real)
    beyond = 0.0 if real else _share_beyond(values, [models[1].outputs[number] for number in order])
    if not undecided and beyond > _MOST_BEYOND:
        undecided = f"{beyond:.0%} of the outputs lie beyond the range of the candidate's: only real inputs can tell"
    return Comparison(
        f"{count:,} {what}",
        float(equal.mean()),
        share,
        max(errors),
        None if pair is None or pair[0] is None or pair[1] is None else (pair[0], pair[1]),
        max(relative),
        min(known, default=None),
        real,
        undecided,
        qualities,
        share is not None and _has_single_class(values[counts]),
    )


def why_different(found: Comparison, min_agreement: float) -> str:
    """Returns why two models do not compute the same, precision aside; empty where they do.

    Args:
        found: What was compared.
        min_agreement: Smallest share of equal classes.
    """
    if found.agreement is not None and not found.agreement >= min_agreement:
        return f"agreement {found.agreement:.4f} is below {min_agreement:g} ({found.inputs})"
    if not found.relative_error <= MOST_DIFFERENT:
        told = f"the outputs differ by {found.relative_error:.3g} of their spread, more than {MOST_DIFFERENT}"
        return f"{told} ({found.inputs})"
    least = LEAST_CORRELATED[found.real]
    if found.correlation is not None and not found.correlation >= least:
        return f"an output's correlation with the reference is {found.correlation:.3f}, below {least} ({found.inputs})"
    return ""
