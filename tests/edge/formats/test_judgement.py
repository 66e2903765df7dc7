"""What an output means: every kind of output with every kind of labels, against figures made by hand."""

import numpy as np
import pytest

from edge.formats.judgement import agreement, as_json, judge, quality, relative_difference

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(40, 5)).astype(np.float32)
CLASSES = np.where(np.arange(40) < 30, SCORES.argmax(1), (SCORES.argmax(1) + 1) % 5)
MAP = RNG.normal(size=(40, 4, 6, 3)).astype(np.float32)
MAP_CLASSES = np.where(np.arange(6) < 3, MAP.argmax(-1), (MAP.argmax(-1) + 1) % 3)
LOGITS = RNG.normal(size=(40, 1)).astype(np.float32)
BINARY = np.where(np.arange(40) < 36, LOGITS[:, 0] > 0, LOGITS[:, 0] <= 0).astype(np.int64)


def judged(outputs, labels):
    return quality(judge(outputs if isinstance(outputs, list) else [outputs], labels))


@pytest.mark.parametrize(
    "outputs,labels,kind,value",
    [
        (SCORES, CLASSES, "scores", 0.75),
        (SCORES, CLASSES[:, None], "scores", 0.75),
        (SCORES, CLASSES.astype(np.float32), "scores", 0.75),
        (SCORES, np.eye(5, dtype=np.int64)[CLASSES], "scores", 0.75),
        (SCORES, np.eye(5, dtype=np.float32)[CLASSES], "scores", 0.75),
        (SCORES.reshape(40, 1, 1, 5), CLASSES, "scores", 0.75),
        (LOGITS, BINARY, "value", 0.9),
        (LOGITS, BINARY[:, None].astype(np.float32), "value", 0.9),
        (LOGITS, 2 * BINARY - 1, "value", 0.9),
        (LOGITS, BINARY == 1, "value", 0.9),
        (1 / (1 + np.exp(-LOGITS)), BINARY, "value", 0.9),
        (MAP, MAP_CLASSES, "positions", 0.5),
        (MAP, MAP_CLASSES[..., None], "positions", 0.5),
        (MAP, np.eye(3, dtype=np.uint8)[MAP_CLASSES], "positions", 0.5),
        (MAP[..., :1], (MAP[..., 0] > 0).astype(np.uint8), "positions", 1.0),
        (SCORES, (SCORES > 0).astype(np.int64), "labels", 1.0),
        (CLASSES.astype(np.int64), CLASSES, "classes", 1.0),
    ],
)
def test_accuracies(outputs, labels, kind, value):
    found = judged(outputs, labels)
    assert (found.kind, found.value) == (kind, pytest.approx(value))
    assert found.accuracy == found.value and found.metric.endswith("accuracy")


def test_numbers_have_errors_in_their_unit():
    targets = SCORES + np.where(np.arange(5) < 1, 0.5, 0).astype(np.float32)
    found = judged(SCORES, targets)
    assert found.kind == "numeric" and found.accuracy is None and found.metric == "mean absolute error"
    assert found.value == pytest.approx(0.1, rel=1e-5)
    assert found.root_mean_square == pytest.approx(np.sqrt(0.05), rel=1e-5)
    ages = RNG.integers(20, 60, 40)
    assert judged(ages[:, None].astype(np.float32) + 2, ages).value == pytest.approx(2)
    told = as_json(found)
    assert told["kind"] == "numeric" and told["value"] == pytest.approx(0.1, abs=1e-6) and "output" not in told


def test_positions_without_a_class_are_left_out():
    labels = MAP_CLASSES.copy()
    labels[..., 3:] = 255
    assert judged(MAP, labels).value == 1.0
    labels[..., 3:] = -1
    assert judged(MAP, labels).value == 1.0
    assert judged(MAP, np.full_like(labels, 255)).reason == "no position has a class"


@pytest.mark.parametrize(
    "outputs,labels,reason",
    [
        (SCORES, CLASSES + 1, "y has class 5, and the output has 5 scores"),
        (SCORES, CLASSES - 1, "y has negative classes"),
        (SCORES, CLASSES + 0.5, "y are no classes (fractions)"),
        (MAP, CLASSES, "an output of shape (4, 6, 3) and y of shape () per example do not fit"),
        (SCORES * np.nan, CLASSES, "not finite"),
        (np.zeros((40, 0), np.float32), CLASSES, "its shape changes"),
    ],
)
def test_what_does_not_fit_is_said(outputs, labels, reason):
    found = judged(outputs, labels)
    assert found.value is None and reason in found.reason


def test_of_several_outputs_the_one_that_fits_is_judged():
    more = RNG.normal(size=(40, 9)).astype(np.float32)
    for outputs in ([more, SCORES], [SCORES, more], [MAP, more, SCORES]):
        answers = judge(outputs, CLASSES)
        assert outputs[answers.output] is SCORES and quality(answers, ["a", "b", "c"]).output == "abc"[answers.output]


def test_agreement_is_of_classes_and_difference_of_numbers():
    assert agreement(SCORES.argmax(1), CLASSES) == 0.75 and agreement(SCORES, SCORES) is None
    assert relative_difference(SCORES + np.float32(0.5) * SCORES.std(), SCORES) == pytest.approx(0.5, rel=1e-4)
    assert relative_difference(SCORES, SCORES[:1]) is None and relative_difference(np.ones(3), np.ones(3)) == 0


def test_positions_of_a_mask_without_a_class_are_left_out():
    probabilities = np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 3, 4, 1)
    right = (probabilities[..., 0] > 0.5).astype(np.int64)
    for void, others in ((255, right), (-1, right)):
        labels = np.where(np.arange(4) < 2, void, others)
        answers = judge([probabilities], labels)
        assert answers.kind == "positions" and quality(answers).value == 1.0
        assert quality(judge([1 - probabilities], labels)).value == 0.0


def test_a_mask_of_0_and_255_has_two_classes():
    probabilities = np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 3, 4, 1)
    mask = np.where(probabilities[..., 0] > 0.5, 255, 0)
    for outputs in (probabilities, np.concatenate([1 - probabilities, probabilities], axis=-1)):
        found = quality(judge([outputs], mask))
        assert found.metric == "position accuracy" and found.value == 1.0 and found.left_out == 0
        assert quality(judge([0 * outputs], mask)).value == pytest.approx((mask == 0).mean())


def test_a_class_255_is_judged_where_there_is_one():
    scores = np.zeros((1, 2, 400), np.float32)
    scores[0, 0, 255] = scores[0, 1, 7] = 1
    found = quality(judge([scores], np.array([[255, 255]])))
    assert found.value == 0.5 and found.left_out == 0


def test_how_many_positions_are_left_out_is_said():
    labels = MAP_CLASSES.copy()
    labels[..., :1] = -1
    found = judged(MAP, labels)
    assert found.left_out == labels[..., :1].size and as_json(found)["left_out"] == found.left_out


def test_probabilities_may_be_rounded_beyond_their_range():
    outputs = np.array([[0.2], [0.6], [1.0000001], [-0.003]], np.float32)
    assert quality(judge([outputs], np.array([0, 1, 1, 0]))).value == 1.0
    assert quality(judge([np.array([[0.2], [0.6], [2.0]], np.float32)], np.array([1, 1, 1]))).value == 1.0  # logits


def test_signed_labels_of_probabilities():
    outputs = np.array([[0.2], [0.6], [0.4], [0.9]], np.float32)
    assert quality(judge([outputs], np.array([-1, 1, -1, 1]))).value == 1.0
    assert quality(judge([2 * outputs - 1], np.array([-1, 1, -1, 1]))).value == 1.0


def test_a_model_of_classes_that_never_finds_anything_is_judged_by_a_mask_of_0_and_255():
    mask = np.where(np.arange(12).reshape(1, 3, 4) > 8, 255, 0)
    assert quality(judge([np.zeros((1, 3, 4), np.int64)], mask)).value == pytest.approx(9 / 12)
