"""What an output of a model means, decided once by its shape and the labels of the data. NumPy alone.

| output of an example | labels of an example | what is measured |
|---|---|---|
| C scores | a class from 0 to C - 1, or C numbers: one 1, the others 0 | accuracy: the largest score |
| a number | 0 or 1 (or -1 and 1) | accuracy: above 0.5 if all outputs lie in [0, 1], else above 0 |
| scores per position, (..., C) | a class per position, (...) | position accuracy |
| a number per position | 0 or 1 per position | position accuracy |
| C numbers | C numbers of 0 and 1 | label accuracy: each number as above |
| integers that are no quantised numbers (classes) | integers of the same shape | accuracy: equal |
| any numbers | numbers of the same shape | mean absolute error, root mean square error |

Axes of size 1 do not count. Floats that are whole numbers are taken as classes. Labels of positions that are negative
mean "no class" and are left out, and so are those of 255, as data sets for segmentation have them, unless there is a
class 255. Where all labels are 0 and 255, and there are two classes, 255 is class 1, as image files have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

VOID = 255
"""The class of positions that are not judged, besides negative ones."""

_ROUNDING = 0.01
"""How far a probability may lie outside [0, 1]: int8 outputs have steps of 1/255 and more."""

METRICS = {
    "scores": "accuracy",
    "value": "accuracy",
    "classes": "accuracy",
    "positions": "position accuracy",
    "labels": "label accuracy",
    "numeric": "mean absolute error",
}
"""Kinds of outputs, and what is measured of them; every accuracy is a share from 0 to 1."""


@dataclass(frozen=True)
class Answers:
    """A model's answers to examples, in the form in which they can be compared.

    Attributes:
        kind: A key of `METRICS`; empty where the outputs can't be judged.
        output: Number of the output that is judged.
        predicted: Classes (examples, ...) as integers, or numbers as float32.
        expected: The same of the labels; None where it can't be judged.
        reason: Why it can't be judged.
        also: Numbers of outputs that fit the labels as well.
    """

    kind: str
    output: int
    predicted: np.ndarray
    expected: np.ndarray | None
    reason: str = ""
    also: tuple[int, ...] = ()


@dataclass(frozen=True)
class Quality:
    """How good a model's answers are.

    Attributes:
        kind: A key of `METRICS`; empty where they were not judged.
        metric: Its value; empty where they were not judged.
        value: A share for accuracies; for errors a number in the labels' unit; None where they were not judged.
        root_mean_square: Of numeric errors, in the labels' unit; None for the others.
        output: Name of the output that was judged.
        reason: Why they were not judged.
        left_out: Positions without a class, which do not count.
        also: Names of outputs that fit the labels as well as the judged one.

    Examples:
        >>> import edge
        >>> edge.Quality("scores", "accuracy", 0.93).accuracy
        0.93
    """

    kind: str
    metric: str
    value: float | None
    root_mean_square: float | None = None
    output: str = ""
    reason: str = ""
    left_out: int = 0
    also: tuple[str, ...] = ()

    @property
    def accuracy(self) -> float | None:
        """The share of right answers; None for errors, and where they were not judged."""
        return None if self.kind == "numeric" else self.value


def _squeezed(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _is_whole(values: np.ndarray) -> bool:
    return not np.issubdtype(values.dtype, np.floating) or bool((values == np.round(values)).all())


def are_probabilities(outputs: np.ndarray) -> bool:
    """Whether all outputs lie in [0, 1], but for what rounding and quantisation do at its ends.

    Args:
        outputs: Any shape.
    """
    return bool(outputs.min(initial=0) >= -_ROUNDING and outputs.max(initial=0) <= 1 + _ROUNDING)


def _threshold(outputs: np.ndarray) -> float:
    """Above which a number means class 1: a probability's half, a logit's zero."""
    return 0.5 if are_probabilities(outputs) else 0.0


def _without_void(y: np.ndarray, classes: int) -> np.ndarray:
    """Labels of positions with -1 for "no class"; 0 and 255 alone are two classes."""
    if classes == 2 and set(np.unique(y).tolist()) == {0, VOID}:
        return y // VOID
    return np.where((y < 0) | ((y == VOID) & (classes <= VOID)), -1, y)


def decided(outputs: np.ndarray) -> np.ndarray | None:
    """Returns the classes that outputs stand for where no labels tell; None where they may be numbers of any meaning.

    Args:
        outputs: (examples, ...): scores along the last axis, a probability, or classes themselves.
    """
    if not np.issubdtype(outputs.dtype, np.floating):
        return outputs.astype(np.int64)
    if outputs.ndim > 1 and outputs.shape[-1] > 1:
        return outputs.argmax(axis=-1)
    if outputs.size and are_probabilities(outputs):
        return (outputs > 0.5).astype(np.int64)
    return None


def _is_one_hot(y: np.ndarray, outputs: np.ndarray) -> bool:
    """Whether labels (examples, ..., classes) have a single 1 each."""
    return bool(outputs.shape[-1] > 1 and y.min(initial=0) >= 0 and (y.sum(axis=-1) == 1).all())


def _judged(outputs: np.ndarray, labels: np.ndarray) -> tuple[str, np.ndarray, np.ndarray] | str:
    """Kind, predicted and expected; or why the labels do not fit the outputs."""
    count = len(outputs)
    shape, wanted = _squeezed(outputs.shape[1:]), _squeezed(labels.shape[1:])
    values, y = outputs.reshape(count, *shape), labels.reshape(count, *wanted)
    whole = _is_whole(y)
    size = shape[-1] if shape else 1
    if shape and wanted == shape[:-1] and outputs.shape[-1] > 1:
        if not whole:
            return f"y are no classes (fractions), and the output has {size} scores"
        if not wanted and y.min(initial=0) < 0:
            return "y has negative classes"
        expected = (_without_void(y, size) if wanted else y).astype(np.int64)
        largest = int(expected.max(initial=0))
        if largest >= size:
            return f"y has class {largest}, and the output has {size} scores"
        return "positions" if wanted else "scores", values.argmax(axis=-1), expected
    if wanted != shape:
        return f"an output of shape {outputs.shape[1:]} and y of shape {labels.shape[1:]} per example do not fit"
    if not np.issubdtype(outputs.dtype, np.floating):
        classes, expected = values.astype(np.int64), y.astype(np.int64)
        if shape:
            # A model that never answers 1 may still have two classes.
            expected = _without_void(expected, max(2, int(classes.max(initial=0)) + 1))
        return ("positions" if shape else "classes"), classes, expected
    distinct = set(np.unique(y).tolist())
    if whole and len(shape) > 1 and distinct <= {-1, 0, 1, VOID} and not distinct <= {-1, 1}:
        expected = _without_void(y, 2).astype(np.int64)
        if set(np.unique(expected).tolist()) <= {-1, 0, 1} and not _is_one_hot(expected, outputs):
            return "positions", (values > _threshold(values)).astype(np.int64), expected
    two_classes = whole and distinct in ({0}, {1}, {0, 1}, {-1, 1})
    if not two_classes:
        return "numeric", values.astype(np.float32), y.astype(np.float32)
    if len(shape) == 1 and (y.min() >= 0) and (y.sum(axis=1) == 1).all():
        return "scores", values.argmax(axis=1), y.argmax(axis=1)
    if len(shape) > 1 and _is_one_hot(y, outputs):
        return "positions", values.argmax(axis=-1), y.argmax(axis=-1)
    kind = "value" if not shape else "labels" if len(shape) == 1 else "positions"
    return kind, (values > _threshold(values)).astype(np.int64), (y > 0).astype(np.int64)


def _fit(outputs: np.ndarray, labels: np.ndarray, found: tuple[str, np.ndarray, np.ndarray]) -> tuple[int, ...]:
    """How well an output fits the labels: classes before numbers, and as many scores as there are classes."""
    exact = found[0] in ("scores", "positions") and outputs.shape[-1] == int(found[2].max(initial=0)) + 1
    return (int(found[0] != "numeric"), int(exact))


def judge(outputs: Sequence[np.ndarray], labels: np.ndarray | None) -> Answers:
    """Decides what a model's outputs mean.

    Of several outputs, the one that fits the labels is judged.

    Args:
        outputs: Per output (examples, ...): float32, or integers where they are no quantised numbers.
        labels: (examples, ...); None for none.
    """
    reasons, fitting = [], []
    for number, values in enumerate(outputs):
        if labels is None:
            break
        if values.size == 0:
            reasons.append("its shape changes from one example to the next")
            continue
        if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
            reasons.append("the outputs are not finite")
            continue
        found = _judged(values, labels)
        if isinstance(found, str):
            reasons.append(found)
        else:
            fitting.append((_fit(values, labels, found), -number, found))
    if not fitting:
        classes = decided(outputs[0])
        predicted = outputs[0] if classes is None else classes
        return Answers("", 0, predicted, None, "; ".join(dict.fromkeys(reasons)) or "the data have no labels")
    fit, place, (kind, predicted, expected) = max(fitting, key=lambda each: each[:2])
    also = tuple(-other for other_fit, other, _ in fitting if other_fit == fit and other != place)
    return Answers(kind, -place, predicted, expected, also=also)


def quality(answers: Answers, names: Sequence[str] = ()) -> Quality:
    """Returns how good answers are.

    Args:
        answers: What `judge` returned.
        names: Of the outputs; the judged one is named where there are several.
    """
    name = names[answers.output] if len(names) > 1 else ""
    also = tuple(names[number] for number in answers.also) if len(names) > 1 else ()
    if answers.expected is None:
        return Quality("", "", None, reason=answers.reason)
    if answers.kind == "numeric":
        error = answers.predicted.astype(np.float64) - answers.expected
        squared = float(np.sqrt((error**2).mean()))
        return Quality("numeric", METRICS["numeric"], float(np.abs(error).mean()), squared, name, also=also)
    known = answers.expected >= 0
    if not known.any():
        return Quality("", "", None, output=name, reason="no position has a class")
    right = float((answers.predicted == answers.expected)[known].mean())
    return Quality(answers.kind, METRICS[answers.kind], right, None, name, "", int((~known).sum()), also)


def agreement(predicted: np.ndarray, reference: np.ndarray) -> float | None:
    """Returns the share of equal classes, over all examples and positions; None where they are no classes.

    Args:
        predicted: Of a model, as in `Answers`.
        reference: Of another model.
    """
    if predicted.shape != reference.shape or any(
        np.issubdtype(each.dtype, np.floating) for each in (predicted, reference)
    ):
        return None
    return float((predicted == reference).mean())


def relative_difference(values: np.ndarray, reference: np.ndarray) -> float | None:
    """Returns root mean square difference / standard deviation of the reference; None for other shapes.

    Args:
        values: Of a model.
        reference: Of another model.
    """
    if values.shape != reference.shape or not values.size:
        return None
    spread = float(np.std(reference, dtype=np.float64))
    difference = float(np.sqrt(np.mean((values.astype(np.float64) - reference) ** 2)))
    return difference / spread if spread else (0.0 if not difference else float("inf"))


def as_json(found: Quality) -> dict[str, Any]:
    """Returns what bench.json holds as `quality`: kind, metric, value and, where they apply, the other attributes.

    Args:
        found: The quality.
    """
    result: dict[str, Any] = {"kind": found.kind or None, "metric": found.metric or None, "value": found.value}
    if found.value is not None:
        result["value"] = round(found.value, 6)
    if found.root_mean_square is not None:
        result["root_mean_square"] = round(found.root_mean_square, 6)
    optional = {"output": found.output, "reason": found.reason, "left_out": found.left_out, "also": list(found.also)}
    return result | {name: value for name, value in optional.items() if value}
